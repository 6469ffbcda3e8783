"""skorch's callbacks one by one: what docs/callbacks.md says of each is what is found here."""

import inspect
import json

import pandas as pd
import pytest
import skorch.callbacks
import torch
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    MlflowLogger,
    NeptuneLogger,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    Unfreezer,
    WandbLogger,
    WarmRestartLR,
)

import sklearnish as sn
from tests.estimators.common import TwoLayers, classification
from tests.pages import table

PAGE = table("callbacks.md", "skorch's callback")
N_TRAIN = 60
NO_VALIDATION = "needs validation rows: `X_val`, `y_val`, or `early_stopping=True`"


@pytest.fixture(params=["arrays", "files"])
def fit(request, tmp_path):
    """Fit a classifier of two classes with callbacks."""
    X, y = classification(90, classes=2)
    valid = {"X_val": X[N_TRAIN:], "y_val": y[N_TRAIN:]}
    rows = (X[:N_TRAIN], y[:N_TRAIN])
    if request.param == "files":
        frame = pd.DataFrame(X, columns=list("abcdefghij")).assign(label=y)
        frame[:N_TRAIN].to_parquet(tmp_path / "train.parquet", row_group_size=10)
        frame[N_TRAIN:].to_parquet(tmp_path / "valid.parquet", row_group_size=10)
        rows = (sn.scan_parquet(tmp_path / "train.parquet", target="label"),)
        valid = {"X_val": sn.scan_parquet(tmp_path / "valid.parquet", target="label")}

    def fit(*callbacks, held_out=True, **params):
        params = {
            "module": TwoLayers,
            "max_epochs": 3,
            "batch_size": 16,
            "random_state": 0,
            "num_workers": 0,
            **params,
        }
        clf = sn.TorchClassifier(callbacks=list(callbacks), **params)
        return clf.fit(*rows, **(valid if held_out else {}))

    fit.train, fit.valid = rows, tuple(valid.values())
    return fit


def needs_validation(fit, callback, told):
    with pytest.raises(ValueError, match=told):
        fit(callback, held_out=False)
    return f"works; {NO_VALIDATION}"


def batch_scoring(fit, tmp_path):
    clf = fit(BatchScoring("accuracy", lower_is_better=False, name="acc"))
    assert [0 <= epoch["acc"] <= 1 for epoch in clf.history_] == [True] * 3
    return needs_validation(fit, BatchScoring("accuracy"), "BatchScoring scores validation rows")


def epoch_scoring(fit, tmp_path):
    scoring = {"scoring": "accuracy", "lower_is_better": False}
    clf = fit(
        EpochScoring(**scoring, name="acc"),
        EpochScoring(**scoring, name="train_acc", on_train=True, use_caching=False),
    )
    assert clf.history_[-1]["acc"] == clf.score(*fit.valid)
    assert clf.history_[-1]["train_acc"] == clf.score(*fit.train)
    return needs_validation(fit, EpochScoring("accuracy"), "EpochScoring scores validation rows")


def passthrough_scoring(fit, tmp_path):
    clf, passing = fit(), PassthroughScoring("valid_loss")
    expected = [epoch["valid_loss"] for epoch in clf.history_]
    assert [e["valid_loss"] for e in fit(passing).history_] == pytest.approx(expected)
    return needs_validation(fit, PassthroughScoring("valid_loss"), "PassthroughScoring scores")


def early_stopping(fit, tmp_path):
    stopping = EarlyStopping(patience=2, threshold=0.9, load_best=True, sink=str)
    clf = fit(stopping, max_epochs=10)
    assert clf.n_iter_ == 3
    first = fit(max_epochs=1)
    torch.testing.assert_close(clf.module_.state_dict(), first.module_.state_dict())
    return needs_validation(fit, EarlyStopping(), "found no validation loss")


def lr_scheduler(fit, tmp_path):
    clf = fit(LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5), lr=0.1)
    assert [epoch["lr"] for epoch in clf.history_] == pytest.approx([0.1, 0.05, 0.025])
    by_batch = fit(LRScheduler("StepLR", step_size=1, gamma=0.5, step_every="batch"), lr=0.1)
    assert by_batch.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**12)
    plateau = LRScheduler("ReduceLROnPlateau", patience=0, threshold=1.0, monitor="train_loss")
    assert fit(plateau, lr=0.1).history_[-1]["lr"] < 0.1
    return "works; `lr_schedule=` does the same without a callback"


