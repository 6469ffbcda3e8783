"""Blocks that suit a shuffle: small enough for memory, and not each with labels of its own.

A window of a block shuffle holds a few blocks. That is as good as a full shuffle when every
block is a fair sample of the file, and bad when the file is sorted or grouped by label. Such a
file, and one whose blocks are larger than a window, is read in small blocks, of which a window
holds hundreds: as it is where any of its rows is cheap, else from a copy in the same
order that is made once in the cache folder.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sklearnish.data._arrow.part_copy import copied
from sklearnish.data._source import IntArray, Source
from sklearnish.data._system.warn import warn
from sklearnish.data._views import row_numbers
from sklearnish.data._views.attached import hold_labels
from sklearnish.data._views.mapped import MappedSource
from sklearnish.data._views.series import WindowSource
from sklearnish.data._views.view import View

V = TypeVar("V", bound=View)
FloatArray = npt.NDArray[np.float64]

_BLOCKS = 256
"""Blocks of which a window is a fair sample of any file, to batches of as many rows."""

_LEAST_ROWS = 16
"""Rows of a block of a copy: Arrow aligns every column of a block to 64 bytes."""

_CLASSES = 256
"""Ranges into which targets of more distinct values are cut."""

_SAMPLE = 2**18
"""Labels that are looked at, so that looking costs no memory that grows with the file."""

_told: set[str] = set()


def suitable_blocks(dataset: V, window_rows: int, *, shuffled: bool) -> V:
    """Read a file in smaller blocks if it cannot be read well as it is.

    Parameters
    ----------
    dataset : View
        Any view; only those of files in blocks are ever changed.
    window_rows : int
        Rows that may be read together.
    shuffled : bool
        Whether the order is random, so that labels in clusters would harm.

    Returns
    -------
    View
        The same rows, under the same numbers.

    Raises
    ------
    OSError
        If a copy is needed and there is no room for it.
    """
    source = dataset.source
    if source.blocks is None or len(dataset) <= window_rows:
        return dataset
    too_large = bool(np.diff(source.blocks).max() > window_rows)
    if not too_large and not (shuffled and _clustered(dataset, window_rows)):
        return dataset
    finer = source.finer(max(1, window_rows // _BLOCKS))
    if finer is not None:
        return replace(dataset, source=finer)
    if not too_large:
        _tell_once(source)
    return _rechunked(dataset, window_rows)


def between_share(columns: Iterable[FloatArray], bounds: IntArray) -> float:
    """Compute the share of the labels' variance that lies between blocks (eta squared).

    Parameters
    ----------
    columns : iterable of ndarray of float64, shape (n,)
        One per target or class.
    bounds : ndarray of int64
        Offsets of the blocks, none of them empty.

    Returns
    -------
    float
        About 1 / (rows per block) for a random order, 1 for a sorted one.
    """
    sizes = np.diff(bounds)
    between = total = 0.0
    for labels in columns:
        mean = labels.mean()
        means = np.add.reduceat(labels, bounds[:-1]) / sizes
        between += float((sizes * (means - mean) ** 2).sum())
        total += float(((labels - mean) ** 2).sum())
    return between / total if total > 0 else 0.0


def _clustered(dataset: View, window_rows: int) -> bool:
    """Tell whether windows would differ from each other by more than small batches do."""
    blocks = dataset.source.blocks
    sample = dataset[:: max(1, len(dataset) // _SAMPLE)]
    if blocks is None or sample.target is None:
        return False
    rows = sample.rows
    order = np.argsort(rows, kind="stable")
    bounds = np.unique(np.searchsorted(rows[order], blocks))
    blocks_per_window = max(1.0, window_rows * (len(bounds) - 1) / len(dataset))
    share, n_blocks = _largest_share(sample.target[order], bounds), len(bounds) - 1
    # The share of a random order is likely to be no more than its mean and four deviations.
    by_chance = (n_blocks - 1 + 4 * math.sqrt(2 * n_blocks)) / len(rows)
    return share > blocks_per_window / _BLOCKS + by_chance


def _largest_share(labels: npt.NDArray[np.generic], bounds: IntArray) -> float:
    """Share between blocks of the target that shows most of it."""
    targets = labels.reshape(len(labels), -1).T
    shares = (between_share(s, bounds) for target in targets for s in _scores(target))
    return max(shares, default=0.0)


def _scores(target: npt.NDArray[np.generic]) -> Iterator[Iterable[FloatArray]]:
    """One target as numbers: its ranks, and random numbers for each class or range of values.

    Ranks show a drift and no outlier hides it. Random numbers show what leaves the mean as it
    is, such as blocks of the first and last class beside blocks of those in between.
    """
    values, ranks = np.unique(target, return_inverse=True)
    if len(values) == 1:
        return
    yield [ranks.astype(np.float64)]
    classes = ranks if len(values) <= _CLASSES else ranks * _CLASSES // len(values)
    yield (numbers[classes] for numbers in np.random.default_rng(0).standard_normal((8, _CLASSES)))


def _rechunked(dataset: V, window_rows: int) -> V:
    """Read features from a copy in small blocks; labels are in memory already."""
    names = sorted(set(dataset._inputs.names or ()))
    # A power of two, so that much the same memory finds the same copy.
    block_rows = max(_LEAST_ROWS, 1 << (max(1, window_rows // _BLOCKS).bit_length() - 1))
    assert dataset.source.blocks is not None
    needed = row_numbers.blocks_of(dataset._rows, dataset.source.blocks)
    try:
        source = _copied(dataset.source, names, block_rows, needed)
    except OSError as error:
        error.add_note(
            f"{dataset.source.name} has to be copied because it is grouped by label, or its "
            "blocks are too large for shuffle_memory. To avoid the copy, write the file in "
            "random order with smaller blocks, or use a shuffle_memory "
            f"{math.ceil(len(dataset) / window_rows)} times as large."
        )
        raise
    return replace(hold_labels(dataset), source=source)


def _copied(source: Source, names: Sequence[str], block_rows: int, blocks: IntArray) -> Source:
    """Copy columns of a file; where functions or windows are made, those that they are made of."""
    if isinstance(source, MappedSource | WindowSource):
        stored, wanted = source.inner
        if isinstance(source, WindowSource):
            block_rows, blocks = max(block_rows, source.length), source.inner_blocks
        return source.over(_copied(stored, sorted(set(wanted)), block_rows, blocks))
    return copied(source, names, block_rows, blocks)


def _tell_once(source: Source) -> None:
    """Warn about a file in clusters, the first time it is shuffled."""
    name = source.name
    cure = "" if isinstance(source, WindowSource) else "Write the file in random order to avoid it."
    if name not in _told:
        _told.add(name)
        warn(
            f"{name} is sorted or grouped by label, so block shuffling would give unbalanced "
            f"batches. A one-time copy in smaller blocks is made in the cache folder. {cure}",
            UserWarning,
        )
