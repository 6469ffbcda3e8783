"""Batches cut from fetches."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from sklearnish.data._order.sizes import next_size
from sklearnish.data._source import IntArray
from sklearnish.data._tensors.batch import Batch, concat, copied, narrow


class Rows(NamedTuple):
    """What was read of a fetch.

    Attributes
    ----------
    left : int
        Rows of the epoch that are left, this fetch included.
    batch : Batch
        The rows, or those of them that this process uses.
    n_rows : int
        Rows of the fetch.
    offsets : ndarray of int64 or None
        Which of them `batch` has, ascending; None for all.
    """

    left: int
    batch: Batch
    n_rows: int
    offsets: IntArray | None = None

    def between(self, start: int, stop: int) -> Batch:
        """Return what `batch` has of some rows of the fetch."""
        if self.offsets is not None:
            start, stop = np.searchsorted(self.offsets, (start, stop)).tolist()
        return narrow(self.batch, start, stop)

    def without(self, n: int) -> "Rows":
        """Leave out the first rows of the fetch."""
        offsets = self.offsets
        if offsets is not None:
            offsets = offsets[np.searchsorted(offsets, n) :] - n
        return Rows(self.left - n, self.between(n, self.n_rows), self.n_rows - n, offsets)


def cut(fetches: Iterable[Rows], batch_size: int, min_batch_size: int = 2) -> Iterator[Batch]:
    """Cut batches across the borders of fetches.

    Where several processes read the rows of a batch, each cuts its own part, which may be empty.

    Parameters
    ----------
    fetches : iterable of Rows
        Those of an epoch, in order.
    batch_size : int
        Rows per batch.
    min_batch_size : int, default=2
        Rows of the last batch, unless the epoch has fewer, or `batch_size` is smaller.

    Yields
    ------
    Batch
        Views where a batch lies in one fetch.
    """
    pending: list[Batch] = []
    missing = 0
    for rows in fetches:
        start, left, n_rows = 0, rows.left, rows.n_rows
        while start < n_rows:
            if not pending:
                missing = next_size(left - start, batch_size, min_batch_size)
            stop = min(n_rows, start + missing)
            pending.append(rows.between(start, stop))
            missing -= stop - start
            start = stop
            if missing == 0:
                yield concat([part for part in pending if len(part)] or pending[:1])
                pending = []
        # What is left over is copied, so that it does not keep all rows of the fetch alive.
        pending = [*pending[:-1], *map(copied, pending[-1:])]
        del rows
