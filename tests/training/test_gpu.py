"""Whole fits on a GPU; how batches get there: tests/data/tensors/test_transfer.py."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import cross_validate
from torch import nn

import sklearnish as sn

pytestmark = pytest.mark.gpu

N = 1003  # the last batch is smaller


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 6), dtype=np.float32)
    return X, (X[:, 0] + 0.3 * X[:, 1] > 0).astype(np.int64)


@pytest.fixture(scope="module")
def parquet(arrays, tmp_path_factory):
    X, y = arrays
    path = tmp_path_factory.mktemp("gpu") / "rows.parquet"
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    frame.assign(y=y).to_parquet(path, row_group_size=100)
    return path


def fitted(X, y, **options):
    options = {"device": "cuda", "max_epochs": 8, "batch_size": 64, "random_state": 0} | options
    return sn.TorchClassifier(lr=0.01, **options).fit(X, y)


def losses(clf):
    return np.array([epoch["train_loss"] for epoch in clf.history_])


def test_the_gpu_is_the_default_and_learns(arrays):
    clf = fitted(*arrays, device="auto")
    assert next(clf.module_.parameters()).device.type == "cuda"
    assert clf.score(*arrays) > 0.95
    assert isinstance(clf.predict_proba(arrays[0]), np.ndarray)


@pytest.mark.slow
def test_candidates_in_two_processes_share_the_gpus(arrays):
    clf = sn.TorchClassifier(max_epochs=4, num_workers=0, random_state=0)
    found = cross_validate(clf, *arrays, cv=4, n_jobs=2, return_estimator=True, error_score="raise")
    assert {torch.device(model.net_.device).type for model in found["estimator"]} == {"cuda"}


def test_the_losses_are_those_of_the_cpu(arrays):
    here, there = fitted(*arrays, device="cpu"), fitted(*arrays)
    assert np.allclose(losses(there), losses(here), rtol=1e-2)


@pytest.mark.parametrize("num_workers", ["auto", 0, 2])
@pytest.mark.parametrize("pin_memory", ["auto", False])
def test_files_give_the_same_however_they_travel(parquet, num_workers, pin_memory):
    ds = sn.scan_parquet(parquet, target="y")
    options = {"num_workers": num_workers, "pin_memory": pin_memory}
    expected = losses(fitted(ds, ds.target, num_workers=0, pin_memory=False))
    assert np.allclose(losses(fitted(ds, ds.target, **options)), expected, rtol=1e-4)


def test_rows_that_stay_on_the_host_give_the_same(arrays):
    X, y = arrays
    ds = sn.as_dataset(X, y)
    streamed = ds.map_batches(torch.clone)  # a function of rows: they are read anew each time
    expected = losses(fitted(streamed, ds.target))
    assert np.allclose(losses(fitted(ds, ds.target)), expected, rtol=1e-4)


def test_weights_travel_along(arrays):
    X, y = arrays
    weight = np.where(y == 1, 5.0, 1.0)
    options = {"lr": 0.01, "max_epochs": 3, "random_state": 0}
    here = sn.TorchClassifier(device="cpu", **options).fit(X, y, sample_weight=weight)
    there = sn.TorchClassifier(device="cuda", **options).fit(X, y, sample_weight=weight)
    assert np.allclose(losses(there), losses(here), rtol=1e-2)


class Sum(nn.Module):
    """Takes its features by name."""

    def __init__(self, out_features=2):
        super().__init__()
        self.left, self.right = nn.Linear(3, out_features), nn.Linear(3, out_features)

    def forward(self, left, right):
        return self.left(left) + self.right(right)


class Named(torch.utils.data.Dataset):
    """Rows that are dicts."""

    def __init__(self, X, y):
        self.X, self.targets = torch.from_numpy(X), y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, row):
        return {"left": self.X[row, :3], "right": self.X[row, 3:]}, self.targets[row]


def test_features_by_name_travel(arrays):
    ds = Named(*arrays)
    clf = sn.TorchClassifier(Sum, lr=0.05, max_epochs=8, device="cuda", random_state=0)
    assert clf.fit(ds).score(ds, ds.targets) > 0.95


@pytest.mark.parametrize("precision", ["float64", "bf16", "fp16"])
def test_other_precisions(arrays, precision):
    assert fitted(*arrays, precision=precision).score(*arrays) > 0.95


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler and its subprocesses
@pytest.mark.parametrize(
    "options",
    [{}, {"accumulate_steps": 3}, {"lr_schedule": "onecycle"}, {"precision": "bf16"}],
    ids=lambda options: "-".join(options) or "plain",
)
def test_a_compiled_step_gives_the_losses_of_a_plain_one(arrays, options):
    """Captured graphs are replayed, the last smaller batch included."""
    plain = fitted(*arrays, **options)
    compiled = fitted(*arrays, compile=True, **options)
    assert np.allclose(losses(compiled), losses(plain), rtol=3e-2)
    assert compiled.score(*arrays) > 0.95


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_step_keeps_the_weights_of_its_rows(arrays):
    """The next replay writes over what a graph has put out."""
    X, y = arrays
    weight = np.where(np.arange(N) < N // 2, 5.0, 1.0)
    params = {"lr": 0.01, "max_epochs": 4, "batch_size": 64, "device": "cuda", "random_state": 0}
    plain, compiled = (
        sn.TorchClassifier(compile=c, **params).fit(X, y, sample_weight=weight)
        for c in (False, True)
    )
    assert np.allclose(losses(compiled), losses(plain), rtol=3e-2)


def classifier(X, y, **params):
    return sn.TorchClassifier(**params).fit(X, y)


def several_targets(X, y, **params):
    """Their units differ, so losses are converted by target."""
    return sn.TorchRegressor(**params).fit(X, X[:, :2] * np.float32([1, 1000]))


def images(X, y, **params):
    """Moved and mirrored at random, on the device."""
    pixels = np.random.default_rng(0).integers(0, 256, (N, 1, 8, 8), dtype=np.uint8)
    return sn.ImageClassifier(width=4, flip="random", **params).fit(pixels, y)


@pytest.mark.parametrize("fit", [classifier, several_targets, images])
def test_no_step_waits_for_the_device(arrays, fit):
    n_batches, calls = -(-N // 64), itertools.count(1)

    def watched(X, rng):
        """Refuse whatever waits, from the first batch of an epoch to its last."""
        last = next(calls) % n_batches == 0
        torch.cuda.set_sync_debug_mode("default" if last else "error")
        return X

    try:
        params = {"device": "cuda", "max_epochs": 2, "batch_size": 64, "random_state": 0}
        fit(*arrays, augment=sn.per_batch(watched), **params)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert next(calls) == 2 * n_batches + 1


def test_the_memory_of_the_rows_is_free_after_fit(arrays):
    X = np.repeat(arrays[0], 1000, axis=0)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    clf = fitted(X, np.repeat(arrays[1], 1000), max_epochs=1, batch_size=65_536)
    assert torch.cuda.memory_allocated() - before < X.nbytes / 2
    assert clf.n_iter_ == 1
