"""Rows that stand for all of a view: by hash, at random, or of files from few blocks."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._source import IntArray, Source
from sklearnish.data._views import row_numbers
from sklearnish.data._views.row_numbers import Rows
from sklearnish.data._views.view import View

_FEW = 1024
"""Rows to look at where little depends on them."""

_FEWER = 32
"""Of what is read row by row."""

_FEWEST_PARTS, _MOST_PARTS, _BLOCKS_PER_PART = 8, 64, 16
"""Parts of a file from which a block is read each; many only where blocks are a small share."""

_PIECE = 2**18
"""Rows whose hashes are held at a time."""


def hashed_sample(dataset: View, n: int = 262_144, seed: int = 0) -> IntArray:
    """Pick the rows with the smallest hashes of their numbers, all if there are no more than `n`.

    Such a *bottom-k sample* (Cohen and Kaplan, 2007, "Summarizing data using bottom-k sketches") is
    uniform, and the same rows are picked in whatever order they come. Of 10^6 rows the default
    size gives the share of rows below any value to 0.001 to 0.002.

    Parameters
    ----------
    dataset : Dataset
        Only its row numbers are looked at; nothing is read.
    n : int
        How many rows, at least 1.
    seed : int
        Another seed gives another sample.

    Returns
    -------
    ndarray of int64, shape (min(n, n_rows),)
        Positions in the view, in the order in which their rows are stored.
    """
    hashes, positions = np.empty(0, np.uint64), np.empty(0, np.int64)
    for start in range(0, len(dataset), _PIECE):
        piece = np.arange(start, min(start + _PIECE, len(dataset)))
        new = row_hashes(row_numbers.take(dataset._rows, piece), seed)
        if len(positions) == n:
            below = new < hashes[-1]
            new, piece = new[below], piece[below]
        hashes, positions = np.append(hashes, new), np.append(positions, piece)
        smallest = np.argsort(hashes, kind="stable")[:n]  # a row that repeats: its first positions
        hashes, positions = hashes[smallest], positions[smallest]
    positions.sort()
    return positions[np.argsort(row_numbers.take(dataset._rows, positions), kind="stable")]


def row_hashes(rows: IntArray, seed: int) -> npt.NDArray[np.uint64]:
    """Compute for row i output number i of splitmix64, by Steele, Lea and Flood (2014).

    No two rows have the same hash: each step can be undone.
    """
    z = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(seed % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def few(rows: Rows, source: Source, seed: int) -> IntArray:
    """Pick positions to be read at little cost: of files, from their first and last block."""
    if source.blocks is not None and len(rows):
        return np.concatenate(stretches(rows, source.blocks, _FEW, most=2))
    return at_random(len(rows), _FEW if source.in_memory else _FEWER, seed)


def various_rows(rows: Rows, source: Source, wanted: int) -> IntArray:
    """Pick ascending row numbers of first, middle and last block; of the source if there are none.

    Of each block they are the first ones, which are neighbours, and some evenly spaced.
    """
    if not len(rows):
        return np.arange(min(wanted, source.n_rows))
    if source.blocks is None:
        return np.unique(row_numbers.take(rows, _head_and_spaced(len(rows), wanted)))
    blocks = stretches(rows, source.blocks, 3 * len(rows), most=3)
    share = -(-wanted // len(blocks))
    places = [inside[_head_and_spaced(len(inside), share)] for inside in blocks]
    return np.unique(row_numbers.take(rows, np.concatenate(places)))


def _head_and_spaced(n: int, wanted: int) -> IntArray:
    """Pick numbers below n: the first ones, and as many that are evenly spaced."""
    half = min(n, -(-wanted // 2))
    return np.concatenate([np.arange(half), np.linspace(0, n - 1, half).astype(np.int64)])


def at_random(n_rows: int, wanted: int, seed: int) -> IntArray:
    """Pick ascending positions, all if there are few rows."""
    if n_rows <= wanted:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).choice(n_rows, wanted, replace=False))


def stretches(rows: Rows, blocks: IntArray, wanted: int, most: int) -> list[IntArray]:
    """Pick the first positions of a few blocks, evenly spaced, so that only those are read."""
    present = _present(rows, blocks)
    n = min(most, len(present))
    return _heads(rows, blocks, present[np.linspace(0, len(present) - 1, n).astype(int)], wanted)


def spread(rows: Rows, blocks: IntArray, wanted: int, seed: int) -> list[IntArray]:
    """Pick the first positions of one block in each of some equal parts of the file.

    Which block of a part is drawn by a hash: evenly spaced ones would suit a pattern of the file,
    and with the first and the last one a sorted column would seem wider than it is.
    """
    present = _present(rows, blocks)
    n = min(len(present), max(_FEWEST_PARTS, min(_MOST_PARTS, len(present) // _BLOCKS_PER_PART)))
    edges = np.linspace(0, len(present), n + 1).astype(np.int64)
    drawn = row_hashes(edges[:-1], seed) % np.diff(edges).astype(np.uint64)
    return _heads(rows, blocks, present[edges[:-1] + drawn.astype(np.int64)], wanted)


def _present(rows: Rows, blocks: IntArray) -> IntArray:
    """List blocks that hold rows of the view.

    They are found at every so-manieth position, so that no array grows with the file.
    """
    some = row_numbers.as_array(
        row_numbers.select(rows, slice(None, None, max(1, len(rows) // 2**16)))
    )
    return np.unique(np.searchsorted(blocks, some, side="right") - 1)


def _heads(rows: Rows, blocks: IntArray, chosen: IntArray, wanted: int) -> list[IntArray]:
    """Pick as many of the first positions of each of these blocks."""
    numbers = row_numbers.as_array(rows)
    inside = (_between(numbers, blocks[b], blocks[b + 1]) for b in chosen)
    return [positions[: -(-wanted // len(chosen))] for positions in inside]


def _between(rows: npt.NDArray[np.integer[Any]], start: int, stop: int) -> IntArray:
    """Find the positions of rows from `start` to before `stop`."""
    if row_numbers.is_ascending(rows):
        return np.arange(*row_numbers.offsets(rows, np.array([start, stop])))
    return np.flatnonzero((rows >= start) & (rows < stop))
