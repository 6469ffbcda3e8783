"""Mean and spread of inputs and targets, weighted."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sklearnish.data._dataset import Dataset
from sklearnish.data._rows import is_ascending, offsets

_ROWS, _VALUES, _STRETCHES = 2**16, 2**22, 8
"""Bounds of the sample: rows, numbers, and stretches that it is read in from files."""

_COARSE = 0.01
"""Rounding, as a share of a column's deviation, that is worth a warning."""

IntArray = npt.NDArray[np.int64]
RowArray = npt.NDArray[np.integer[Any]]


def moments(values: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation of each column in float64; 1 where it is constant."""
    return _Moments().add(values, weight).finish()


class _Moments:
    """Weight, mean and variance of rows, piece by piece.

    Pieces are merged as in Chan, Golub and LeVeque (1979), "Updating formulae and a pairwise
    algorithm for computing sample variances".
    """

    def __init__(self) -> None:
        self._n, self._total = 0, 0.0
        self._mean = self._variance = torch.zeros(())
        self._indicator = torch.ones((), dtype=torch.bool)

    def add(self, values: Tensor, weight: Tensor | None) -> "_Moments":
        """Take in some rows."""
        values = values.double()
        self._indicator = self._indicator & ((values == 0) | (values == 1)).all(0)
        if weight is None:
            total = float(len(values))
            mean = values.mean(0)
            variance = values.sub(mean).square_().mean(0)
        else:
            total = float(weight.double().sum())
            share = weight.double() / weight.double().sum()
            mean = share @ values
            variance = share @ values.sub(mean).square_()
        return self._merge(len(values), total, mean, variance)

    def _merge(self, n: int, total: float, mean: Tensor, variance: Tensor) -> "_Moments":
        """Join the moments of further rows to those so far."""
        if self._n:
            part = total / (self._total + total)
            step = mean - self._mean
            mean = self._mean + part * step
            between = part * (1 - part) * step.square()
            variance = (1 - part) * self._variance + part * variance + between
        self._n, self._total = self._n + n, self._total + total
        self._mean, self._variance = mean, variance
        return self

    def finish(self) -> tuple[Tensor, Tensor]:
        """Take the root; what rounding alone explains counts as constant."""
        return self._mean, torch.where(self._constant(), 1.0, self._variance.sqrt())

    def _constant(self) -> Tensor:
        """Say which columns never change."""
        eps = torch.finfo(torch.float64).eps
        noise = self._n * eps * self._variance + (self._n * self._mean * eps).square()
        return self._variance <= noise

    def coarse(self) -> list[int]:
        """List the columns whose values float32 rounds by more than a hundredth of their spread."""
        step = torch.finfo(torch.float32).eps * self._mean.abs()
        rounded = ~self._constant() & (step > _COARSE * self._variance.sqrt())
        return rounded.nonzero().flatten().tolist()

    def finish_inputs(self) -> tuple[Tensor, Tensor]:
        """Do so, but leave columns of zeros and ones as they are: a rare one would be blown up.

        After Gelman (2008), "Scaling regression inputs by dividing by two standard deviations".
        """
        mean, scale = self.finish()
        return mean.where(~self._indicator, 0.0), scale.where(~self._indicator, 1.0)


def input_moments(dataset: Dataset, seed: int, *, weighted: bool) -> tuple[Tensor, Tensor]:
    """Compute the inputs' moments over the rows, or over a fixed sample of many.

    Columns of zeros and ones are left as they are: mean 0, deviation 1.
    """
    merged = _Moments()
    for positions in _sample(dataset, seed):
        X, _, weight = dataset.read(positions, finite=True)
        if isinstance(X, dict):
            raise TypeError(
                "Rows are dicts of tensors, which the default module cannot take: pass a module "
                f"whose forward has the arguments {sorted(X)}."
            )
        merged.add(X.flatten(1), weight if weighted else None)
        exact = X.dtype == torch.float64
    if not exact:
        _warn_of_rounding(dataset, merged.coarse())
    return merged.finish_inputs()


def _warn_of_rounding(dataset: Dataset, columns: list[int]) -> None:
    """Name columns far from zero, of whose differences float32 keeps little."""
    if not columns:
        return
    names = getattr(dataset, "columns", ())
    shown = [repr(names[i]) if i < len(names) else str(i) for i in columns[:5]]
    more = f" and {len(columns) - 5} more" if len(columns) > 5 else ""
    warnings.warn(
        f"float32 loses much of column {', '.join(shown)}{more} of {dataset.source.name}: far from "
        "zero, for how little the values vary. Subtract an offset, or scale before (StandardScaler "
        "works in float64), or fit with precision='float64'.",
        UserWarning,
        stacklevel=2,
    )


def _sample(dataset: Dataset, seed: int) -> list[IntArray]:
    """Pick positions to be read together: all, a few at random in memory, or a few stretches."""
    n = len(dataset)
    width = max(1, int(np.prod(dataset.row_shape, dtype=np.int64)))
    wanted = max(2, min(_ROWS, _VALUES // width))
    if n <= wanted:
        return [np.arange(n)]
    if dataset.source.blocks is None:
        return [np.sort(np.random.default_rng(seed).choice(n, wanted, replace=False))]
    return _stretches(dataset, dataset.source.blocks, wanted)


def _stretches(dataset: Dataset, blocks: IntArray, wanted: int) -> list[IntArray]:
    """Pick the first positions of a few blocks, evenly spaced, so that only those are read.

    Blocks are found at every so-manieth position, so that no array grows with the file.
    """
    some = dataset[:: max(1, len(dataset) // 2**16)].rows
    present = np.unique(np.searchsorted(blocks, some, side="right") - 1)
    n = min(_STRETCHES, len(present))
    chosen = present[np.linspace(0, len(present) - 1, n).astype(int)]
    rows = dataset.rows
    inside = (_between(rows, blocks[b], blocks[b + 1]) for b in chosen)
    return [positions[: -(-wanted // n)] for positions in inside]


def _between(rows: RowArray, start: int, stop: int) -> IntArray:
    """Find the positions of rows from `start` to before `stop`."""
    if is_ascending(rows):
        return np.arange(*offsets(rows, np.array([start, stop])))
    return np.flatnonzero((rows >= start) & (rows < stop))
