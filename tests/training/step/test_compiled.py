"""A compiled step computes what the eager one does, or says why there is none."""

import copy
import pickle
import random
import shutil

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from sklearnish.data import Batch
from sklearnish.training import Net

pytestmark = [
    pytest.mark.skipif(shutil.which("c++") is None, reason="torch compiles with a C++ compiler"),
]


class Normed(nn.Module):
    """With running statistics, random numbers, a frozen and an unused weight."""

    def __init__(self, dropout=0.3):
        super().__init__()
        self.first, self.norm = nn.Linear(4, 16), nn.BatchNorm1d(16)
        self.dropout, self.last = nn.Dropout(dropout), nn.Linear(16, 1)
        self.first.bias.requires_grad_(False)
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, X):
        return self.last(self.dropout(self.norm(self.first(X)).relu()))


def batches(sizes=(32, 32, 32, 7), seed=0, weighted=False):
    g = torch.Generator().manual_seed(seed)
    X = torch.randn(sum(sizes), 4, generator=g)
    y = X @ torch.tensor([1.0, -2.0, 0.5, 0.0]) + 1
    weight = torch.rand(len(X), generator=g) if weighted else X.new_ones(len(X))
    split = zip(X.split(sizes), y.split(sizes), weight.split(sizes), strict=True)
    return [Batch(X, y, weight if weighted else None) for X, y, weight in split]


def train(data, module=None, epochs=3, criterion=None, **params):
    torch.manual_seed(0)
    params = {"optimizer": torch.optim.Adam, "lr": 0.01, "device": "cpu", **params}
    net = Net(module or Normed(), criterion or nn.MSELoss(), **params).initialize()
    torch.manual_seed(1)
    return net.train(data, epochs=epochs, steps_per_epoch=len(data))


def graphs(net):
    return len(net.compiled_._graphs)


