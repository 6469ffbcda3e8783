"""Tables in memory: pandas, polars, Arrow, and what else narwhals knows."""

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.data._arrow import columns as arrow
from sklearnish.data._arrow import lists
from sklearnish.data._source import Column, Field, IntArray, Source
from sklearnish.data._tensors.convert import as_numpy

_ONE_TYPE = {"string", "bytes", "boolean", "integer", "decimal"}
_ONE_TYPE |= {"date", "datetime", "datetime64", "time", "timedelta"}
"""What pandas calls objects of which Arrow makes a column."""

_COLLECTED = {
    "polars": "pass frame.collect()",
    "dask": "pass frame.compute()",
    "duckdb": "pass relation.arrow()",
    "ibis": "pass table.to_pyarrow()",
}
"""What makes rows of a lazy frame, by the package of its type."""


def is_frame(X: object) -> bool:
    """Say whether something is a DataFrame, an Arrow table, or lazy like polars's LazyFrame."""
    return nw.dependencies.is_into_dataframe(X) or nw.dependencies.is_into_lazyframe(X)


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
    columns : dict of str to ndarray or pyarrow.ChunkedArray
        The values.
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
        if nw.dependencies.is_into_lazyframe(frame):
            package = type(frame).__module__.partition(".")[0]
            way = _COLLECTED.get(package, "collect it into pandas or an Arrow table first")
            raise TypeError(
                f"a {package} {type(frame).__name__} holds no rows yet: {way}. Larger than "
                "memory, it can be written to Parquet and scanned, sn.scan_parquet(path)."
            )
        if not is_frame(frame):
            raise TypeError(f"expected a DataFrame or pyarrow.Table, got {type(frame).__name__}.")
        names, columns = _columns_of(frame)
        self.columns_are_strings = all(isinstance(name, str) for name in names)
        self.name = type(frame).__name__
        arrow.check_names([str(name) for name in names], f"the {self.name}")
        self.n_rows = len(frame)
        self.columns: dict[str, Column] = {}
        self.schema: dict[str, Field] = {}
        for name, column in zip(map(str, names), columns, strict=True):
            column = _unwrap(column)
            self.columns[name] = column
            self.schema[name] = _field(column)

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Copy some columns of rows in any order."""
        indices = pa.array(rows)
        return {
            # "clip" does not look at every number first; the rows are known to be there.
            name: np.take(column, rows, axis=0, mode="clip")
            if isinstance(column, np.ndarray)
            else column.take(indices)
            for name, column in ((name, self.columns[name]) for name in columns)
        }


def _columns_of(frame: Any) -> tuple[list[Any], list[Any]]:
    """List names and columns as NumPy or Arrow arrays."""
    if nw.dependencies.is_pandas_dataframe(frame):
        names, columns = zip(*frame.items(), strict=True) if frame.shape[1] else ((), ())
        return list(names), [_from_pandas(column) for column in columns]
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
        lists_ = kind in ("mixed", "unknown-array") and _holds_lists(series)
        if lists_ or kind in _ONE_TYPE:
            return _chunked(pa.array(series, from_pandas=True))
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        if kind in ("integer", "decimal"):  # beyond 64 bits, infinite
            return series.to_numpy(dtype=np.float64, na_value=np.nan)
    return series.to_numpy()  # of mixed time zones, too


def _holds_lists(series: Any) -> bool:
    """Say whether the first value that is not missing is a list or an array."""
    first = series.first_valid_index()
    return first is not None and isinstance(series.dropna().iloc[0], list | tuple | np.ndarray)


def _chunked(array: Any) -> Any:
    """Make a chunked array of an array."""
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _unwrap(column: Any) -> Any:
    """Reduce Arrow columns to what is quick to take rows from."""
    if isinstance(column, np.ndarray):
        return column
    column = _plainly_encoded(column)
    dtype = column.type
    if pa.types.is_null(dtype):
        return np.full(len(column), np.nan)
    if pa.types.is_dictionary(dtype) and arrow.to_field(dtype.value_type).kind == "number":
        column = column.cast(dtype.value_type)
    if arrow.list_width(column.type) is not None:
        column = lists.as_features(column)
    if pa.types.is_fixed_size_list(column.type) and arrow.to_field(column.type).kind == "number":
        return as_numpy(column)  # Arrow's take is wrong for nested lists that are a slice
    if column.num_chunks != 1:
        column = _chunked(column.combine_chunks())
    plain = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if plain and not column.null_count and column.num_chunks:
        return column.chunk(0).to_numpy(zero_copy_only=True)
    return column


def _plainly_encoded(column: Any) -> Any:
    """Undo encodings of which Arrow takes no rows, or that pandas does not know."""
    dtype, t = column.type, pa.types
    if t.is_run_end_encoded(dtype):
        return _plainly_encoded(_chunked(pc.run_end_decode(column)))
    if t.is_string_view(dtype) or t.is_binary_view(dtype):
        return column.cast(pa.large_string() if t.is_string_view(dtype) else pa.large_binary())
    if t.is_dictionary(dtype) and any(map(_repeats, column.chunks)):
        return column.cast(dtype.value_type).dictionary_encode()
    return column


def _repeats(array: Any) -> bool:
    """Tell a dictionary that holds null, or a value twice; those of pandas never do."""
    values = array.dictionary
    if isinstance(values.type, pa.BaseExtensionType):  # intervals, periods
        return False
    return bool(values.null_count or len(values.unique()) < len(values))


def _field(column: Any) -> Field:
    """Describe a column."""
    if not isinstance(column, np.ndarray):
        return arrow.to_field(column.type)
    return Field.of_numpy(column.dtype, column.shape[1:])
