"""How often each row of an epoch is drawn, by weights that are looked at in pieces."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._source import IntArray

Floats = npt.NDArray[np.float64]

PIECE = 2**16
"""Rows looked at together, so that what is computed on the way takes no memory to speak of."""


def pieces(n: int, size: int = PIECE) -> Iterator[slice]:
    """Cut 0, 1, ..., n - 1 into slices of a size, the last one shorter."""
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))


@dataclass(frozen=True)
class Draws:
    """Systematic resampling: as many rows as there are, in proportion to weights.

    A row is drawn the floor or the ceiling of its expected number of times, which has less
    variance than independent draws and no limit on the number of rows (Kitagawa 1996,
    J. Comput. Graph. Stat. 5, 1-25). Of the rows before a piece only one fraction is carried
    over, so that rounding does not grow with their number either.

    Parameters
    ----------
    weights : callable
        Gives those of a slice of the rows, as float64.
    n : int
        Number of rows.
    largest : float
        Of the weights.
    total : float
        Of the weights divided by the largest, which neither overflows nor vanishes.
    last : int
        The last row of positive weight.
    size : int
        Rows of a piece.
    """

    weights: Callable[[slice], Floats]
    n: int
    largest: float
    total: float
    last: int
    size: int

    @classmethod
    def of(cls, weights: Callable[[slice], Floats], n: int, size: int) -> "Draws":
        """Look through all weights once.

        Raises
        ------
        ValueError
            If one is negative or not finite, or all are zero.
        """
        largest, last = 0.0, -1
        for piece in pieces(n, size):
            part = _checked(weights(piece), piece.start)
            largest = max(largest, float(part.max()))
            positive = np.flatnonzero(part)
            last = piece.start + int(positive[-1]) if len(positive) else last
        if last < 0:
            raise ValueError("All weights are zero: no row could be drawn.")
        total = math.fsum((weights(piece) / largest).sum() for piece in pieces(n, size))
        return cls(weights, n, largest, total, last, size)

    def counts(self, rng: np.random.Generator) -> Iterator[tuple[slice, IntArray]]:
        """Draw: yield slices of the rows with how often each of their rows is drawn.

        Parameters
        ----------
        rng : numpy.random.Generator
            Draws one number.

        Yields
        ------
        slice
            Of the rows.
        ndarray of int64
            Over all slices their sum is n.
        """
        carried, left = rng.random(), self.n
        for piece in pieces(self.n, self.size):
            expected = np.cumsum(self.weights(piece) / self.largest * (self.n / self.total))
            expected += carried
            upto = np.minimum(np.floor(expected), left).astype(np.int64)
            if piece.stop > self.last:  # rounding must not give the rest to a weight of zero
                upto[max(0, self.last - piece.start) :] = left
            carried = expected[-1] - upto[-1]
            left -= int(upto[-1])
            yield piece, np.diff(upto, prepend=0)


def by_weight(weights: npt.NDArray[Any], size: int = PIECE) -> Draws:
    """Draw rows in proportion to an array with one weight per row."""
    return Draws.of(lambda piece: weights[piece].astype(np.float64), len(weights), size)


def by_class(labels: npt.NDArray[Any], size: int = PIECE) -> Draws:
    """Draw every class of an array of labels equally often."""
    classes, counts = labels[:0], np.empty(0, np.int64)
    for piece in pieces(len(labels), size):
        found, times = np.unique(labels[piece], return_counts=True)
        classes, number = np.unique(np.concatenate([classes, found]), return_inverse=True)
        counts = np.bincount(number, np.concatenate([counts, times])).astype(np.int64)
    return Draws.of(
        lambda piece: 1.0 / counts[np.searchsorted(classes, labels[piece])], len(labels), size
    )


def _checked(weights: Floats, start: int) -> Floats:
    """Refuse weights that rows cannot be drawn by."""
    bad = ~np.isfinite(weights) | (weights < 0)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"Weights must be finite and not negative; row {start + row} has {weights[row]}."
        )
    return weights