def assert_same(compiled, eager, **tolerance):
    torch.testing.assert_close(
        compiled.module_.state_dict(), eager.module_.state_dict(), **tolerance
    )
    losses = [[epoch["train_loss"] for epoch in net.history] for net in (compiled, eager)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def both(data, **params):
    """Train with a graph and without."""
    compiled = train(data, compile=True, **copy.deepcopy(params))
    assert graphs(compiled) >= 1
    return compiled, train(data, **params)


@pytest.mark.slow
def test_buffers_random_numbers_and_a_smaller_last_batch():
    compiled, eager = both(batches())
    assert_same(compiled, eager)
    assert graphs(compiled) == 1
    assert type(compiled.module_) is Normed
    assert compiled.module_.unused.grad is None
    again = train(batches(), compile=True)
    torch.testing.assert_close(
        again.module_.state_dict(), compiled.module_.state_dict(), rtol=0, atol=0
    )
    twin = pickle.loads(pickle.dumps(compiled))
    twin.train(batches(), epochs=1, steps_per_epoch=4)
    assert (graphs(compiled), graphs(twin)) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [
        {"accumulate_steps": 3, "clip_grad_norm": 0.1, "lr_schedule": "onecycle"},
        {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "lr_schedule": "cosine"},
        {"criterion": nn.HuberLoss(), "units": torch.tensor(3.0)},
        {"optimizer": torch.optim.RMSprop},
    ],
    ids=["accumulated", "scheduled", "units", "RMSprop"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_options(params, weighted):
    assert_same(*both(batches(weighted=weighted), **params))


@pytest.mark.slow
def test_in_half_precision_a_fused_sum_is_rounded_once():
    compiled, eager = (net.module_.state_dict() for net in both(batches(), precision="bf16"))
    torch.testing.assert_close(compiled, eager, rtol=0.05, atol=0.005)


@pytest.mark.slow
def test_features_by_name():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 1)

        def forward(self, first, second):
            return self.layer(first) + second.sum(1, keepdim=True)

    data = [Batch({"first": b.X, "second": b.X[:, :2]}, b.y) for b in batches()]
    assert_same(*both(data, module=Named()))


@pytest.mark.slow
def test_what_callbacks_see():
    class Seen(Callback):
        def __init__(self):
            self.seen = []

        def on_grad_computed(self, net, named_parameters, **kwargs):
            self.seen += [p.grad.norm().item() for _, p in named_parameters if p.grad is not None]

        def on_batch_end(self, net, batch, training, loss, y_pred, **kwargs):
            self.seen.append(y_pred.norm().item())

    compiled, eager = both(batches(), callbacks=[Seen()])
    found, expected = (next(iter(net.callbacks_))[1].seen for net in (compiled, eager))
    assert found == pytest.approx(expected, rel=1e-4)
    assert len(found) == 3 * 4 * 6


@pytest.mark.slow
def test_what_a_callback_changes_is_seen():
    class Change(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 2:
                net.module_.dropout.p = 0.9
                net.module_.last.weight.requires_grad_(False)

    compiled, eager = both(batches(), callbacks=[Change()])
    assert_same(compiled, eager)
    assert_same(compiled, train(batches(), callbacks=[Change()]))
    with pytest.raises(AssertionError):
        assert_same(compiled, train(batches()))


@pytest.mark.slow
@pytest.mark.parametrize("of", ["module", "weight"])
def test_a_hook_that_comes_later_is_called(of):
    class Hook(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 2:
                last = net.module_.last
                if of == "module":
                    last.register_forward_hook(lambda module, args, out: 2 * out)
                else:
                    last.weight.register_hook(lambda grad: 3 * grad)

    with pytest.warns(UserWarning, match="compile=True was ignored.*has hooks"):
        compiled = train(batches(), callbacks=[Hook()], compile=True)
    assert_same(compiled, train(batches(), callbacks=[Hook()]))
    with pytest.raises(AssertionError):
        assert_same(compiled, train(batches()))


@pytest.mark.slow
def test_a_common_shape_is_compiled_too():
    data = batches((32,) + (16,) * 40 + (7,))
    compiled, eager = both(data)
    assert_same(compiled, eager)
    assert graphs(compiled) == 2


class Odd(nn.Module):
    """A module that cannot be traced for one of several reasons."""

    def __init__(self, what):
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.what, self.calls = what, 0
        self.register_buffer("mean", torch.zeros(4))
        if what == "hook":
            self.layer.register_forward_hook(lambda *args: None)

    def forward(self, X):
        if self.what == "branch" and X.sum() > 0:
            X = 2 * X
        if self.what == "counter":
            self.calls += 1
        if self.what == "python":
            X = X * random.random()
        if self.what == "numpy":
            X = X * np.random.rand()  # noqa: NPY002
        if self.what == "buffer":
            self.mean = 0.9 * self.mean + 0.1 * X.mean(0)
        return self.layer(X)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("branch", ".*"),
        ("counter", "changes something with each call"),
        ("python", "changes something with each call"),
        ("numpy", "changes something with each call"),
        ("buffer", "forward assigns to a buffer"),
        ("hook", "Linear has hooks"),
    ],
)
def test_what_cannot_be_compiled_is_computed_eagerly(what, reason):
    def run(**params):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        return train(batches(), Odd(what), **params)

    with pytest.warns(UserWarning, match=f"compile=True was ignored.*{reason}") as warned:
        net = run(compile=True)
    assert len(warned) == 1
    assert graphs(net) == 0
    if what not in ("python", "numpy"):  # the attempt drew a number
        torch.testing.assert_close(net.module_.state_dict(), run().module_.state_dict())


class Chosen(nn.Module):
    """Sets which method is its forward."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.forward = self.fast

    def fast(self, X):
        return self.layer(X)


def test_a_forward_of_ones_own_is_compiled():
    net = train(batches(), Chosen(), compile=True)
    assert graphs(net) == 1


def test_scaled_losses_are_computed_eagerly():
    net = Net(nn.Linear(4, 1), nn.MSELoss(), compile=True, precision="fp16", device="cpu")
    with pytest.warns(UserWarning, match="precision='fp16' scales the loss"):
        net.initialize().train(batches(), epochs=1, steps_per_epoch=4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("accumulate_steps", [1, 3])
def test_replayed_on_a_gpu(accumulate_steps):
    data = [Batch(b.X.cuda(), b.y.cuda()) for b in batches((32,) * 300)]
    assert_same(*both(data, device="cuda", accumulate_steps=accumulate_steps), rtol=1e-3, atol=1e-4)
