"""Which rows, in which order: pure functions of a view and a seed.

A sampler yields *fetches*: int64 arrays of positions in the view, each to be read in one go.
Where any row is as cheap as any, a fetch is a few batches of an exact permutation. Where rows
are stored in blocks, a fetch is a *window*: some blocks, drawn at random, whose rows are mixed,
so that each block is read once an epoch and memory stays bounded.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from sklearnish.data import _rows
from sklearnish.data._randomness import restored_generators, seed_generators
from sklearnish.data._source import IntArray

if TYPE_CHECKING:
    from sklearnish.data._dataset import Dataset

Sampler = str | Callable[..., Any]
_NAMES = ("balanced", "sequential", "shuffle", "weighted")


class Fetch(NamedTuple):
    """Rows to be read in one go.

    Attributes
    ----------
    epoch : int
        Which pass over the data it belongs to.
    start : int
        Place of its first row in the epoch's order.
    total : int
        Number of rows of the epoch.
    positions : ndarray of int64
        Positions in the view, in the order in which the model sees them.
    """

    epoch: int
    start: int
    total: int
    positions: IntArray


@dataclass(frozen=True)
class Order:
    """The order of rows of every epoch of one fit.

    Parameters
    ----------
    dataset : Dataset
        The view being read.
    sampler : str or callable
        "shuffle", "sequential", "balanced", "weighted", or a callable given the view (and a
        numpy Generator, if it names an argument ``rng``) that returns positions or a torch
        ``Sampler``; it is called once an epoch.
    seed : int
        The order is a pure function of it and of the epoch.
    fetch_rows : int
        Rows of a fetch where rows are equally cheap; at most so many rows of whole blocks
        where they are not.
    """

    dataset: "Dataset"
    sampler: Sampler
    seed: int
    fetch_rows: int

    def __post_init__(self) -> None:
        """Find out before training whether rows can be drawn by weight or class."""
        if self.sampler in ("balanced", "weighted"):
            self._weights  # noqa: B018 - computed once, and raises what it has to

    def epoch(self, epoch: int) -> Iterator[Fetch]:
        """Yield the fetches of one epoch.

        Parameters
        ----------
        epoch : int
            Counted from 0.

        Yields
        ------
        Fetch
            Together every position that the sampler draws.
        """
        rng = np.random.default_rng([self.seed, epoch])
        if self.sampler == "sequential":
            total, parts = len(self.dataset), self._sequential()
        elif self.sampler == "shuffle":
            total, parts = len(self.dataset), self._shuffled(self._every_position, rng)
        else:
            drawn = self._drawn(rng, epoch)
            total = len(drawn)
            ordered = callable(self.sampler)
            parts = _chunks(drawn, self.fetch_rows) if ordered else self._shuffled(drawn, rng)
        start = 0
        for positions in parts:
            yield Fetch(epoch, start, total, positions)
            start += len(positions)

    @cached_property
    def _every_position(self) -> IntArray | None:
        """Positions in the order of their rows on disk; None if that is 0, 1, 2, ..."""
        rows = self.dataset._rows
        if isinstance(rows, range):
            return None if rows.step > 0 else np.arange(len(rows) - 1, -1, -1, dtype=np.int64)
        return None if _rows.is_ascending(rows) else np.argsort(rows, kind="stable")

    def _shuffled(self, positions: IntArray | None, rng: np.random.Generator) -> Iterator[IntArray]:
        """Permute positions: exactly, or block by block; None stands for all, ascending."""
        n = len(self.dataset) if positions is None else len(positions)
        if self.dataset.source.blocks is None:
            order = rng.permutation(n)
            yield from _chunks(order if positions is None else positions[order], self.fetch_rows)
            return
        bounds = self._block_bounds(positions)
        for window in _windows(rng.permutation(len(bounds) - 1), np.diff(bounds), self.fetch_rows):
            runs = [np.arange(bounds[b], bounds[b + 1]) for b in window]
            order = rng.permutation(np.concatenate(runs))
            for part in _chunks(order, self.fetch_rows) if len(window) == 1 else (order,):
                yield part if positions is None else positions[part]

    def _sequential(self) -> Iterator[IntArray]:
        """Positions in the order of the view, cut where blocks end if they follow the disk."""
        n = len(self.dataset)
        if self.dataset.source.blocks is None or self._every_position is not None:
            yield from _chunks(np.arange(n), self.fetch_rows)
            return
        bounds = self._block_bounds(None)
        for window in _windows(np.arange(len(bounds) - 1), np.diff(bounds), self.fetch_rows):
            run = np.arange(bounds[window[0]], bounds[window[-1] + 1])
            yield from _chunks(run, self.fetch_rows)

    def _block_bounds(self, positions: IntArray | None) -> IntArray:
        """Offsets of the blocks among positions that are in the order of their rows."""
        blocks = self.dataset.source.blocks
        assert blocks is not None
        rows = self.dataset._rows
        if positions is None and isinstance(rows, range) and rows.step == 1:
            bounds = np.clip(blocks - rows.start, 0, len(rows))
        else:
            ordered = self.dataset.rows if positions is None else _rows.take(rows, positions)
            bounds = _rows.offsets(ordered, blocks)
        return np.unique(bounds)

    def _drawn(self, rng: np.random.Generator, epoch: int) -> IntArray:
        """Positions drawn by weights, or by the user's callable in the user's order."""
        if callable(self.sampler):
            return _from_callable(self.sampler, self.dataset, [self.seed, epoch])
        counts = draw_counts(self._weights, rng)
        every = self._every_position
        return np.repeat(
            np.arange(len(counts)) if every is None else every,
            counts if every is None else counts[every],
        )

    @cached_property
    def _weights(self) -> npt.NDArray[np.float64]:
        """What rows are drawn in proportion to."""
        if self.sampler == "balanced":
            return _balanced_weights(self.dataset.target)
        weights = self.dataset.weight
        if weights is None:
            raise ValueError(
                'sampler="weighted" needs weights: pass sample_weight, or name the weight '
                "column when scanning, weight=..."
            )
        return check_weights(weights)


def check_sampler(sampler: Any) -> None:
    """Refuse what is not a sampler.

    Raises
    ------
    ValueError
        If it is an unknown name.
    TypeError
        If it is neither a name nor a function, or an instance of a torch ``Sampler``.
    """
    if isinstance(sampler, str):
        if sampler not in _NAMES:
            raise ValueError(f"sampler must be one of {_NAMES} or a callable, not {sampler!r}.")
    elif isinstance(sampler, torch.utils.data.Sampler) or not callable(sampler):
        raise TypeError(
            f"sampler must be a name or a callable, not {type(sampler).__name__}. "
            "An instance is bound to one set of rows and would be wrong in a fold: pass a "
            "function of the view instead, for example lambda ds: RandomSampler(ds)."
        )


def draw_counts(weights: npt.NDArray[np.float64], rng: np.random.Generator) -> IntArray:
    """Draw as many rows as there are, in proportion to weights, as repeat counts.

    Systematic resampling (Kitagawa 1996, J. Comput. Graph. Stat. 5, 1-25): a row is drawn the
    floor or the ceiling of its expected number of times, which has less variance than
    independent draws and no limit on the number of rows.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        Not negative, with a positive sum.
    rng : numpy.random.Generator
        Draws one number.

    Returns
    -------
    ndarray of int64, shape (n,)
        Their sum is n.
    """
    n = len(weights)
    expected = np.cumsum(weights / weights.max())  # whose sum neither overflows nor vanishes
    expected *= n / expected[-1]
    upto = np.minimum(np.floor(expected + rng.random()), n).astype(np.int64)
    upto[np.flatnonzero(weights)[-1] :] = n  # rounding must not give the rest to a weight of zero
    return np.diff(upto, prepend=0)


def check_weights(weights: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Refuse weights that rows cannot be drawn by.

    Raises
    ------
    ValueError
        If one is negative or not finite, or all are zero.
    """
    weights = np.asarray(weights, dtype=np.float64)
    bad = ~np.isfinite(weights) | (weights < 0)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"Weights must be finite and not negative; row {row} has {weights[row]}.")
    if not weights.any():
        raise ValueError("All weights are zero: no row could be drawn.")
    return weights


