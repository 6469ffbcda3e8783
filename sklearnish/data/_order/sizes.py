"""How many rows each batch of an epoch has.

All have the same number but the last, which may be smaller. Fewer rows than `min_batch_size` that
are left over join the batch before: a single row does, unless told otherwise, since normalisation
needs two.
"""


def next_size(left: int, batch_size: int, min_batch_size: int = 2) -> int:
    """Size of the next batch of an epoch that has so many rows left."""
    return left if left - batch_size < min(min_batch_size, batch_size) else batch_size


def n_batches(n_rows: int, batch_size: int, min_batch_size: int = 2) -> int:
    """Count the batches of an epoch."""
    return -(-(n_rows + 1 - min(min_batch_size, batch_size)) // batch_size) or 1
