import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, Checkpoint, LRScheduler, TrainEndCheckpoint
from skorch.callbacks import EarlyStopping as SkorchEarlyStopping
from torch import nn

from sklearnish.data import Batch
from sklearnish.training import EarlyStopping, Net


def rows(n=64, seed=0):
    g = torch.Generator().manual_seed(seed)
    X = torch.randn(n, 4, generator=g)
    return X, X @ torch.tensor([1.0, -2.0, 0.5, 0.0]) + 1


def linear():
    torch.manual_seed(0)
    return nn.Linear(4, 1)


def make_net(module=None, criterion=None, **params):
    params = {"optimizer": torch.optim.SGD, "lr": 0.1, "device": "cpu", **params}
    return Net(module or linear(), criterion or nn.MSELoss(), **params).initialize()


def batches(X, y, size, weight=None):
    parts = [slice(i, i + size) for i in range(0, len(X), size)]
    return [Batch(X[p], y[p], None if weight is None else weight[p]) for p in parts]


def train(net, data, epochs=1, **options):
    return net.train(data, epochs=epochs, steps_per_epoch=len(data), **options)


def test_trains_as_a_loop_written_by_hand_does():
    X, y = rows()
    module = linear()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(3):
        for i in range(0, 64, 16):
            optimizer.zero_grad()
            nn.functional.mse_loss(module(X[i : i + 16])[:, 0], y[i : i + 16]).backward()
            optimizer.step()
    net = train(make_net(), batches(X, y, 16), epochs=3)
    torch.testing.assert_close(net.module_.weight, module.weight)
    assert not net.module_.training


def test_weights_are_repetition():
    X, y = rows()
    weight = torch.randint(1, 4, (64,))
    index = torch.arange(64).repeat_interleave(weight)
    weighted = train(make_net(), batches(X, y, 64, weight.float()))
    repeated = train(make_net(), batches(X[index], y[index], 10**6))
    torch.testing.assert_close(weighted.module_.weight, repeated.module_.weight)
    assert weighted.history[-1]["train_loss"] == pytest.approx(repeated.history[-1]["train_loss"])


def test_weights_for_a_loss_without_reduction_raise():
    X, y = rows()

    class Loss(nn.Module):
        def forward(self, y_pred, y):
            return (y_pred - y).square().mean()

    train(make_net(criterion=Loss()), batches(X, y, 16))
    with pytest.raises(ValueError, match="has no `reduction`"):
        train(make_net(criterion=Loss()), batches(X, y, 16, torch.ones(64)))


def test_accumulation_is_one_larger_batch():
    X, y = rows(60)
    large = train(make_net(), batches(X, y, 24), epochs=2)
    small = train(make_net(accumulate_steps=3), batches(X, y, 8), epochs=2)
    torch.testing.assert_close(small.module_.weight, large.module_.weight)


def test_clipping_bounds_the_step():
    X, y = rows()
    before = linear()
    net = train(make_net(clip_grad_norm=0.01), batches(X, 1000 * y, 64))
    moved = torch.cat([(net.module_.weight - before.weight)[0], net.module_.bias - before.bias])
    assert moved.norm().item() == pytest.approx(0.1 * 0.01, rel=1e-3)


def test_history_has_a_record_per_epoch():
    X, y = rows()
    net = train(make_net(), batches(X, y, 16), epochs=2, valid=batches(X, y, 64))
    record = {k: v for k, v in net.history[-1].items() if k != "batches"}
    losses = {"train_loss", "train_loss_best", "valid_loss", "valid_loss_best"}
    assert set(record) == {"epoch", "dur", "lr", "wait"} | losses
    assert (record["epoch"], record["lr"]) == (2, 0.1)
    with torch.no_grad():
        expected = nn.functional.mse_loss(net.module_(X)[:, 0], y).item()
    assert record["valid_loss"] == pytest.approx(expected)


def test_the_reported_loss_is_the_mean_over_rows_not_batches():
    X, y = rows(65)
    net = make_net(lr=1e-9)
    with torch.no_grad():
        expected = nn.functional.mse_loss(net.module_(X)[:, 0], y).item()
    train(net, batches(X, y, 64))
    assert net.history[-1]["train_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", [1, 16])
def test_a_loss_that_turns_nan_names_step_epoch_and_lr(size):
    X, y = rows(600)
    y[300] = float("nan")
    step = 300 // size + 1
    with pytest.raises(FloatingPointError, match=rf"nan at step {step} of epoch 1 .*rate 0.001"):
        train(make_net(lr=1e-3), batches(X, y, size))


