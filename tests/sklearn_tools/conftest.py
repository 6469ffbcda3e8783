"""One small table written in every kind of Dataset, and what plain arrays would give."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pytest
import torch
from torch.utils.data import TensorDataset

import sklearnish as sn
from sklearnish.estimators import TorchClassifier, TorchRegressor

FEATURES = ["a", "b", "c", "d"]
KINDS = ["array", "pandas", "polars", "parquet", "csv", "npy", "torch"]
NAMED = ["pandas", "polars", "parquet", "csv"]
N_ROWS = 120


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows in memory: features, labels of two and three classes, numbers, groups."""

    X: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]
    three: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    groups: npt.NDArray[np.int64]

    def target(self, name):
        """Return one target, or several as columns."""
        if isinstance(name, str):
            return getattr(self, name)
        return np.stack([getattr(self, part) for part in name], axis=1)

    def frame(self, target):
        """Return features and targets as a DataFrame."""
        names = [target] if isinstance(target, str) else target
        return pd.DataFrame(self.X, columns=FEATURES).assign(
            **{name: getattr(self, name) for name in names}
        )


@pytest.fixture(scope="session")
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 4)).round(3).astype(np.float32)
    value = (X @ [2.0, -1.0, 0.5, 0.0] + 0.3 * rng.normal(size=N_ROWS)).round(3)
    return Table(
        X=X,
        label=(value > 0).astype(np.int64),
        three=np.digitize(value, [-1.0, 1.0]),
        value=value,
        groups=np.arange(N_ROWS) // 12,
    )


@pytest.fixture(scope="session")
def make(table, tmp_path_factory):
    """Make the Dataset of a kind, with one of the targets."""

    def make(kind, target="label"):
        folder = tmp_path_factory.mktemp(kind)
        return _MAKERS[kind](table, target, folder)

    return make


def _frames(kind, table, target):
    frame = table.frame(target)
    frame = pl.from_pandas(frame) if kind == "polars" else frame
    return sn.as_dataset(frame[FEATURES], table.target(target))


def _parquet(table, target, folder):
    frame = table.frame(target)
    half = N_ROWS // 2
    frame[:half].to_parquet(folder / "0.parquet", row_group_size=10)
    frame[half:].to_parquet(folder / "1.parquet", row_group_size=10)
    return sn.scan_parquet(folder, target=target)


def _csv(table, target, folder):
    exact = table.frame(target).astype(dict.fromkeys(FEATURES, float))  # with all their digits
    exact.to_csv(folder / "table.csv", index=False)
    return sn.scan_csv(folder / "table.csv", target=target)


def _npy(table, target, folder):
    np.save(folder / "X.npy", table.X)
    return sn.scan_npy(folder / "X.npy", target=table.target(target))


def _torch(table, target, folder):
    y = torch.from_numpy(table.target(target))
    return sn.as_dataset(TensorDataset(torch.from_numpy(table.X), y))


_MAKERS = {
    "array": lambda table, target, folder: sn.as_dataset(table.X, table.target(target)),
    "pandas": lambda table, target, folder: _frames("pandas", table, target),
    "polars": lambda table, target, folder: _frames("polars", table, target),
    "parquet": _parquet,
    "csv": _csv,
    "npy": _npy,
    "torch": _torch,
}


@pytest.fixture(scope="session", params=KINDS)
def ds(request, make):
    """Two classes, in every kind."""
    return make(request.param)


@pytest.fixture(scope="session", params=KINDS)
def ds_value(request, make):
    """Numbers to regress on, in every kind."""
    return make(request.param, "value")


@pytest.fixture(scope="session", params=NAMED)
def named(request, make):
    """Two classes, in every kind that has column names."""
    return make(request.param)


@pytest.fixture(scope="session")
def parquet(make):
    """Two classes in two files of six row groups."""
    return make("parquet")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """40 pictures of two classes: dark and bright."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name, level in (("bright", 200), ("dark", 50)):
        (folder / name).mkdir()
        for i in range(20):
            pixels = np.clip(rng.normal(level, 30, size=(4, 5, 3)), 0, 255).astype(np.uint8)
            image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return sn.scan_images(folder)


_QUICK = {
    "module_params": {"hidden": 16},
    "max_epochs": 2,
    "batch_size": 32,
    "lr": 0.1,
    "sampler": "sequential",
    "num_workers": 0,
    "num_threads": 1,
    "random_state": 0,
}


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny sums are quicker on one thread, above all beside other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def clf():
    """Reads rows in order, so that every kind of storage gives the very same model."""
    return TorchClassifier(**_QUICK)


@pytest.fixture
def reg():
    """As clf, for numbers."""
    return TorchRegressor(**_QUICK)


class PairsOfInputs(torch.utils.data.Dataset):
    """A user's torch Dataset: two inputs with names, one label."""

    def __init__(self, X, y):
        self.X, self.y = torch.from_numpy(X), y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return {"left": self.X[i, :2], "right": self.X[i, 2:]}, int(self.y[i])


class TwoInputs(torch.nn.Module):
    """Takes them as keyword arguments."""

    def __init__(self, out_features):
        super().__init__()
        self.layer = torch.nn.Linear(4, out_features)

    def forward(self, left, right):
        return self.layer(torch.cat([left, right], dim=1))


@pytest.fixture
def named_inputs(table):
    """Rows that are dicts of tensors."""
    return sn.as_dataset(PairsOfInputs(table.X, table.label))


@pytest.fixture
def two_inputs(clf):
    """Takes such rows."""
    return clf.set_params(module=TwoInputs, module_params=None)