def warm_restart(fit, tmp_path):
    schedule = LRScheduler(WarmRestartLR, min_lr=0.01, max_lr=0.1, base_period=2)
    expected = schedule.simulate(6, 0.1)
    clf = fit(schedule, lr=0.1, max_epochs=6)
    assert [e["lr"] for e in clf.history_] == pytest.approx(expected)
    assert len(set(expected.round(6))) > 2
    return "works; as `LRScheduler(WarmRestartLR, ...)`: it is a schedule, not a callback"


def checkpoint(fit, tmp_path):
    clf = fit(Checkpoint(dirname=tmp_path, monitor="train_loss_best", load_best=True, sink=str))
    assert {"params.pt", "optimizer.pt", "history.json"} <= {p.name for p in tmp_path.iterdir()}
    assert clf.n_iter_ == len(clf.history_)
    saved = torch.load(tmp_path / "params.pt", weights_only=True)
    torch.testing.assert_close(dict(clf.module_.state_dict()), dict(saved))
    return needs_validation(fit, Checkpoint(dirname=tmp_path, sink=str), "found no validation loss")


def train_end_checkpoint(fit, tmp_path):
    clf = fit(TrainEndCheckpoint(dirname=tmp_path, sink=str))
    saved = torch.load(tmp_path / "train_end_params.pt", weights_only=True)
    torch.testing.assert_close(dict(clf.module_.state_dict()), dict(saved))
    return "works; `sn.save` and `checkpoint_dir=` need no pickle"


def load_init_state(fit, tmp_path):
    end = TrainEndCheckpoint(dirname=tmp_path, sink=str)
    first = fit(end)
    second = fit(LoadInitState(end), lr=0.5)
    losses = [epoch["train_loss"] for epoch in second.history_]
    assert losses[:3] == [epoch["train_loss"] for epoch in first.history_]
    assert len(losses) == 6
    assert max(losses[3:]) < min(losses[:3])
    assert second.history_[-1]["lr"] == first.history_[-1]["lr"] == 0.001
    return "works; `max_epochs` more are trained, with the `lr` of the checkpoint"


def progress_bar(fit, tmp_path):
    bar = ProgressBar()
    fit(bar, held_out=False)
    assert (bar.pbar_.n, bar.pbar_.total) == (4, 4)
    counting = ProgressBar(batches_per_epoch="count")
    fit(counting)
    assert (counting.pbar_.n, counting.pbar_.total) == (5, 5)
    return 'works; `batches_per_epoch="count"` for validation rows, which come in larger batches'


def print_log(fit, tmp_path):
    lines = []
    clf = fit(PrintLog(sink=lines.append))
    assert len(lines) == 2 + 3
    assert f"{clf.history_[-1]['train_loss']:.4f}" in lines[-1]
    return "works; it prints with `verbose=0` too"


def epoch_timer(fit, tmp_path):
    for clf in (fit(EpochTimer()), fit()):
        assert all(epoch["dur"] > 0 for epoch in clf.history_)
    return "works; `history_` has `dur` without it"


