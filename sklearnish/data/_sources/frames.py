"""DataFrames in memory: pandas, polars, Arrow tables and what else narwhals knows."""

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from sklearnish.data import _arrow
from sklearnish.data._source import Column, Field, IntArray, Source

_NUMPY_KINDS = {"b": "number", "i": "number", "u": "number", "f": "number", "M": "datetime"}


def is_frame(X: object) -> bool:
    """Say whether something is a DataFrame, an Arrow table or a polars LazyFrame."""
    return nw.dependencies.is_into_dataframe(X) or nw.dependencies.is_polars_lazyframe(X)


class FrameSource(Source):
    """The columns of a DataFrame; its index is ignored.

    Columns of NumPy, Arrow and polars numbers are not copied. Only NumPy and Arrow buffers are
    kept: polars itself does not survive a fork.

    Parameters
    ----------
    frame : DataFrame
        pandas, polars or any other eager frame that narwhals knows, or a ``pyarrow.Table``.

    Attributes
    ----------
    columns_are_strings : bool
        Whether all names were strings; others are kept as ``str(name)``.

    Raises
    ------
    TypeError
        The frame is lazy or no frame at all.
    ValueError
        Two columns have the same name.
    """

    in_memory = True
    work = "copying"

    def __init__(self, frame: Any) -> None:
        if nw.dependencies.is_polars_lazyframe(frame):
            raise TypeError("a polars LazyFrame holds no rows yet: pass frame.collect().")
        if not is_frame(frame):
            raise TypeError(f"expected a DataFrame or pyarrow.Table, got {type(frame).__name__}.")
        names, columns = _columns_of(frame)
        self.columns_are_strings = all(isinstance(name, str) for name in names)
        self.name = type(frame).__name__
        _arrow.check_names([str(name) for name in names], f"the {self.name}")
        self.n_rows = len(frame)
        self._columns: dict[str, Column] = {}
        self.schema: dict[str, Field] = {}
        for name, column in zip(map(str, names), columns, strict=True):
            column = _unwrap(column)
            self._columns[name] = column
            self.schema[name] = _field(column)

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Copy some columns of rows in any order."""
        indices = pa.array(rows)
        return {
            # "clip" does not look at every number first; the rows are known to be there.
            name: np.take(column, rows, axis=0, mode="clip")
            if isinstance(column, np.ndarray)
            else column.take(indices)
            for name, column in ((name, self._columns[name]) for name in columns)
        }


def _columns_of(frame: Any) -> tuple[list[Any], list[Any]]:
    """List names and columns as NumPy or Arrow arrays."""
    if nw.dependencies.is_pandas_dataframe(frame):
        return list(frame.columns), [_from_pandas(frame.iloc[:, i]) for i in range(frame.shape[1])]
    # narwhals refuses a repeated name with an error of its own, so Arrow tables pass by it.
    is_table = nw.dependencies.is_pyarrow_table(frame)
    table = frame if is_table else nw.from_native(frame, eager_only=True).to_arrow()
    return table.column_names, table.columns


def _from_pandas(series: Any) -> Any:
    """Convert a pandas column; NumPy numbers and dates are not copied."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind != "O":
        return series.to_numpy()
    if isinstance(dtype, np.dtype):
        return _from_objects(series)
    try:
        return _chunked(pa.array(series, from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError):
        return series.to_numpy()  # periods, intervals, sparse columns


def _from_objects(series: Any) -> Any:
    """Find out what the objects of a pandas column are."""
    from pandas.api.types import infer_dtype

    kind = infer_dtype(series, skipna=True)
    if kind == "empty":
        return np.full(len(series), np.nan)
    try:
        if kind in ("floating", "mixed-integer-float"):
            return series.to_numpy(dtype=np.float64, na_value=np.nan)
        if kind in ("string", "boolean", "integer", "decimal", "date", "datetime", "datetime64"):
            return _chunked(pa.array(series, from_pandas=True))
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        pass  # integers beyond 64 bits, mixed time zones
    return series.to_numpy()


def _chunked(array: Any) -> Any:
    """Make a chunked array of an array."""
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _unwrap(column: Any) -> Any:
    """Reduce Arrow columns to what is quick to take rows from."""
    if isinstance(column, np.ndarray):
        return column
    dtype = column.type
    if pa.types.is_null(dtype):
        return np.full(len(column), np.nan)
    if pa.types.is_dictionary(dtype) and _arrow.to_field(dtype.value_type).kind == "number":
        column = column.cast(dtype.value_type)
    if column.num_chunks != 1:
        column = _chunked(column.combine_chunks())
    plain = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if plain and not column.null_count and column.num_chunks:
        return column.chunk(0).to_numpy(zero_copy_only=True)
    return column


def _field(column: Any) -> Field:
    """Describe a column."""
    if not isinstance(column, np.ndarray):
        return _arrow.to_field(column.type)
    kind = _NUMPY_KINDS.get(column.dtype.kind, "other")
    return Field(column.dtype.name, kind, column.shape[1:])
