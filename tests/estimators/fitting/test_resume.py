"""Interrupted and resumed equals never interrupted."""

import functools
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import EpochScoring
from torch import nn
from torch.optim.lr_scheduler import CyclicLR, MultiStepLR, ReduceLROnPlateau

import sklearnish as sn
from sklearnish import TorchClassifier, TorchRegressor
from sklearnish.modules import MLP, TableModule
from sklearnish.training._checkpoints.checkpoints import Checkpoints, read
from tests.estimators.common import classification, regression
from tests.estimators.resumed import Fuse, Interrupted, Noisy, always_due, blurred, jittered

ROOT = Path(__file__).parents[3]
X, Y = classification(100)
VALUES = regression(100)[1]
WEIGHT = np.random.default_rng(0).random(100) + 0.1
STEPS = 21  # of three epochs of 100 rows in batches of 16


@pytest.fixture(autouse=True)
def _save_always(monkeypatch):
    always_due(monkeypatch)
    Fuse.new()


def every_second(ds, rng):
    return rng.permutation(len(ds))[: len(ds) // 2]


def half_with_torch(ds):
    return torch.randperm(len(ds))[: len(ds) // 2]


@sn.per_batch
def scaled(X, rng):
    return X * rng.uniform(0.5, 2)


@sn.per_batch
def mixed(X, y):
    order = torch.randperm(len(X))
    return (X + X[order]) / 2, y[order]


class Burn(nn.Module):
    """Counts the steps for modules that do not."""

    def forward(self, X):
        if self.training:
            Fuse.burn()
        return X


class DefaultModule(MLP):
    """The one that scales its inputs."""

    def forward(self, X):
        return super().forward(Burn.forward(self, X))


class Table(TableModule):
    """The one whose members are trained apart."""

    def forward(self, X):
        return super().forward(Burn.forward(self, X))


TABLE = {"module": Table, "module_params": {"task": "classes", "categories": [(3, 5)], "width": 8}}
PLATEAU = functools.partial(ReduceLROnPlateau, patience=0, threshold=10.0)
CASES = {
    "plain": {},
    "sgd": {"optimizer": "sgd", "optimizer__momentum": 0.9, "optimizer__nesterov": True},
    "adamw": {"optimizer": "adamw", "optimizer__amsgrad": True, "clip_grad_norm": 0.5},
    "muon": {"optimizer": "muon", "lr": 0.02, "accumulate_steps": 3, "clip_grad_norm": 0.5},
    "average": {"average_weights": 0.9, "accumulate_steps": 2},
    "average, stopping": {"average_weights": 0.5, "early_stopping": True, "lr": 0.1},
    "unfused": {"optimizer": torch.optim.Adamax},
    "accumulate": {"accumulate_steps": 3},
    "cosine": {"lr_schedule": "cosine"},
    "onecycle": {"lr_schedule": "onecycle", "accumulate_steps": 2},
    "warm-up": {"lr_schedule": "warmup-stable-decay", "accumulate_steps": 2},
    "milestones": {"lr_schedule": functools.partial(MultiStepLR, milestones=[1, 2])},
    "plateau": {"lr_schedule": PLATEAU},
    "cyclic": {
        "lr_schedule": functools.partial(CyclicLR, base_lr=0.001, max_lr=0.1, step_size_up=1),
        "optimizer": "sgd",
        "optimizer__momentum": 0.9,
    },
    "stopping": {"early_stopping": True, "patience": 1, "lr": 0.5},
    "score": {"early_stopping": True, "monitor": "accuracy", "lr": 0.1, "tol": 0.0},
    "sequential": {"sampler": "sequential"},
    "balanced": {"sampler": "balanced", "class_weight": {0: 2.0, 1: 1.0, 2: 0.5}},
    "own sampler": {"sampler": every_second},
    "torch sampler": {"sampler": half_with_torch},
    "class weights": {"class_weight": "balanced"},
    "augment": {"augment": [jittered, blurred, scaled, mixed]},
    "float64": {"precision": "float64", "accumulate_steps": 2},
    "bf16": {"precision": "bf16"},
    "one row": {"batch_size": 99, "max_epochs": 6},
    "instance": {"module": nn.Sequential(Burn(), nn.Linear(10, 3), nn.Dropout(0.5))},
    "default": {"module": DefaultModule, "module__dropout": 0.2},
    "table": TABLE | {"optimizer": "muon", "early_stopping": True},
    "criterion": {"criterion": nn.CrossEntropyLoss, "criterion__label_smoothing": 0.1},
}
FITS = {
    "sample weights": ({"sampler": "weighted"}, {"sample_weight": WEIGHT}),
    "weighted loss": ({"accumulate_steps": 3}, {"sample_weight": WEIGHT}),
    "own validation": ({"patience": 9}, {"X_val": X[:40], "y_val": Y[:40]}),
}


def classifier(folder=None, **params):
    clf = TorchClassifier(Noisy, max_epochs=3, batch_size=16, random_state=0, checkpoint_dir=folder)
    return clf.set_params(**params)


def assert_same(a, b, X=X):
    """Compare weights, history, optimizer, answers and the rest that was learned."""
    state, other = a.module_.state_dict(), b.module_.state_dict()
    assert list(state) == list(other)
    for name in state:
        assert torch.equal(state[name], other[name]), name
    assert records(a) == records(b)
    assert (a.n_iter_, a.loss_, a.n_inputs_) == (b.n_iter_, b.loss_, b.n_inputs_)
    assert set(vars(a)) == set(vars(b))
    for p, q in zip(
        flat(a.net_.descent_.state_dict()), flat(b.net_.descent_.state_dict()), strict=True
    ):
        assert torch.equal(p, q) if isinstance(p, torch.Tensor) else p == q
    np.testing.assert_array_equal(a.predict(X), b.predict(X))
    assert not a.module_.training
    assert not b.module_.training


def records(estimator):
    return [
        {k: v for k, v in epoch.items() if k not in ("dur", "wait")} for epoch in estimator.history_
    ]


def flat(tree):
    if isinstance(tree, dict):
        return [leaf for key in tree for leaf in (key, *flat(tree[key]))]
    if isinstance(tree, list | tuple):
        return [leaf for item in tree for leaf in flat(item)]
    return [tree]


def interrupted(estimator, step, *args, **keywords):
    """Fit until a step of training begins."""
    Fuse.new(step)
    with pytest.raises(Interrupted):
        estimator.fit(*args, **keywords)
    Fuse.new()


def check_resumed(make, tmp_path, steps, *args, **keywords):
    """Interrupt before some steps; what is resumed takes the others and is the same."""
    whole = make(None).fit(*args, **keywords)
    total = Fuse.steps
    for step in steps:
        folder = tmp_path / str(step)
        step = min(step, total - 1)
        interrupted(make(folder), step, *args, **keywords)
        resumed = make(folder).fit(*args, **keywords)
        assert Fuse.steps == total - step
        assert_same(whole, resumed)


@pytest.mark.parametrize("case", CASES)
def test_interrupted_and_resumed_is_never_interrupted(case, tmp_path):
    check_resumed(lambda folder: classifier(folder, **CASES[case]), tmp_path, [1, 6, 7, 10], X, Y)


@pytest.mark.parametrize("case", FITS)
def test_resumed_with_weights_and_validation_rows(case, tmp_path):
    params, keywords = FITS[case]
    check_resumed(lambda folder: classifier(folder, **params), tmp_path, [3, 13], X, Y, **keywords)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("step", range(1, STEPS, 2))
def test_interrupted_anywhere(case, step, tmp_path):
    check_resumed(lambda folder: classifier(folder, **CASES[case]), tmp_path, [step], X, Y)


SAVE = Checkpoints._save


def save_and_stop(checkpoints, kept, *what):
    SAVE(checkpoints, *what)
    checkpoints.saved = getattr(checkpoints, "saved", 0) + 1
    if checkpoints.saved == kept:
        raise Interrupted


@pytest.mark.slow
def test_compiled_shapes_are_compiled_again(tmp_path):
    """The last batch of an epoch, of another shape, is computed eagerly until it is common."""
    params = {"module": nn.Sequential(nn.Linear(10, 3)), "compile": True, "device": "cpu"}
    whole = classifier(**params).fit(X, Y)
    for kept in (1, 6, 7, 8):
        folder = tmp_path / str(kept)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Checkpoints, "_save", functools.partialmethod(save_and_stop, kept))
            with pytest.raises(Interrupted):
                classifier(folder, **params).fit(X, Y)
        assert_same(whole, classifier(folder, **params).fit(X, Y))


def test_a_regressor_in_the_units_of_its_target(tmp_path):
    def make(folder):
        return TorchRegressor(
            Noisy, max_epochs=3, batch_size=16, random_state=0, checkpoint_dir=folder
        )

    check_resumed(make, tmp_path, [5, 14], X, np.stack([VALUES, -VALUES], 1))


def test_interrupted_again_and_again(tmp_path):
    whole = classifier().fit(X, Y)
    for _ in range(10):
        Fuse.new(2)
        with pytest.raises(Interrupted):
            classifier(tmp_path).fit(X, Y)
    Fuse.new()
    assert_same(whole, classifier(tmp_path).fit(X, Y))
    assert Fuse.steps == STEPS - 20


def test_sums_of_losses_are_taken_in_the_same_order(tmp_path):
    """They are fetched 256 at a time: a checkpoint in between must not fetch them earlier."""
    data = classification(900)
    params = {"batch_size": 3, "max_epochs": 1}
    whole = classifier(**params).fit(*data, sample_weight=np.linspace(0.1, 1, 900))
    for step in (100, 256, 257, 299):
        folder = tmp_path / str(step)
        interrupted(
            classifier(folder, **params), step, *data, sample_weight=np.linspace(0.1, 1, 900)
        )
        resumed = classifier(folder, **params).fit(*data, sample_weight=np.linspace(0.1, 1, 900))
        assert_same(whole, resumed)


@pytest.fixture
def table(tmp_path):
    data, labels = classification(200)
    frame = pd.DataFrame(data, columns=[f"x{i}" for i in range(10)]).assign(y=labels)
    frame.to_parquet(tmp_path / "table.parquet", row_group_size=20)
    return tmp_path / "table.parquet"


@pytest.mark.parametrize("numbers", [(0, 1), (1, 0), ("auto", 2), (2, "auto")])
def test_files_with_another_number_of_workers(numbers, table, tmp_path):
    params = {"shuffle_memory": "8KB", "augment": [jittered, blurred], "early_stopping": True}
    ds = sn.scan_parquet(table, target="y")
    whole = classifier(num_workers=0, **params).fit(ds)
    total = Fuse.steps
    folder = tmp_path / "checkpoints"
    interrupted(classifier(folder, num_workers=numbers[0], **params), 17, ds)
    again = sn.scan_parquet(table, target="y")
    others = {"num_workers": numbers[1], "verbose": 1, "worker_timeout": 99, "pin_memory": False}
    resumed = classifier(folder, **others, **params).fit(again)
    assert Fuse.steps == total - 17
    assert_same(whole, resumed, ds)


def test_a_finished_fit_is_recognised(table, tmp_path):
    ds = sn.scan_parquet(table, target="y")
    params = {"early_stopping": True, "checkpoint_dir": str(tmp_path / "checkpoints")}
    first = classifier(**params).fit(ds)
    steps = Fuse.steps
    ds = sn.scan_parquet(table, target="y")
    labels = ds.target
    read = ds.source.rows_read, ds.source.blocks_read
    second = classifier(**params).fit(ds)
    assert Fuse.steps == steps
    assert (ds.source.rows_read, ds.source.blocks_read) == read
    assert_same(first, second, ds)
    assert str(first.pipeline_report_) == str(second.pipeline_report_)
    np.testing.assert_array_equal(first.classes_, np.unique(labels))
    # Both go on alike.
    for clf in (first, second):
        clf.partial_fit(ds)
    assert_same(first, second, ds)


@pytest.mark.parametrize(
    "params",
    [
        {"lr": 0.01},
        {"max_epochs": 4},
        {"batch_size": 8},
        {"random_state": 1},
        {"module__hidden": 9},
        {"augment": jittered},
        {"augment": lambda x: x + 1},
        {"module": nn.Linear(10, 3)},
        {"class_weight": {0: 2.0}},
        {"shuffle_memory": "1MB"},
    ],
)
def test_other_parameters_are_another_fit(params, tmp_path):
    classifier(tmp_path).fit(X, Y)
    other = classifier(tmp_path, **params).fit(X, Y)
    assert len(list(tmp_path.iterdir())) == 2
    same = {"num_workers": 0, "verbose": 0, "num_threads": 1, "device": "cpu"}
    Fuse.new()
    again = classifier(tmp_path, **params).set_params(**same).fit(X, Y)
    assert Fuse.steps == 0
    assert len(list(tmp_path.iterdir())) == 2
    np.testing.assert_array_equal(other.predict_proba(X), again.predict_proba(X))


def test_other_data_is_another_fit(tmp_path):
    changed = X.copy()
    changed[-1, -1] += 1
    names = np.array(["a", "b", "c"])[Y]
    fits = [
        ((X, Y), {}),
        ((X[:-1], Y[:-1]), {}),
        ((changed, Y), {}),
        ((X, Y[::-1]), {}),
        ((X, names), {}),
        ((X, Y), {"sample_weight": WEIGHT}),
        ((X, Y), {"X_val": X[:20], "y_val": Y[:20]}),
        ((X, Y), {"X_val": X[:21], "y_val": Y[:21]}),
    ]
    for args, keywords in fits:
        classifier(tmp_path).fit(*args, **keywords)
    assert len(list(tmp_path.iterdir())) == len(fits)
    Fuse.new()
    for args, keywords in fits:
        classifier(tmp_path).fit(*args, **keywords)
    assert Fuse.steps == 0
    TorchRegressor(Noisy, random_state=0, checkpoint_dir=tmp_path).fit(X, Y)
    assert len(list(tmp_path.iterdir())) == len(fits) + 1


def test_what_is_trained_no_longer_is_another_fit(tmp_path):
    net = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 3))
    for trained in (False, True):
        net[0].requires_grad_(trained)
        clf = TorchClassifier(net, max_epochs=1, random_state=0, checkpoint_dir=tmp_path).fit(X, Y)
        assert torch.equal(clf.module_[0].weight, net[0].weight) is not trained