def test_schedules_change_the_learning_rate():
    X, y = rows()
    data = batches(X, y, 16)
    cosine = train(make_net(lr_schedule="cosine"), data, epochs=4)
    lrs = cosine.history[:, "lr"]
    assert lrs[0] == pytest.approx(0.1)
    assert lrs == sorted(lrs, reverse=True)
    assert cosine.descent_.lr == pytest.approx(0, abs=1e-9)
    cycle = train(make_net(lr_schedule="onecycle"), data, epochs=10).history[:, "lr"]
    assert max(cycle) > cycle[0]
    assert max(cycle) > cycle[-1]
    steps = train(make_net(lr_schedule=halving), data, epochs=3).history[:, "lr"]
    assert steps == pytest.approx([0.1, 0.05, 0.025])


def halving(optimizer):
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)


def test_a_plateau_schedule_is_told_the_loss():
    X, y = rows()
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau
    net = train(make_net(lr=1e-12, lr_schedule=schedule), batches(X, y, 64), epochs=13)
    assert net.descent_.lr == pytest.approx(1e-12)
    schedule_of = net.descent_.schedule.scheduler
    assert schedule_of.num_bad_epochs + schedule_of.last_epoch > 13


def test_a_schedule_that_needs_arguments_says_how():
    X, y = rows()
    net = make_net(lr_schedule=torch.optim.lr_scheduler.StepLR)
    with pytest.raises(ValueError, match=r"functools.partial\(StepLR, step_size=\.\.\.\)"):
        train(net, batches(X, y, 16))


class Recorder(Callback):
    def __init__(self):
        self.calls = []

    def on_train_begin(self, net, **kwargs):
        self.calls.append("train_begin")

    def on_epoch_end(self, net, **kwargs):
        self.calls.append("epoch_end")

    def on_train_end(self, net, **kwargs):
        self.calls.append("train_end")


class BatchRecorder(Recorder):
    def on_batch_end(self, net, batch=None, training=None, loss=None, y_pred=None, **kwargs):
        X, y = batch
        assert len(X) == len(y) == len(y_pred)
        self.calls.append(("batch_end", training, net.history[-1, "batches", -1]))

    def on_grad_computed(self, net, named_parameters, **kwargs):
        assert all(p.grad is not None for _, p in named_parameters)
        self.calls.append("grad")


def test_callbacks_are_told():
    X, y = rows()
    recorder = Recorder()
    net = train(make_net(callbacks=[recorder]), batches(X, y, 32), epochs=2)
    assert recorder.calls == ["train_begin", "epoch_end", "epoch_end", "train_end"]
    assert len(net.history[-1]["batches"]) == 2


def test_batches_are_recorded_for_callbacks_that_ask():
    X, y = rows()
    recorder = BatchRecorder()
    train(make_net(callbacks=[recorder]), batches(X, y, 32), valid=batches(X, y, 64))
    ends = [c for c in recorder.calls if isinstance(c, tuple)]
    assert [training for _, training, _ in ends] == [True, True, False]
    assert set(ends[0][2]) == {"train_loss", "train_batch_size"}
    assert recorder.calls.count("grad") == 2


class Norms(Callback):
    def __init__(self):
        self.norms = []

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.norms.append(torch.stack([p.grad.norm() for _, p in named_parameters]).norm().item())


def test_callbacks_see_the_gradients_of_steps():
    X, y = rows()
    found = []
    for options, size in (({}, 32), ({"accumulate_steps": 2}, 16)):
        norms = Norms()
        net = make_net(callbacks=[norms], lr=1e-3, **options)
        train(net, batches(X, y, size))
        assert pickle.loads(pickle.dumps(net)).descent_.computed is None
        found.append(norms.norms)
    assert len(found[0]) == 2
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_skorch_callbacks_work():
    X, y = rows()
    callbacks = [LRScheduler("ExponentialLR", gamma=0.5), SkorchEarlyStopping(patience=2, sink=str)]
    net = make_net(callbacks=callbacks, lr=1e-12)
    train(net, batches(X, y, 32), epochs=20, valid=batches(X, y, 64))
    assert len(net.history) < 20
    assert net.history[1, "lr"] == pytest.approx(net.history[0, "lr"] / 2)