def clipping(fit, tmp_path):
    norms = []

    class Norms(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            grads = [p.grad.norm() for _, p in named_parameters]
            norms.append(torch.stack(grads).norm().item())

    clf = fit(GradientNormClipping(0.01), Norms())
    assert max(norms) == pytest.approx(0.01, rel=1e-3)
    alone = fit(clip_grad_norm=0.01)
    torch.testing.assert_close(clf.module_.state_dict(), alone.module_.state_dict())
    return "works; `clip_grad_norm=` does the same"


def moved(clf, fit, name):
    start = fit(max_epochs=1, lr=1e-12).module_.state_dict()
    return (clf.module_.state_dict()[name] - start[name]).abs().max().item() > 1e-6


def freezer(fit, tmp_path):
    clf = fit(Freezer("layers.0.*"))
    assert not moved(clf, fit, "layers.0.weight")
    assert moved(clf, fit, "layers.3.weight")
    return "works"


def unfreezer(fit, tmp_path):
    assert moved(fit(Freezer("layers.0.*"), Unfreezer("layers.0.*", at=3)), fit, "layers.0.weight")
    return "works"


def param_mapper(fit, tmp_path):
    clf = fit(ParamMapper("layers.3.bias", fn=lambda p: torch.nn.init.constant_(p, 5.0), at=3))
    assert clf.module_.layers[3].bias.min() > 4.9
    return "works"


def initializer(fit, tmp_path):
    clf = fit(Initializer("layers.*.weight", fn=torch.nn.init.zeros_), lr=1e-9)
    assert all(clf.module_.layers[i].weight.abs().max() < 1e-6 for i in (0, 3))
    return "works"


def input_shape_setter(fit, tmp_path):
    with pytest.raises(ValueError, match="InputShapeSetter cannot be used") as caught:
        fit(InputShapeSetter())
    return f"refused: {caught.value}"


def tensorboard(fit, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    clf = fit(TensorBoard(SummaryWriter(tmp_path)))
    events = EventAccumulator(str(tmp_path)).Reload()
    found = [event.value for event in events.Scalars("Loss/train_loss")]
    assert found == pytest.approx([epoch["train_loss"] for epoch in clf.history_])
    return "works"


def mlflow_logger(fit, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/runs.db")
    experiment = client.create_experiment("here", artifact_location=(tmp_path / "a").as_uri())
    run = client.create_run(experiment)
    clf = fit(MlflowLogger(run, client, create_artifact=False))
    found = client.get_metric_history(run.info.run_id, "train_loss")
    assert [m.value for m in found] == [epoch["train_loss"] for epoch in clf.history_]
    return "works"


def sacred_logger(fit, tmp_path):
    sacred = pytest.importorskip("sacred")
    experiment = sacred.Experiment("here", save_git_info=False)
    experiment.observers.append(sacred.observers.FileStorageObserver(tmp_path / "runs"))
    experiment.main(lambda: fit(SacredLogger(experiment)).history_)
    run = experiment.run()
    logged = json.loads((tmp_path / "runs" / run._id / "metrics.json").read_text())
    assert logged["train_loss"]["values"] == [epoch["train_loss"] for epoch in run.result]
    return "works"


def wandb_logger(fit, tmp_path):
    wandb = pytest.importorskip("wandb")
    with wandb.init(mode="offline", dir=tmp_path, project="here") as run:
        clf = fit(WandbLogger(run))
        assert run.summary["train_loss"] == pytest.approx(clf.history_[-1]["train_loss"])
        return needs_validation(fit, WandbLogger(run), "found no validation loss")


def neptune_logger(fit, tmp_path):
    neptune = pytest.importorskip("neptune")
    run = neptune.init_run(mode="debug")
    fit(NeptuneLogger(run))
    return "works"


CASES = {
    BatchScoring: batch_scoring,
    Checkpoint: checkpoint,
    EarlyStopping: early_stopping,
    EpochScoring: epoch_scoring,
    EpochTimer: epoch_timer,
    Freezer: freezer,
    GradientNormClipping: clipping,
    Initializer: initializer,
    InputShapeSetter: input_shape_setter,
    LRScheduler: lr_scheduler,
    LoadInitState: load_init_state,
    MlflowLogger: mlflow_logger,
    NeptuneLogger: neptune_logger,
    ParamMapper: param_mapper,
    PassthroughScoring: passthrough_scoring,
    PrintLog: print_log,
    ProgressBar: progress_bar,
    SacredLogger: sacred_logger,
    TensorBoard: tensorboard,
    TrainEndCheckpoint: train_end_checkpoint,
    Unfreezer: unfreezer,
    WandbLogger: wandb_logger,
    WarmRestartLR: warm_restart,
}


def test_every_callback_of_skorch_is_tried():
    public = {getattr(skorch.callbacks, name) for name in skorch.callbacks.__all__} - {Callback}
    assert set(CASES) == {one for one in public if inspect.isclass(one)}
    assert set(PAGE) == {f"`{one.__name__}`" for one in CASES}


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)
def test_a_callback_does_what_the_page_says(kind, fit, tmp_path):
    found = CASES[kind](fit, tmp_path)
    assert PAGE[f"`{kind.__name__}`"] == [found]