def _balanced_weights(target: npt.NDArray[Any] | None) -> npt.NDArray[np.float64]:
    """Weights that draw every class equally often."""
    if target is None or target.ndim != 1:
        raise ValueError('sampler="balanced" needs one class label per row as the target.')
    _, codes, counts = np.unique(target, return_inverse=True, return_counts=True)
    return (1.0 / counts)[codes]


def _from_callable(sampler: Callable[..., Any], dataset: "Dataset", seed: list[int]) -> IntArray:
    """Call the user's function and write out what it returns."""
    rng = np.random.default_rng(seed)
    with restored_generators(True, torch.device("cpu")):
        seed_generators(int(rng.integers(2**63)))
        names_rng = "rng" in inspect.signature(sampler).parameters
        drawn = sampler(dataset, rng=rng) if names_rng else sampler(dataset)
        if isinstance(drawn, torch.utils.data.Sampler | Iterator):
            drawn = np.fromiter(drawn, np.int64)
    positions = _rows.positions_of(len(dataset), drawn)
    if len(positions) == 0:
        raise ValueError("The sampler returned no rows.")
    return positions


def _chunks(positions: IntArray, size: int) -> Iterator[IntArray]:
    """Cut into pieces of a size, the last one shorter."""
    for start in range(0, len(positions), size):
        yield positions[start : start + size]


def _windows(blocks: IntArray, sizes: IntArray, most: int) -> Iterator[IntArray]:
    """Group blocks, in order, up to a number of rows; at least one block each."""
    first, rows = 0, 0
    for i, block in enumerate(blocks):
        if rows and rows + sizes[block] > most:
            yield blocks[first:i]
            first, rows = i, 0
        rows += int(sizes[block])
    if rows:
        yield blocks[first:]