@pytest.mark.parametrize("lr", [0.5, 1.0])  # converges, diverges
def test_skorch_checkpoints_work(tmp_path, lr):
    X, y = rows()
    callbacks = [
        Checkpoint(dirname=tmp_path / "best", sink=str),
        TrainEndCheckpoint(dirname=tmp_path / "end", sink=str),
    ]
    net = make_net(callbacks=callbacks, lr=lr)
    train(net, batches(X, y, 32), epochs=5, valid=batches(X, y, 64))
    losses = [epoch["valid_loss"] for epoch in net.history]
    best = [loss < min(losses[:i], default=np.inf) for i, loss in enumerate(losses)]
    assert net.history[:, "valid_loss_best"] == best
    assert net.history[:, "event_cp"] == best
    assert (tmp_path / "end" / "train_end_params.pt").is_file()
    saved = make_net()
    saved.load_params(f_params=tmp_path / "best" / "params.pt")
    loss = nn.functional.mse_loss(saved.module_(X)[:, 0], y).item()
    assert loss == pytest.approx(min(losses))
    assert torch.equal(saved.module_.weight, net.module_.weight) == best[-1] == (lr < 1)


def test_skorch_loads_the_best_checkpoint_and_its_history(tmp_path):
    X, y = rows()
    checkpoint = Checkpoint(dirname=tmp_path, load_best=True, sink=str)
    net = make_net(callbacks=[checkpoint], lr=1.0)
    train(net, batches(X, y, 32), epochs=5, valid=batches(X, y, 64))
    loss = nn.functional.mse_loss(net.module_(X)[:, 0], y).item()
    assert loss == pytest.approx(net.history[0, "valid_loss"])
    assert net.best_epoch_ == len(net.history) == 1


def test_rows_drawn_by_weight_are_weighed_in_validation_alone():
    X, y = rows()
    weight = torch.arange(64.0)
    data = batches(X, y, 64, weight)
    drawn = train(make_net(weighted=False, lr=1e-9), data, valid=data).history[-1]
    weighed = train(make_net(lr=1e-9), data, valid=data).history[-1]
    plain = train(make_net(lr=1e-9), batches(X, y, 64)).history[-1]
    assert drawn["train_loss"] == pytest.approx(plain["train_loss"])
    assert drawn["valid_loss"] == pytest.approx(weighed["valid_loss"])
    assert drawn["valid_loss"] != pytest.approx(drawn["train_loss"])


def test_open_ended_training_keeps_the_rate_of_a_schedule_over_all_steps():
    X, y = rows()
    for name in ("cosine", "onecycle"):
        net = make_net(lr_schedule=name, optimizer__momentum=0.8)
        data = batches(X, y, 16)
        train(net, data, open_ended=True)
        assert net.descent_.lr == pytest.approx(0.1)
        first = train(net, data, epochs=3).history[:, "lr"]
        train(net, data, open_ended=True)
        assert net.descent_.lr == pytest.approx(0.1)
        assert net.optimizer_.param_groups[0]["momentum"] == 0.8
        assert train(net, data, epochs=3).history[-3:, "lr"] == pytest.approx(first[1:])


def test_open_ended_training_goes_on_with_a_schedule_by_epochs():
    X, y = rows()
    net = make_net(lr_schedule=every_second)
    for _ in range(5):
        train(net, batches(X, y, 16), open_ended=True)
        net = pickle.loads(pickle.dumps(net))
    assert net.history[:, "lr"] == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025])


def every_second(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)


def test_the_users_interrupt_is_not_swallowed():
    X, y = rows()

    def interrupted():
        yield batches(X, y, 32)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_net().train(interrupted(), epochs=2, steps_per_epoch=2)


def test_early_stopping_restores_the_best_weights():
    X, y = rows()
    net = make_net(lr=0.7)  # diverges slowly
    valid = batches(X, y, 64)
    stopping = EarlyStopping(patience=3, tol=0.0, greater_is_better=False)
    train(net, batches(X, y, 64), epochs=50, valid=valid, stopping=stopping)
    losses = net.history[:, "valid_loss"]
    assert net.best_epoch_ == int(np.argmin(losses)) + 1
    with torch.no_grad():
        assert nn.functional.mse_loss(net.module_(X)[:, 0], y).item() == pytest.approx(min(losses))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precisions_learn(precision):
    X, y = rows(256)
    net = make_net(precision=precision, lr=0.05)
    train(net, batches(X, y, 32), epochs=20)
    assert net.module_.weight.dtype == torch.float32
    assert net.history[-1]["train_loss"] < 0.05
