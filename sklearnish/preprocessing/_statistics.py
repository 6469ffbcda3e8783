"""Mean and spread of inputs and targets, weighted."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sklearnish.data import Dataset, at_random, is_coarse, read_finite, spread

_ROWS, _VALUES = 2**16, 2**22
"""Bounds of the sample: rows and numbers."""

IntArray = npt.NDArray[np.int64]


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
        self._rounded = torch.zeros((), dtype=torch.bool)

    def add(self, values: Tensor, weight: Tensor | None) -> "_Moments":
        """Take in some rows."""
        single, values = values.dtype == torch.float32, values.double()
        self._indicator = self._indicator & ((values == 0) | (values == 1)).all(0)
        # What comes in float32 may have been rounded before.
        self._rounded = self._rounded | single | (values.float() != values).any(0)
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
        """List the columns whose values float32 rounds by much, for how little they vary."""
        far = ~self._constant() & is_coarse(self._mean, self._variance.sqrt())
        return (far & self._rounded).nonzero().flatten().tolist()

    def finish_inputs(self) -> tuple[Tensor, Tensor]:
        """Do so, but leave columns of zeros and ones as they are: a rare one would be blown up.

        After Gelman (2008), "Scaling regression inputs by dividing by two standard deviations".
        """
        mean, scale = self.finish()
        return mean.where(~self._indicator, 0.0), scale.where(~self._indicator, 1.0)


class InputMoments(NamedTuple):
    """Mean and deviation of the inputs, and which of them float32 rounds by much."""

    mean: Tensor
    scale: Tensor
    coarse: list[int]


def input_moments(dataset: Dataset, seed: int, *, weighted: bool) -> InputMoments:
    """Compute the inputs' moments over the rows, or over a fixed sample of many.

    Columns of zeros and ones are left as they are: mean 0, deviation 1. The rows are read in
    float64, except where functions are applied to them, which may know float32 alone.
    """
    merged = _Moments()
    rows = _as_float64(dataset)
    for positions in _sample(dataset, seed):
        X, _, weight = read_finite(rows, positions)
        if isinstance(X, dict):
            raise TypeError(
                "Rows are dicts of tensors, which the default module cannot take: pass a module "
                f"whose forward has the arguments {sorted(X)}."
            )
        merged.add(X.flatten(1), weight if weighted else None)
    return InputMoments(*merged.finish_inputs(), merged.coarse())


def _as_float64(dataset: Dataset) -> Dataset:
    """Read rows in float64, unless functions are applied to them."""
    return dataset if dataset.transforms else dataset.with_dtype(torch.float64)


def _sample(dataset: Dataset, seed: int) -> list[IntArray]:
    """Pick positions to be read together: all, some at random in memory, or stretches of files."""
    n = len(dataset)
    width = max(1, int(np.prod(dataset.row_shape, dtype=np.int64)))
    wanted = max(2, min(_ROWS, _VALUES // width))
    blocks = dataset.source.blocks
    if n <= wanted or blocks is None:
        return [at_random(n, wanted, seed)]
    return spread(dataset._rows, blocks, wanted, seed)
