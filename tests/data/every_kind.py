"""The same rows in an array, a sparse matrix, a tensor, a DataFrame and a Parquet file."""

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from sklearnish.data import scan_parquet
from sklearnish.data._as_dataset import as_dataset

N = 24
X = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
NAMES = ["a", "b", "c", "d"]
FRAME = pd.DataFrame(X, columns=NAMES).assign(label=np.arange(N) % 3, w=np.arange(N) / N)
KINDS = ["array", "sparse", "tensor", "frame", "parquet"]


def dataset(kind, path):
    """Make a Dataset of one kind; the Parquet file is written to the path."""
    if kind == "parquet":
        FRAME.to_parquet(path, row_group_size=5)
        return scan_parquet(path, target="label", weight="w")
    make = {"array": np.copy, "sparse": sp.csr_array, "tensor": torch.tensor}
    features = FRAME[NAMES] if kind == "frame" else make[kind](X)
    return as_dataset(features, FRAME["label"], sample_weight=FRAME["w"])


def everything(view):
    """Read all rows."""
    return view.read(np.arange(len(view)))


def noisy(x, rng):
    """Add noise."""
    return x + torch.from_numpy(rng.normal(size=len(x)))
