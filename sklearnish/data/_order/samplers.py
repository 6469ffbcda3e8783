"""Which rows, in which order: pure functions of a view and a seed.

A sampler yields *fetches*: int64 arrays of positions in the view, each to be read in one go.
Where any row is as cheap as any, a fetch is a few batches of an exact permutation. Where rows
are stored in blocks, a fetch is a *window*: some blocks, drawn at random, whose rows are mixed,
so that each block is read once an epoch and memory stays bounded.

An epoch in the order of the file, or shuffled by blocks, takes no memory per row. An exact
permutation, an epoch drawn by weights, and a view in disorder over blocks take 4 bytes per row,
8 beyond 2^31 rows; an epoch drawn by weights from a view in disorder takes twice that.
"""

import inspect
import itertools
import math
import reprlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from sklearnish.data._functions.randomness import restored_generators, seed_generators
from sklearnish.data._order.repeats import Draws, by_class, by_weight, pieces
from sklearnish.data._order.windows import deal
from sklearnish.data._source import IntArray
from sklearnish.data._views import row_numbers
from sklearnish.data._views.view import View

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
    n_blocks : int
        Number of blocks that are mixed; 1 where rows are not mixed by blocks.
    part : Part or None
        Which rows of a larger fetch these are; None for all.
    """

    epoch: int
    start: int
    total: int
    positions: IntArray
    n_blocks: int = 1
    part: "Part | None" = None

    @property
    def n_rows(self) -> int:
        """Count the rows of the whole fetch."""
        return len(self.positions) if self.part is None else self.part.n_rows

    @property
    def places(self) -> IntArray:
        """Places of its rows in the epoch's order."""
        if self.part is None:
            return np.arange(self.start, self.start + len(self.positions))
        return self.start + self.part.read


class Part(NamedTuple):
    """The rows of a fetch that one of several processes reads.

    Attributes
    ----------
    n_rows : int
        Rows of the whole fetch.
    read : ndarray of int64
        Which of them are read, ascending.
    used : int
        How many of them are used: none if one is read only to know what rows look like.
    """

    n_rows: int
    read: IntArray
    used: int


