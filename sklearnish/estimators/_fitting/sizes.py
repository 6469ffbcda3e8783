"""Rows per step, passes and schedule, where the user leaves them to the number of rows."""

from typing import Any

SMALLEST, LARGEST = 64, 256
"""Bounds of a batch: the smaller one holds a small table whole, weighted or repeated."""

FEWEST, MOST = 10, 50
"""Bounds of the epochs."""

_ROWS_OF_SMALL = 25_000
"""Up to so many rows a batch is a small one; at twice as many it doubles, then again."""

_VISITS = 1_000_000
"""Rows that all epochs together look at, within the bounds of their number."""

_MANY = 1_000
"""Rows from which on the steps are many enough to get shorter towards the end."""

_OF_TABLES, _FEW_STEPS = ((1_000, 32), (8_000, 64)), 600
"""Batches of tables of fewer rows; steps below which batches get smaller."""

_IMAGES_SEEN, _FEW_IMAGES = 120_000, 2_000
"""Images that all epochs together look at; below so many, batches are small ones."""

_FEWEST_OF_IMAGES, _MOST_OF_IMAGES = 8, 80
"""Bounds of the epochs over images."""

_NBYTES, _ROWS = 2**22, 4096
"""A batch to be predicted: as many rows as fit these bytes, and not more."""


def choose_sizes(estimator: Any, n_rows: int, epochs: int | None) -> int:
    """Set batch_size_ and, unless `epochs` are given, max_epochs_; return the epochs."""
    estimator.batch_size_, planned = estimator._sizes(n_rows)
    if epochs is None:
        epochs = estimator.max_epochs_ = planned
    return epochs


def choose_batch_size(wanted: int | str, n_rows: int) -> int:
    """Return `wanted`, or for "auto" 64 up to 25,000 rows, 128 up to 50,000, then 256."""
    if not isinstance(wanted, str):
        return int(wanted)
    doubled = max(0, (-(-n_rows // _ROWS_OF_SMALL) - 1).bit_length())
    return min(SMALLEST << doubled, LARGEST)


def choose_max_epochs(wanted: int | str, n_rows: int) -> int:
    """Return `wanted`, or for "auto" 50 up to 20,000 rows, 1,000,000 / rows, and at least 10."""
    if not isinstance(wanted, str):
        return int(wanted)
    return min(MOST, max(FEWEST, _VISITS // max(1, n_rows)))


def choose_table_sizes(estimator: Any, n_rows: int, steps: int) -> tuple[int, int]:
    """Return the batch size for tables, and as many epochs as take so many steps, at most 50."""
    batch_size, epochs = estimator.batch_size, estimator.max_epochs
    if isinstance(batch_size, str):
        batch_size = next((size for most, size in _OF_TABLES if n_rows < most), LARGEST)
        if not isinstance(epochs, str):  # smaller batches, where steps would be few
            batch_size = min(batch_size, max(SMALLEST, epochs * n_rows // _FEW_STEPS))
    if isinstance(epochs, str):
        epochs = round(steps * batch_size * estimator.accumulate_steps / n_rows)
        epochs = min(MOST, max(1, epochs))
    return int(batch_size), int(epochs)


def choose_image_sizes(
    batch_size: int | str, max_epochs: int | str, n_rows: int
) -> tuple[int, int]:
    """Return the batch size for images, and as many epochs as look at so many."""
    if isinstance(batch_size, str):
        batch_size = 32 if n_rows < _FEW_IMAGES else 128
    if isinstance(max_epochs, str):
        max_epochs = min(_MOST_OF_IMAGES, max(_FEWEST_OF_IMAGES, round(_IMAGES_SEEN / n_rows)))
    return int(batch_size), int(max_epochs)


def choose_schedule(estimator: Any, n_rows: int) -> Any:
    """Return the schedule; for "auto" a falling learning rate if the length is left to us, too."""
    if estimator.lr_schedule != "auto":
        return estimator.lr_schedule
    known = estimator.max_epochs == "auto" and not estimator.early_stopping
    return "cosine" if known and n_rows >= _MANY else None


def batch_rows(row_nbytes: int, wanted: int | str) -> int:
    """Say how many rows to predict at a time."""
    if not isinstance(wanted, str):
        return wanted
    return max(1, min(_ROWS, _NBYTES // max(1, row_nbytes)))
