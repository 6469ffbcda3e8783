"""Batches cut from fetches, and how many rows each of an epoch has.

All have the same number but the last, which may be smaller. Fewer rows than `min_batch_size` that
are left over join the batch before: a single row does, unless told otherwise, since normalisation
needs two.
"""

from collections.abc import Iterable, Iterator

from sklearnish.data._tensors.batch import Batch, concat, copied, narrow


def cut(
    fetches: Iterable[tuple[int, Batch]], batch_size: int, min_batch_size: int = 2
) -> Iterator[Batch]:
    """Cut batches across the borders of fetches.

    Parameters
    ----------
    fetches : iterable of (int, Batch)
        Rows of the epoch that are left, this fetch included, and the rows.
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
    for left, rows in fetches:
        start = 0
        while start < len(rows):
            if not pending:
                missing = next_size(left - start, batch_size, min_batch_size)
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


def next_size(left: int, batch_size: int, min_batch_size: int = 2) -> int:
    """Size of the next batch of an epoch that has so many rows left."""
    return left if left - batch_size < min(min_batch_size, batch_size) else batch_size


def n_batches(n_rows: int, batch_size: int, min_batch_size: int = 2) -> int:
    """Count the batches of an epoch."""
    return -(-(n_rows + 1 - min(min_batch_size, batch_size)) // batch_size) or 1