@dataclass(frozen=True)
class Order:
    """The order of rows of every epoch of one fit.

    Parameters
    ----------
    dataset : View
        What is read; a callable is given it, so a user's gets a Dataset.
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

    dataset: View
    sampler: Sampler
    seed: int
    fetch_rows: int

    def __post_init__(self) -> None:
        """Find out before training whether rows can be drawn by weight or class."""
        if self.sampler in ("balanced", "weighted"):
            self._draws  # noqa: B018 - computed once, and raises what it has to

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
        total = len(self.dataset)
        if callable(self.sampler):
            drawn = _from_callable(self.sampler, self.dataset, [self.seed, epoch])
            total, parts = len(drawn), _chunks(drawn, self.fetch_rows)
        elif self.sampler == "sequential":
            parts = self._sequential()
        elif self.dataset.source.blocks is None:
            parts = _chunks(self._permuted(rng), self.fetch_rows)
        else:
            yield from self._mixed(rng, epoch)
            return
        start = 0
        for positions in parts:
            yield Fetch(epoch, start, total, positions)
            start += len(positions)

    def _permuted(self, rng: np.random.Generator) -> IntArray:
        """Positions that are drawn, in an order that is exactly random."""
        n = len(self.dataset)
        if self._draws is None:
            positions = np.arange(n, dtype=_index_type(n))
        else:
            positions, end = np.empty(n, _index_type(n)), 0
            for piece, counts in self._draws.counts(rng):
                drawn = np.repeat(np.arange(piece.start, piece.stop), counts)
                positions[end : end + len(drawn)] = drawn
                end += len(drawn)
        rng.shuffle(positions)
        return positions

    def _mixed(self, rng: np.random.Generator, epoch: int) -> Iterator[Fetch]:
        """Fetch the positions that are drawn, shuffled by windows of blocks."""
        counts = self._counts(rng)
        sizes = self._sizes(counts)
        drawn, start = np.flatnonzero(sizes), 0
        for window in deal(sizes[drawn], self.fetch_rows, rng):
            runs = [self._of_block(block, counts) for block in drawn[window]]
            order = np.concatenate(runs) if len(runs) > 1 else runs[0]
            del runs
            rng.shuffle(order)
            for positions in _chunks(order, self.fetch_rows) if len(window) == 1 else (order,):
                yield Fetch(epoch, start, len(self.dataset), positions, len(window))
                start += len(positions)

    def _counts(self, rng: np.random.Generator) -> IntArray | None:
        """How often each position is drawn; None for once."""
        if self._draws is None:
            return None
        n = len(self.dataset)
        counts = np.empty(n, _index_type(n))
        for piece, drawn in self._draws.counts(rng):
            counts[piece] = drawn
        return counts

    def _sizes(self, counts: IntArray | None) -> IntArray:
        """Count the rows drawn from each block."""
        _, bounds = self._storage
        if counts is None:
            return np.diff(bounds)
        every = (counts[self._places(block)].sum() for block in range(len(bounds) - 1))
        return np.fromiter(every, np.int64, len(bounds) - 1)

    def _of_block(self, block: int, counts: IntArray | None) -> IntArray:
        """Write out the positions drawn from one block."""
        places = self._places(block)
        if isinstance(places, slice):
            positions = np.arange(places.start, places.stop)
        else:
            positions = places.astype(np.int64)
        return positions if counts is None else np.repeat(positions, counts[places])

    def _places(self, block: int) -> slice | IntArray:
        """Positions of the rows of one block."""
        grouped, bounds = self._storage
        places = slice(int(bounds[block]), int(bounds[block + 1]))
        return places if grouped is None else grouped[places]

    def _sequential(self) -> Iterator[IntArray]:
        """Positions in the order of the view, cut where blocks end if they follow the disk."""
        n = len(self.dataset)
        in_blocks = self.dataset.source.blocks is not None
        in_blocks = in_blocks and row_numbers.is_ascending(self.dataset._rows)
        bounds = self._storage[1] if in_blocks else np.array([0, n])
        for first, end in _windows(np.diff(bounds), self.fetch_rows):
            start, stop = int(bounds[first]), int(bounds[end])
            for piece in pieces(stop - start, self.fetch_rows):
                yield np.arange(start + piece.start, start + piece.stop)

    @cached_property
    def _storage(self) -> tuple[IntArray | None, IntArray]:
        """Positions in the order of their blocks, None for 0, 1, 2, ...; offsets of the blocks."""
        rows, blocks = self.dataset._rows, self.dataset.source.blocks
        assert blocks is not None
        grouped: IntArray | None = None
        if row_numbers.is_ascending(rows):
            bounds = row_numbers.offsets(rows, blocks)
        elif isinstance(rows, range):
            bounds = row_numbers.offsets(rows[::-1], blocks)
            grouped = np.arange(len(rows) - 1, -1, -1, dtype=_index_type(len(rows)))
        else:
            grouped, bounds = _grouped(rows, blocks)
        return grouped, np.unique(bounds)

    @cached_property
    def _draws(self) -> Draws | None:
        """What draws rows by weight or class; None where each is drawn once."""
        if self.sampler == "balanced":
            labels = self.dataset.target
            if labels is None or labels.ndim != 1:
                raise ValueError('sampler="balanced" needs one class label per row as the target.')
            return by_class(labels)
        if self.sampler == "weighted":
            weights = self.dataset.weight
            if weights is None:
                raise ValueError(
                    'sampler="weighted" needs weights: pass sample_weight, or name the weight '
                    "column when scanning, weight=..."
                )
            return by_weight(weights)
        return None


def nearest_to_block(dataset: View) -> int:
    """Find the row of a view in order that is nearest to the beginning of its block.

    To read it alone, what lies before it in the block is read, too.

    Returns
    -------
    int
        Its position; 0 in a view in another order, and where there are no blocks.
    """
    rows, blocks = dataset._rows, dataset.source.blocks
    if blocks is None or not row_numbers.is_ascending(rows):
        return 0
    places = np.minimum(row_numbers.offsets(rows, blocks[:-1]), len(rows) - 1)
    distances = row_numbers.take(rows, places) - blocks[:-1]
    distances[distances < 0] = np.iinfo(np.int64).max  # of blocks behind the last row
    return int(places[np.argmin(distances)])


def storage_order(dataset: View) -> IntArray | None:
    """Return the order in which rows of blocks are read once each; None if they are in it."""
    rows = dataset.rows
    if dataset.source.blocks is None or row_numbers.is_ascending(rows):
        return None
    return np.argsort(rows, kind="stable")


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


def _from_callable(sampler: Callable[..., Any], dataset: View, seed: list[int]) -> IntArray:
    """Call the user's function and write out what it returns."""
    rng = np.random.default_rng(seed)
    with restored_generators(True, torch.device("cpu")):
        seed_generators(int(rng.integers(2**63)))
        names_rng = "rng" in inspect.signature(sampler).parameters
        drawn = _written_out(sampler(dataset, rng=rng) if names_rng else sampler(dataset))
    positions = row_numbers.positions_of(len(dataset), drawn)
    if len(positions) == 0:
        raise ValueError("The sampler returned no rows.")
    return positions


