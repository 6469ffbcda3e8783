"""Mean and spread of inputs and targets, weighted."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sklearnish.data._dataset import Dataset

_ROWS, _VALUES, _STRETCHES = 2**16, 2**24, 8
"""Bounds of the sample: rows, numbers, and stretches that it is read in from files."""

FloatArray = npt.NDArray[np.float64]


def moments(values: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation of each column in float64; 1 where it is constant."""
    values = values.double()
    if weight is None:
        mean = values.mean(0)
        variance = values.sub(mean).square_().mean(0)
    else:
        share = weight.double() / weight.double().sum()
        mean = share @ values
        variance = share @ values.sub(mean).square_()
    return mean, _spread(mean, variance, len(values))


def _spread(mean: Tensor, variance: Tensor, n: int) -> Tensor:
    """Take the root; what rounding alone explains counts as constant."""
    eps = torch.finfo(torch.float64).eps
    noise = n * eps * variance + (n * mean * eps).square()
    return torch.where(variance <= noise, 1.0, variance.sqrt())


def input_moments(dataset: Dataset, seed: int, *, weighted: bool) -> tuple[Tensor, Tensor]:
    """Compute the inputs' moments over the rows, or over a fixed sample of many."""
    X, _, weight = dataset.read(_sample(dataset, seed), finite=True)
    assert isinstance(X, Tensor)
    return moments(X.flatten(1), weight if weighted else None)


def _sample(dataset: Dataset, seed: int) -> npt.NDArray[np.int64]:
    """Pick positions: all, or from a few blocks spread over files, or at random in memory."""
    n = len(dataset)
    width = max(1, int(np.prod(dataset.row_shape, dtype=np.int64)))
    wanted = max(2, min(_ROWS, _VALUES // width))
    if n <= wanted:
        return np.arange(n)
    if dataset.source.blocks is None:
        return np.sort(np.random.default_rng(seed).choice(n, wanted, replace=False))
    return _from_blocks(dataset.rows, dataset.source.blocks, wanted)


def _from_blocks(
    rows: npt.NDArray[np.int64], blocks: npt.NDArray[np.int64], wanted: int
) -> npt.NDArray[np.int64]:
    """Pick positions from evenly spaced blocks, so that only those are read."""
    block = np.searchsorted(blocks, rows, side="right") - 1
    present = np.unique(block)
    n = min(_STRETCHES, len(present))
    chosen = present[np.linspace(0, len(present) - 1, n).astype(int)]
    picked = [np.flatnonzero(block == b)[: -(-wanted // n)] for b in chosen]
    return np.sort(np.concatenate(picked))
