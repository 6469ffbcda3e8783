"""Columns that give the target away, as copies of it do that were left among the features."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.base import is_classifier

from sklearnish.data import Dataset, hashed_sample, read_frames, warn
from sklearnish.estimators._fitting.labels import targets

Array = npt.NDArray[Any]

_ROWS = 4096
"""Rows to look at: any of those in memory, the first of a file."""

_FEWEST = 50
"""Rows that say something."""

_OFTEN = 5
"""Rows of a value, on average, that make a rule of what is no accident."""

_OF_A_CLASS = 10
"""Rows of each of two classes at least, of values that are there often."""


def warn_of_leaks(estimator: Any, data: Dataset, names: list[str]) -> None:
    """Warn of columns each of which alone tells the target of all rows that are looked at."""
    y = targets(data)
    if y.ndim > 1 or len(y) < _FEWEST:
        return
    n = min(len(data), _ROWS)
    rows = hashed_sample(data, n) if data.in_memory else np.arange(n)
    tells = _tells_class if is_classifier(estimator) else _is_target
    some = data[rows].select(names)
    table, positions = next(iter(read_frames(some, _ROWS)))
    y = y[rows][positions]
    found = [name for name in names if len(y) >= _FEWEST and tells(table[name], y)]
    if found:
        warn(
            f"Column {found[0]!r} alone tells the target in all {len(y)} rows that were looked at"
            f"{f', and so do {found[1:6]}' if found[1:] else ''}. If it was made from the target, "
            "or will not be known of rows to predict for, leave it out: "
            f"kinds={{{found[0]!r}: 'drop'}}.",
            UserWarning,
        )


def _tells_class(column: pa.ChunkedArray, y: Array) -> bool:
    """Say whether each value, missing ones too, goes with one class."""
    if pa.types.is_nested(column.type):
        return False
    values = column.combine_chunks()
    if not pa.types.is_dictionary(values.type):
        values = pc.dictionary_encode(values, null_encoding="encode")
    codes = values.indices.fill_null(len(values.dictionary)).to_numpy(zero_copy_only=False)
    counts = np.bincount(codes)
    n_values = np.count_nonzero(counts)
    if n_values < 2 or n_values * _OFTEN > len(y):
        return False
    if len(np.unique(np.stack([codes, y]), axis=1).T) > n_values:
        return False
    of_classes = np.sort(np.bincount(y[counts[codes] >= _OFTEN].astype(np.int64)))
    return len(of_classes) > 1 and bool(of_classes[-2] >= _OF_A_CLASS)


def _is_target(column: pa.ChunkedArray, y: Array) -> bool:
    """Say whether a column is the target, to the precision of float32."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return False
    values = column.cast(pa.float64()).to_numpy()
    return bool(np.ptp(y) > 0 and np.allclose(values, y, rtol=1e-6, atol=1e-6 * np.ptp(y)))