def _written_out(drawn: Any) -> Any:
    """Write out what a sampler yields; other collections stay as they are."""
    if isinstance(drawn, torch.utils.data.Sampler | Iterator):
        every = iter(drawn)
        first = list(itertools.islice(every, 1))
        _check_single(first)
        return np.fromiter(itertools.chain(first, every), np.int64)
    if isinstance(drawn, list | tuple):
        _check_single(drawn[:1])
    return drawn


def _check_single(first: Sequence[Any]) -> None:
    """Refuse batches of positions, told by the first of them."""
    if any(not hasattr(p, "__int__") or math.prod(np.shape(p)) != 1 for p in first):
        raise IndexError(
            f"A sampler gives one position at a time, but this one gave {reprlib.repr(first[0])}. "
            "Return the sampler inside the BatchSampler: batch_size cuts the batches."
        )


def _index_type(n: int) -> type[np.signedinteger[Any]]:
    """Return a type that counts up to n: the narrow one where memory matters."""
    return np.int32 if 10**6 < n <= np.iinfo(np.int32).max else np.int64  # which shuffles faster


def _grouped(rows: npt.NDArray[np.integer[Any]], blocks: IntArray) -> tuple[IntArray, IntArray]:
    """Sort positions by the block of their row, as a counting sort does, and offsets of blocks."""
    sizes = np.zeros(len(blocks) - 1, np.int64)
    for piece in pieces(len(rows)):
        sizes += np.bincount(_block_of(rows[piece], blocks), minlength=len(sizes))
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    grouped, free = np.empty(len(rows), _index_type(len(rows))), bounds[:-1].copy()
    for piece in pieces(len(rows)):
        block = _block_of(rows[piece], blocks)
        order = np.argsort(block, kind="stable")
        found, first, times = np.unique(block[order], return_index=True, return_counts=True)
        grouped[np.repeat(free[found] - first, times) + np.arange(len(order))] = piece.start + order
        free[found] += times
    return grouped, bounds


def _block_of(rows: npt.NDArray[np.integer[Any]], blocks: IntArray) -> IntArray:
    """Find the numbers of the blocks that rows are in."""
    return np.searchsorted(blocks, rows, side="right") - 1


def _chunks(positions: IntArray, size: int) -> Iterator[IntArray]:
    """Copy pieces of a size, the last one shorter; a view would keep all positions alive."""
    for piece in pieces(len(positions), size):
        yield positions[piece].astype(np.int64)


def _windows(sizes: IntArray, most: int) -> Iterator[tuple[int, int]]:
    """Group blocks, in order, up to a number of rows, at least one each: the first and the end."""
    first = rows = 0
    for i, size in enumerate(sizes.tolist()):
        if rows and rows + size > most:
            yield first, i
            first, rows = i, 0
        rows += size
    if rows:
        yield first, len(sizes)
