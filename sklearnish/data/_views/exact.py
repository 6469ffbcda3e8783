"""Whole numbers beside missing ones: NaN makes floats of them, which are other labels if large."""

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sklearnish.data._arrow.frames import is_missing
from sklearnish.data._source import Column

Values = npt.NDArray[Any]

_LEAST_ROUNDED = 2**53
"""From here on some whole numbers are no float64: 2**53 + 1 becomes this one."""


def has_gaps(column: Column) -> bool:
    """Tell an Arrow column of whole numbers, or of bool, some of which are missing."""
    if not isinstance(column, pa.ChunkedArray | pa.Array) or not column.null_count:
        return False
    return bool(pa.types.is_integer(column.type) or pa.types.is_boolean(column.type))


def rounded(floats: Values) -> npt.NDArray[np.bool_]:
    """Tell which floats, made of whole numbers, may be other numbers than these."""
    return np.abs(floats) >= _LEAST_ROUNDED


def check_exact(floats: Values, name_value: Callable[[int], str]) -> None:
    """Raise if one of the floats that were made of whole numbers may be another number.

    Raises
    ------
    ValueError
        Naming the value by its place.
    """
    large = np.flatnonzero(rounded(floats))
    if len(large):
        raise ValueError(
            f"{name_value(int(large[0]))} is a whole number beyond 2**53, and others are missing "
            "or no whole numbers. NaN and fractions are float64, which does not hold all whole "
            "numbers of this size. Leave out rows without a value, or make text of the numbers."
        )


def as_labels(y: Any, name: str) -> Values:
    """Make an array of labels in memory: numbers that Python objects hold, and missing ones.

    Raises
    ------
    ValueError
        If a whole number would become another one.
    """
    values = np.asarray(y)
    if values.dtype == object and not any(isinstance(label, str) for label in values.flat):
        return _of_objects(values, name)
    if values.dtype.kind == "f" and not isinstance(y, np.ndarray):
        for place, dtype in enumerate(_stored_types(y)):
            if str(dtype).lower().startswith(("int", "uint")):
                column = values if values.ndim == 1 else values[:, place]
                check_exact(column, lambda i: f"Row {i} of {name}")
    return values


def _stored_types(y: Any) -> list[Any]:
    """List the types of the columns of pandas, polars or Arrow, and of what else has types."""
    kind = type(y)
    if hasattr(kind, "dtype"):
        return [y.dtype]
    if hasattr(kind, "dtypes"):
        return list(y.dtypes)
    if isinstance(y, pa.ChunkedArray | pa.Array):
        return [y.type]
    return list(y.schema.types) if isinstance(y, pa.Table | pa.RecordBatch) else []


def _of_objects(values: Values, name: str) -> Values:
    """Make numbers of Python objects: floats, unless that changes whole numbers."""
    known = [np.nan if is_missing(value) else value for value in values.flat]
    floats = np.array(known, dtype=np.float64)
    large = np.flatnonzero(rounded(floats))
    if not any(isinstance(known[i], Integral) for i in large):
        return floats.reshape(values.shape)
    exact = np.array(known)
    if exact.dtype.kind not in "iu":
        whole = np.array([isinstance(value, Integral) for value in known])
        width = max(1, values[:1].size)
        check_exact(np.where(whole, floats, 0.0), lambda i: f"Row {i // width} of {name}")
    return exact.reshape(values.shape)
