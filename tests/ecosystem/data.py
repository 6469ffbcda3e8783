"""Few rows, as arrays and as a Parquet file, and small estimators for them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import sklearnish as sn

N_ROWS = 60
QUICK = {
    "module_params": {"hidden": 8},
    "max_epochs": 2,
    "batch_size": 16,
    "lr": 0.05,
    "num_workers": 0,
    "num_threads": 1,
    "random_state": 0,
}


@dataclass
class Rows:
    """Features of one kind, and targets as arrays."""

    X: Any
    two: Any
    three: Any
    number: Any
    numbers: Any
    labels: Any


def clf(**params):
    return sn.TorchClassifier(**QUICK | params)


def reg(**params):
    return sn.TorchRegressor(**QUICK | params)


def make_rows(folder=None):
    """Return rows in memory or, if there is a folder, in a file."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 4)).astype(np.float32)
    number = (X @ [2.0, -1.0, 0.5, 0.0]).round(3)
    targets = {
        "two": (number > 0).astype(int),
        "three": np.digitize(number, [-1.0, 1.0]),
        "number": number,
        "numbers": np.stack([number, -number], axis=1),
        "labels": (X[:, :2] > 0).astype(int),
    }
    if folder is not None:
        frame = pd.DataFrame(X, columns=list("abcd")).assign(label=targets["two"])
        frame.to_parquet(folder / "rows.parquet", row_group_size=10)
        X = sn.scan_parquet(folder / "rows.parquet", target="label")
    return Rows(X, **targets)
