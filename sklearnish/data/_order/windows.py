"""Which blocks are mixed together: dealt like cards, so that every window is a fair sample.

Blocks drawn at random would do for a file in random order. In one sorted by label a window of
k random blocks has its labels wrong by 1 / sqrt(k), for hundreds of batches in a row; with one
block from each of k stretches of the file, by 1 / k.
"""

from collections.abc import Iterator

import numpy as np

from sklearnish.data._source import IntArray


def deal(sizes: IntArray, most: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Group blocks at random into windows that each have their share of every part of the file.

    Parameters
    ----------
    sizes : ndarray of int64, shape (n,)
        Rows of the blocks, in the order of the file.
    most : int
        Rows of a window. A larger block is a window of its own.
    rng : numpy.random.Generator
        Decides which blocks meet, and the order of the windows.

    Yields
    ------
    ndarray of int64
        Numbers of blocks; each block is in one window. Windows are of much the same size, so
        that no epoch ends with a window of few blocks.
    """
    alone, shared = np.flatnonzero(sizes > most), np.flatnonzero(sizes <= most)
    windows = [*alone[:, None], *(shared[hand] for hand in _hands(sizes[shared], most, rng))]
    for number in rng.permutation(len(windows)):
        yield windows[number]


def _hands(sizes: IntArray, most: int, rng: np.random.Generator) -> list[IntArray]:
    """Deal to as few windows as hold the rows, all blocks being small enough for one."""
    n, n_windows = len(sizes), max(1, -(-int(sizes.sum()) // most))
    while True:
        n_parts = -(-n // n_windows)
        parts = np.arange(n_parts * n_windows).reshape(n_parts, n_windows)
        hands = rng.permuted(parts, axis=1).T
        rows = np.append(sizes, np.zeros(parts.size - n, sizes.dtype))[hands].sum(axis=1)
        if rows.max() <= most:
            return [hand[hand < n] for hand in hands if hand.min(initial=n) < n]
        n_windows += 1 + n_windows // 16