def test_a_map_that_was_written_to_is_another_fit(tmp_path):
    rows = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", X.shape)
    rows[:] = X
    first = classifier(tmp_path / "fits").fit(rows, Y)
    rows[:] = 2 * X
    second = classifier(tmp_path / "fits").fit(rows, Y)
    assert len(list((tmp_path / "fits").iterdir())) == 2
    assert not np.array_equal(first.predict_proba(X), second.predict_proba(X))


def test_a_warm_start_from_another_scale_is_another_fit(tmp_path):
    params = {"max_epochs": 1, "random_state": 0, "lr": 1e-9, "warm_start": True}
    answers = []
    for scale in (1, 2):
        reg = TorchRegressor(**params).fit(X, VALUES * scale)
        reg.set_params(checkpoint_dir=tmp_path, lr=1e-3).fit(X, VALUES)
        answers.append(reg.predict(X))
    assert len(list(tmp_path.iterdir())) == 2
    assert not np.array_equal(*answers)


def test_a_search_repeats_no_finished_fit(table, tmp_path):
    ds = sn.scan_parquet(table, target="y")

    def search(folder):
        clf = classifier(folder, max_epochs=2, num_workers=0)
        return GridSearchCV(clf, {"lr": [0.01, 0.1]}, cv=3, error_score="raise")

    whole = search(None).fit(ds, ds.target)
    total = Fuse.steps
    folder = tmp_path / "checkpoints"
    interrupted(search(folder), total // 2, ds, ds.target)
    resumed = search(folder).fit(ds, ds.target)
    assert Fuse.steps == total - total // 2
    assert len(list(folder.iterdir())) == 7
    np.testing.assert_array_equal(
        whole.cv_results_["mean_test_score"], resumed.cv_results_["mean_test_score"]
    )
    assert_same(whole.best_estimator_, resumed.best_estimator_, ds)
    Fuse.new()
    search(folder).fit(ds, ds.target)
    assert Fuse.steps == 0


def test_a_warm_start_goes_on_from_its_own_net(tmp_path):
    def once(folder):
        return classifier(folder, warm_start=True).fit(X, Y)

    whole = once(None).fit(X, Y)
    fitted = pickle.dumps(once(tmp_path))
    interrupted(pickle.loads(fitted), 9, X, Y)
    resumed = pickle.loads(fitted).fit(X, Y)
    assert Fuse.steps == STEPS - 9
    assert resumed.n_iter_ == 6
    assert_same(whole, resumed)


def test_partial_fit_keeps_no_checkpoints(tmp_path):
    classifier(tmp_path / "checkpoints").partial_fit(X, Y)
    assert not (tmp_path / "checkpoints").exists()


def test_a_seed_is_needed(tmp_path):
    with pytest.raises(ValueError, match=r"checkpoint_dir needs random_state"):
        classifier(tmp_path, random_state=None).fit(X, Y)
    assert not list(tmp_path.iterdir())
    classifier(tmp_path, random_state=np.random.RandomState(0)).fit(X, Y)
    Fuse.new()
    classifier(tmp_path, random_state=np.random.RandomState(0)).fit(X, Y)
    assert Fuse.steps == 0


def test_callbacks_are_refused(tmp_path):
    with pytest.raises(ValueError, match="checkpoint_dir cannot be used with callbacks"):
        classifier(tmp_path, callbacks=[EpochScoring("accuracy")]).fit(X, Y)


def test_a_file_is_refused(tmp_path):
    path = tmp_path / "rows.csv"
    path.touch()
    with pytest.raises(NotADirectoryError, match=r"checkpoint_dir='.*rows\.csv' is a file"):
        classifier(path).fit(X, Y)


@pytest.mark.parametrize("folder", [5, "", b"checkpoints"])
def test_what_names_no_folder_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"checkpoint_dir={folder!r} names no folder\. Pass the"):
        classifier(folder).fit(X, Y)
    assert not list(tmp_path.iterdir())


