"""Blocks that suit a shuffle: small enough for memory, and not each with labels of its own.

A window of a block shuffle holds a few blocks. That is as good as a full shuffle when every
block is a fair sample of the file, and bad when the file is sorted or grouped by label. Such a
file, and one whose blocks are larger than a window, is copied once into the cache folder, in
the same order but in small blocks, of which a window holds a hundred and more.
"""

import warnings
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sklearnish.data._cache import rechunk
from sklearnish.data._dataset import Dataset
from sklearnish.data._reading import hold_labels
from sklearnish.data._source import IntArray
from sklearnish.data._sources.parquet import ParquetSource

_BLOCKS = 128
"""Blocks of a copied file that make up a window."""

_SAMPLE = 2**18
"""Labels that are looked at, so that looking costs no memory that grows with the file."""

_told: set[str] = set()


def suitable_blocks(dataset: Dataset, window_rows: int, *, shuffled: bool) -> Dataset:
    """Copy a file into smaller blocks if it cannot be read well as it is.

    Parameters
    ----------
    dataset : Dataset
        Any view; only those of files in large blocks (Parquet) are ever changed.
    window_rows : int
        Rows that may be read together.
    shuffled : bool
        Whether the order is random, so that labels in clusters would harm.

    Returns
    -------
    Dataset
        The same rows, under the same numbers.
    """
    blocks = dataset.source.blocks
    if blocks is None or not isinstance(dataset.source, ParquetSource):
        return dataset
    if len(dataset) <= window_rows:
        return dataset
    if np.diff(blocks).max() > window_rows:
        return _rechunked(dataset, window_rows)
    if not shuffled or not _clustered(dataset, window_rows):
        return dataset
    _tell_once(dataset.source.name)
    return _rechunked(dataset, window_rows)


def between_share(labels: npt.NDArray[np.float64], bounds: IntArray) -> float:
    """Compute the share of the labels' variance that lies between blocks (eta squared).

    Parameters
    ----------
    labels : ndarray of float64, shape (n, k)
        One column per target or class.
    bounds : ndarray of int64
        Offsets of the blocks, none of them empty.

    Returns
    -------
    float
        About 1 / (rows per block) for a random order, 1 for a sorted one.
    """
    sizes = np.diff(bounds)[:, None]
    means = np.add.reduceat(labels, bounds[:-1], axis=0) / sizes
    mean = labels.mean(axis=0)
    total = ((labels - mean) ** 2).mean(axis=0).sum()
    between = (sizes * (means - mean) ** 2).sum() / len(labels)
    return float(between / total) if total > 0 else 0.0


def _clustered(dataset: Dataset, window_rows: int) -> bool:
    """Tell whether windows would differ from each other by more than small batches do."""
    blocks = dataset.source.blocks
    sample = dataset[:: max(1, len(dataset) // _SAMPLE)]
    if blocks is None or sample.target is None:
        return False
    rows = sample.rows
    order = np.argsort(rows, kind="stable")
    bounds = np.unique(np.searchsorted(rows[order], blocks))
    blocks_per_window = max(1.0, window_rows * (len(bounds) - 1) / len(dataset))
    share = between_share(_as_scores(sample.target)[order], bounds)
    return share > blocks_per_window / 256 + _chance_share(len(rows), len(bounds) - 1)


def _chance_share(n_rows: int, n_blocks: int) -> float:
    """Most that the share of a random order is likely to be: its mean and four deviations."""
    return float((n_blocks - 1) + 4 * np.sqrt(2 * n_blocks)) / n_rows


def _as_scores(labels: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Labels as numbers: text and whole numbers by their rank among the classes."""
    if labels.dtype.kind not in "f":
        labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    scores = labels.astype(np.float64)
    return scores[:, None] if scores.ndim == 1 else scores


def _rechunked(dataset: Dataset, window_rows: int) -> Dataset:
    """Read features from a copy in small blocks; labels are in memory already."""
    names = sorted(set(dataset._names or ()))
    # A power of two, so that much the same memory finds the same copy.
    block_rows = 1 << max(4, (window_rows // _BLOCKS).bit_length() - 1)
    return replace(
        hold_labels(dataset), _source=rechunk(dataset.source, names, batch_rows=block_rows)
    )


def _tell_once(name: str) -> None:
    """Warn about a file in clusters, the first time it is shuffled."""
    if name not in _told:
        _told.add(name)
        warnings.warn(
            f"The rows of {name} are grouped by label, so that neighbouring rows would make "
            "poor batches. They are copied once into the cache folder in small blocks that can "
            "be mixed; a file in random order needs no copy.",
            UserWarning,
            stacklevel=2,
        )
