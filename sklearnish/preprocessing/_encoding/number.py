"""Numbers: normal scores, whether one is missing, and codes of few whole numbers."""

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from sklearnish.preprocessing._encoding.category import codes_of, labels_of
from sklearnish.preprocessing._encoding.outputs import Output, missing
from sklearnish.preprocessing._encoding.piecewise import PiecewiseLinear
from sklearnish.preprocessing._encoding.values import Floats, numbers

Single = npt.NDArray[np.float32]

_GRID = 500
"""Ranks at which the scores are exact; each takes two knots at most."""

_TAIL = 1e-5
_LARGEST = np.finfo(np.float64).max


@dataclass(frozen=True, eq=False)
class NumberColumn:
    """A column of numbers.

    Attributes
    ----------
    knots, scores : ndarray of shape (n_knots,)
        Values, ascending, and their normal scores; linear between, constant outside.
    gaps : bool
        Whether `fit` saw missing values.
    levels : tuple
        Values that have a code, where they are few whole numbers.
    """

    knots: Floats
    scores: Floats
    gaps: bool
    levels: tuple[Any, ...]

    kind = "number"
    family = "number"

    @property
    def n_outputs(self) -> int:
        """Count the columns that come out."""
        return 1 + self.gaps + bool(self.levels)

    def outputs(self, name: str) -> list[Output]:
        """Name the columns that come out."""
        gaps = [missing(name)] if self.gaps else []
        labels = labels_of(name, self.levels, missing=False)
        codes = [Output(f"{name}:code", "category", labels)] if self.levels else []
        return [Output(name, "number"), *gaps, *codes]

    def encode(self, column: Any, out: Single) -> None:
        """Write the columns that come out, one after the other."""
        values = numbers(column)
        out[0] = self.scores_of(values)
        if self.gaps or np.isnan(values).any():
            no_value = np.isnan(values)
            np.putmask(out[0], no_value, 0.0)
            if self.gaps:
                out[1] = no_value
        if self.levels:
            out[-1] = codes_of(column, self.levels)

    def scores_of(self, values: Floats) -> Single:
        """Return the scores of values; NaN has none."""
        if self not in _LINES:
            _LINES[self] = PiecewiseLinear(self.knots, self.scores)
        return _LINES[self](values)


_LINES: WeakKeyDictionary[NumberColumn, PiecewiseLinear] = WeakKeyDictionary()
"""What is made once in each process of a column that lives there."""


def number_column(values: Floats, *, gaps: bool, levels: tuple[Any, ...] = ()) -> NumberColumn:
    """Make knots of the values of a sample.

    A value's score is the normal quantile of its middle rank, after van der Waerden (1952): so a
    tie takes the middle of its ranks, and the zeros of a column that is mostly zero become about 0.
    """
    finite = np.clip(values, -_LARGEST, _LARGEST)
    distinct, counts = np.unique(finite, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    kept = _spread(ranks)
    scores = ndtri(np.clip(ranks[kept], _TAIL, 1 - _TAIL))
    return NumberColumn(distinct[kept], scores, gaps, levels)


def _spread(ranks: Floats) -> npt.NDArray[np.intp]:
    """Pick the values on both sides of evenly spaced ranks: so each jump keeps its two ends."""
    grid = np.linspace(ranks[0], ranks[-1], _GRID)
    below = np.searchsorted(ranks, grid, side="right") - 1
    return np.union1d(below, np.searchsorted(ranks, grid))