def test_weights_that_became_nan_are_not_kept(tmp_path):
    params = {"optimizer": "sgd", "lr": 1e38, "module": nn.Linear(10, 3), "max_epochs": 5}
    with pytest.raises(FloatingPointError, match="step"):
        classifier(tmp_path, **params).fit(X, Y)
    (folder,) = tmp_path.iterdir()
    for path in folder.glob("*.safetensors"):
        losses = read(path)["losses"]["losses"]
        assert torch.isfinite(losses).all()


def test_the_global_generators_are_left_as_they_were(tmp_path):
    def drawn():
        return torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002

    def states():
        torch.manual_seed(5), np.random.seed(5), random.seed(5)  # noqa: NPY002

    states()
    expected = drawn()
    interrupted(classifier(tmp_path), 9, X, Y)
    for _ in range(2):  # resumed, then finished
        states()
        classifier(tmp_path).fit(X, Y)
        assert drawn() == expected


def test_a_clone_has_the_folder():
    assert clone(classifier("here")).checkpoint_dir == "here"


# Killed


def run(*args, stderr=subprocess.PIPE):
    command = [sys.executable, "-m", "tests.estimators.resumed", *map(str, args)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=env, stderr=stderr)


def finished(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()


def kill_when_saving(table, folder, num_workers, delay):
    """Kill a fit some time after its next checkpoint; say whether it was still running."""
    before = set(folder.rglob("*.safetensors"))
    process = run(table, folder, num_workers, os.devnull, stderr=subprocess.DEVNULL)
    while set(folder.rglob("*.safetensors")) <= before and process.poll() is None:
        time.sleep(0.002)
    time.sleep(delay)
    running = process.poll() is None
    process.kill()  # which does nothing if it has ended
    assert process.wait() in (0, -signal.SIGKILL)
    return running


def check_killed(table, tmp_path, workers, delays):
    whole, resumed, folder = tmp_path / "a.npz", tmp_path / "b.npz", tmp_path / "checkpoints"
    reference = run(table, "", 0, whole)
    killed = [
        kill_when_saving(table, folder, n, delay) for n, delay in zip(workers, delays, strict=False)
    ]
    finished(reference)
    assert any(killed)
    finished(run(table, folder, workers[-1], resumed))
    with np.load(whole) as a, np.load(resumed) as b:
        assert a.files == b.files
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])
    (fit,) = folder.iterdir()
    assert len(list(fit.glob("*.safetensors"))) == 2
    assert not list(fit.glob(".*.part"))


@pytest.mark.slow
def test_killed_and_resumed_with_other_workers(table, tmp_path):
    check_killed(table, tmp_path, (0, 2), [0.05])


@pytest.mark.slow
def test_killed_twice(table, tmp_path):
    check_killed(table, tmp_path, (1, 0, 0), [0.02, 0.08])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_killed_at_random_moments(seed, table, tmp_path):
    rng = np.random.default_rng(seed)
    workers = rng.integers(0, 3, 5).tolist()
    check_killed(table, tmp_path, workers, rng.uniform(0, 0.15, 4).tolist())
