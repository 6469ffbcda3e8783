"""Batches cut from fetches, and how many rows each of an epoch has.

All have the same number but the last, which may be smaller; a single row that is left over joins
the batch before it, since normalisation needs two.
"""

from collections.abc import Iterable, Iterator

from sklearnish.data._tensors.batch import Batch, concat, copied, narrow


def cut(fetches: Iterable[tuple[int, Batch]], batch_size: int) -> Iterator[Batch]:
    """Cut batches across the borders of fetches.

    Parameters
    ----------
    fetches : iterable of (int, Batch)
        Rows of the epoch that are left, this fetch included, and the rows.
    batch_size : int
        Rows per batch.

    Yields
    ------
    Batch
        Views where a batch lies in one fetch. The last batch may be smaller; it is not of one
        row unless the epoch is.
    """
    pending: list[Batch] = []
    missing = 0
    for left, rows in fetches:
        start = 0
        while start < len(rows):
            if not pending:
                missing = next_size(left - start, batch_size)
            stop = min(len(rows), start + missing)
            pending.append(narrow(rows, start, stop))
            missing -= stop - start
            start = stop
            if missing == 0:
                yield concat(pending)
                pending = []
        # What is left over is copied, so that it does not keep all rows of the fetch alive.
        pending = [*pending[:-1], *map(copied, pending[-1:])]
        del rows


def next_size(left: int, batch_size: int) -> int:
    """Size of the next batch of an epoch that has so many rows left."""
    return left if left <= batch_size + 1 and (left <= batch_size or batch_size > 1) else batch_size


def n_batches(n_rows: int, batch_size: int) -> int:
    """Count the batches of an epoch; a last single row joins the batch before it."""
    return -(-(n_rows - (batch_size > 1)) // batch_size) or 1
