"""The same data, parameters, seed and threads give the same weights, bit for bit."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import sklearnish as sn
from tests.estimators.common import classification
from tests.estimators.resumed import blurred, jittered
from tests.faults import _data


class Dropped(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_features, 16), nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, out_features)
        )

    def forward(self, X):
        return self.layers(X)


class Small(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.ReLU(),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.LazyLinear(out_features),
        )

    def forward(self, X):
        return self.layers(X / 255)


def mixed(X, y):
    order = torch.randperm(len(X))
    return (X + X[order]) / 2, y


def estimator(source, num_workers="auto", **params):
    return sn.TorchClassifier(
        Small if source == "pictures" else Dropped,
        augment=[blurred, jittered, sn.per_batch(mixed)],
        early_stopping=True,
        max_epochs=3,
        batch_size=16,
        shuffle_memory="24KB",
        num_workers=num_workers,
        random_state=0,
        **params,
    )


def write(folder):
    X, y = classification(300)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(10)]).assign(y=y)
    frame.to_parquet(folder / "a.parquet", row_group_size=40)
    frame.to_csv(folder / "a.csv", index=False)
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    _data.pictures(folder / "pictures", 7)


def scan(source, folder):
    if source == "pictures":
        return sn.scan_images(folder / "pictures")
    if source in ("parquet", "csv"):
        return getattr(sn, f"scan_{source}")(folder / f"a.{source}", target="y")
    X, y = np.load(folder / "X.npy"), np.load(folder / "y.npy")
    return sn.scan_npy(folder / "X.npy", target=y) if source == "npy" else sn.as_dataset(X, y)


SOURCES = ["arrays", "parquet", "csv", "npy", "pictures"]


def weights(clf):
    return [p.tolist() for p in clf.module_.state_dict().values()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    write(folder)
    return folder


@pytest.fixture(scope="module")
def reference(folder):
    """Weights of fits that read inline."""
    return {s: weights(estimator(s, 0, num_threads=1).fit(scan(s, folder))) for s in SOURCES}


@pytest.mark.parametrize("num_workers", ["auto", 1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("source", SOURCES)
def test_the_number_of_workers_plays_no_part(source, num_workers, folder, reference):
    clf = estimator(source, num_workers, num_threads=1).fit(scan(source, folder))
    assert weights(clf) == reference[source]


def test_the_thread_plays_no_part(folder, reference, monkeypatch):
    """Two threads fit at once, and take turns after every step."""
    monkeypatch.setattr("sklearnish.data._functions.randomness._SLICE", 0.0)
    both = [estimator("parquet", n, num_threads=1) for n in (0, 2)]
    threads = [
        threading.Thread(target=lambda clf=clf: clf.fit(scan("parquet", folder))) for clf in both
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [weights(clf) for clf in both] == [reference["parquet"]] * 2


SCRIPT = """
import json, multiprocessing, sys
from pathlib import Path
from tests.test_reproducible import estimator, scan, weights

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    folder = Path(sys.argv[2])
    for source in sys.argv[3].split(","):
        fitted = estimator(source, 2, num_threads=1).fit(scan(source, folder))
        print(json.dumps([source, fitted.pipeline_report_.plan, weights(fitted)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_the_start_method_plays_no_part(method, folder, reference, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", method, folder, ",".join(SOURCES)],
        capture_output=True,
        text=True,
        timeout=280,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    fits = [json.loads(line) for line in done.stdout.splitlines()]
    assert [source for source, _, _ in fits] == SOURCES
    for source, plan, found in fits:
        assert plan == "2 processes"
        assert found == reference[source]


def test_saved_loaded_and_fitted_further(folder, tmp_path):
    ds = scan("parquet", folder)
    clf = estimator("parquet").fit(ds)
    sn.save(clf, tmp_path / "model.sn")
    trusted = [f"{f.__module__}.{f.__qualname__}" for f in (Dropped, blurred, jittered, mixed)]
    loaded = sn.load(tmp_path / "model.sn", trusted=trusted)
    assert weights(loaded) == weights(clf)
    for _ in range(2):
        clf.partial_fit(ds)
        loaded.partial_fit(ds)
    assert weights(loaded) == weights(clf)


@pytest.mark.gpu
def test_on_a_gpu_with_deterministic_algorithms(folder, monkeypatch):
    """As torch has them: https://docs.pytorch.org/docs/stable/notes/randomness.html."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it torch refuses products
    torch.use_deterministic_algorithms(True)
    try:
        for source in ("parquet", "pictures"):
            first, second = (
                weights(estimator(source, n, device="cuda").fit(scan(source, folder)))
                for n in (0, 2)
            )
            assert first == second
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("alone", [sn.per_batch(mixed), jittered])
def test_one_function_is_as_good_as_a_list_of_it(alone):
    X, y = classification(60)
    first, second = (
        sn.TorchClassifier(max_epochs=1, random_state=0, augment=augment).fit(X, y)
        for augment in (alone, [alone])
    )
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))
