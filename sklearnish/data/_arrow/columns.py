"""What the formats that speak Arrow have in common."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.limits import UNPACKED, check_limit
from sklearnish.data._source import Field, IntArray, Source

_SHORT = 4096
"""Mean rows of a chunk below which copying all together costs less than looking at each."""

_MUCH = 2**26
"""Bytes of text from which they are compared with the size of the file."""

_CODED = pa.dictionary(pa.int32(), pa.string())
_CODED_BYTES = pa.dictionary(pa.int32(), pa.binary())

_SPELT = {"double": "float64", "float": "float32", "halffloat": "float16"}
"""Floats as NumPy spells them."""


class ArrowSource(Source):
    """A table of Arrow columns in files; it is pickled as what is known of them.

    Attributes
    ----------
    rows_read, blocks_read : int
        Rows and blocks that this object has read so far.
    """

    _types: dict[str, Any]
    _manifests: list[Manifest]
    _found_again: tuple[str, ...] = ("schema", "_handles", "rows_read", "blocks_read")

    def _start(self) -> None:
        """Begin with the counters at zero and what follows from the types."""
        self.schema = {name: to_field(dtype) for name, dtype in self._types.items()}
        self.rows_read = self.blocks_read = 0

    def __getstate__(self) -> dict[str, Any]:
        """Leave out files, and what follows from the types."""
        state = {k: v for k, v in self.__dict__.items() if k not in self._found_again}
        return state | {"_types": pa.schema(list(self._types.items()))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up the pickled state; files are opened when rows are read."""
        self.__dict__.update(state)
        self._types = {field.name: field.type for field in state["_types"]}
        self._start()

    def arrow_types(self, columns: Sequence[str]) -> dict[str, Any]:
        """Return the Arrow types of some columns."""
        return {name: self._types[name] for name in columns}

    def manifests(self) -> list[Manifest]:
        """Return what the files looked like when they were scanned."""
        return list(self._manifests)


def to_field(dtype: Any) -> Field:
    """Describe an Arrow type."""
    if isinstance(dtype, pa.FixedShapeTensorType):
        return Field(str(dtype), _kind(dtype.value_type), tuple(dtype.shape))
    name, shape = str(dtype), []
    while pa.types.is_fixed_size_list(dtype):
        shape.append(dtype.list_size)
        dtype = dtype.value_type
    kind = _kind(dtype)
    if shape and kind != "number":
        return Field(name, "other")
    return Field(
        "float64" if pa.types.is_null(dtype) else _SPELT.get(name, name), kind, tuple(shape)
    )


def _kind(dtype: Any) -> str:
    """Sort an Arrow type of scalars; a column of nothing but nulls is a number (NaN)."""
    t = pa.types
    if t.is_dictionary(dtype):
        return "text" if _kind(dtype.value_type) == "text" else "other"
    numbers = (t.is_boolean, t.is_integer, t.is_floating, t.is_decimal, t.is_null)
    if any(is_one(dtype) for is_one in numbers):
        return "number"
    if is_text(dtype):
        return "text"
    if t.is_timestamp(dtype) or t.is_date(dtype) or t.is_time(dtype):
        return "datetime"
    return "other"


def is_text(dtype: Any) -> bool:
    """Tell text, in one of Arrow's ways to store it."""
    t = pa.types
    return bool(t.is_string(dtype) or t.is_large_string(dtype) or t.is_string_view(dtype))


def width(dtype: Any) -> float | None:
    """Count the bytes of one value; None where they vary from row to row."""
    if isinstance(dtype, pa.FixedShapeTensorType):
        dtype = dtype.storage_type
    if pa.types.is_null(dtype):
        return 8.0
    if pa.types.is_fixed_size_list(dtype):
        one = width(dtype.value_type)
        return None if one is None else one * dtype.list_size
    try:
        return float(dtype.bit_width) / 8
    except ValueError:
        return None


def list_width(dtype: Any) -> int | None:
    """Count the numbers of an item of lists whose lengths may differ; None of anything else."""
    if not (pa.types.is_list(dtype) or pa.types.is_large_list(dtype)):
        return None
    item = to_field(dtype.value_type)
    return math.prod(item.shape) if item.kind == "number" else None


def coded(dtype: Any) -> Any:
    """Return the type in which text is held, each once; another type stays as it is."""
    if _kind(dtype) == "text":
        return _CODED
    if pa.types.is_binary_view(dtype):
        return pa.large_binary()  # Arrow takes no rows of views
    return _CODED_BYTES if pa.types.is_binary(dtype) else dtype


def to_coded(column: Any) -> Any:
    """Hold text as :func:`coded` says; another column stays as it is."""
    dtype = coded(column.type) if _kind(column.type) == "text" else column.type
    if dtype == column.type:
        return column
    return (column if pa.types.is_dictionary(column.type) else column.dictionary_encode()).cast(
        dtype
    )


def plain(dtype: Any) -> Any:
    """Return the type that a cache stores: no dictionaries, no nulls alone, no text as views."""
    t = pa.types
    if t.is_dictionary(dtype) or t.is_run_end_encoded(dtype):
        return plain(dtype.value_type)
    if t.is_string_view(dtype) or t.is_binary_view(dtype):
        return pa.string() if t.is_string_view(dtype) else pa.binary()
    if t.is_struct(dtype):
        return pa.struct([field.with_type(plain(field.type)) for field in dtype])
    if t.is_list(dtype):
        return pa.list_(dtype.value_field.with_type(plain(dtype.value_type)))
    if t.is_large_list(dtype):
        return pa.large_list(dtype.value_field.with_type(plain(dtype.value_type)))
    if t.is_map(dtype):
        return pa.map_(plain(dtype.key_type), dtype.item_field.with_type(plain(dtype.item_type)))
    return pa.float64() if t.is_null(dtype) else dtype


def common(one: Any, other: Any) -> Any:
    """Return the type that holds the values of two, or None.

    A column of nulls has any type, all ways to store text are text, and whole numbers and others
    are numbers, as inside a CSV file.
    """
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if _kind(one) == _kind(other) == "text":
        return pa.large_string()
    if pa.types.is_integer(one) and pa.types.is_integer(other):
        # Which Arrow takes too small for large uint64: float64 holds both of 64 bits.
        return pa.from_numpy_dtype(np.promote_types(one.to_pandas_dtype(), other.to_pandas_dtype()))
    try:
        both = [pa.schema([("", dtype)]) for dtype in (one, other)]
        return pa.unify_schemas(both, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return None


def cast(column: Any, dtype: Any) -> Any:
    """Convert a column, if it is of another type."""
    if column.type == dtype:
        return column
    if pa.types.is_dictionary(column.type) and not pa.types.is_dictionary(dtype):
        values = plain(column.type.value_type)  # from one of views Arrow casts to no view
        column = column.cast(pa.dictionary(column.type.index_type, values)).cast(values)
    if pa.types.is_run_end_encoded(column.type):
        column = cast(pc.run_end_decode(column), dtype)
    return (
        to_one_length(column, dtype) if pa.types.is_fixed_size_list(dtype) else column.cast(dtype)
    )


def to_one_length(lists: Any, dtype: Any) -> Any:
    """Convert lists to those of one length; if all are missing, Arrow reads beside their values."""
    if isinstance(lists, pa.ChunkedArray):
        return pa.chunked_array([to_one_length(chunk, dtype) for chunk in lists.chunks], dtype)
    return pa.nulls(len(lists), dtype) if lists.null_count == len(lists) else lists.cast(dtype)


def as_stored(column: Any, dtype: Any) -> Any:
    """Write text that is held as a dictionary as it is stored, where that is known."""
    return cast(column, dtype) if dtype and column.type in (_CODED, _CODED_BYTES) else column


def converted(column: Any, dtype: Any, size: int, where: str) -> Any:
    """Convert a column that may hold dictionaries, unless their texts, repeated, are too many.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        As read from a file.
    dtype : pyarrow.DataType
        What to convert to.
    size : int
        Bytes of the file.
    where : str
        Names column and file.

    Returns
    -------
    pyarrow.ChunkedArray
        The same values.

    Raises
    ------
    ValueError
        If the texts are beyond belief for a file of this size.
    """
    column = unsliced(column)
    if column.type == dtype:
        return column
    n_bytes = 0 if pa.types.is_dictionary(dtype) else sum(map(_text_nbytes, column.chunks))
    if n_bytes > _MUCH:
        times = n_bytes // size
        check_limit(UNPACKED, times, f"{where} holds text of {times:,} times the size of the file")
    return cast(column, dtype)


def unsliced(column: Any) -> Any:
    """Copy nested lists of fixed lengths that are a slice: Arrow's take reads beside them."""
    fixed = pa.types.is_fixed_size_list
    if not (fixed(column.type) and fixed(column.type.value_type)):
        return column
    chunks = [pa.concat_arrays([c, c.slice(0, 0)]) if c.offset else c for c in column.chunks]
    return pa.chunked_array(chunks, column.type)


def _text_nbytes(array: Any) -> int:
    """Count the bytes of text that an array would hold without dictionaries."""
    dtype, t = array.type, pa.types
    if t.is_dictionary(dtype):
        if not is_text(dtype.value_type) and not t.is_binary(dtype.value_type):
            return 0
        lengths = pc.binary_length(array.dictionary).cast(pa.int64())
        return pc.sum(lengths.take(array.indices)).as_py() or 0
    if t.is_struct(dtype):
        return sum(map(_text_nbytes, array.flatten()))
    if t.is_map(dtype):
        return _text_nbytes(array.keys) + _text_nbytes(array.items)
    return _text_nbytes(array.flatten()) if t.is_nested(dtype) else 0


def check_names(names: Sequence[str], where: str) -> None:
    """Raise ValueError if two columns have one name."""
    for name, n in Counter(names).items():
        if n > 1:
            raise ValueError(
                f"{where} has two columns named {name!r}. Rename one: columns are found by name."
            )


def chosen(known: Sequence[str], asked: Collection[str] | None, where: str) -> list[str]:
    """List the columns that are asked for, in their own order; None asks for all.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    missing = sorted(set(asked or ()) - set(known))
    if missing:
        raise ValueError(
            f"{where} has no column {', '.join(map(repr, missing))}. Its columns are "
            f"{', '.join(map(repr, known))}."
        )
    return [name for name in known if asked is None or name in asked]


def runs(rows: IntArray, blocks: IntArray) -> Iterable[tuple[int, IntArray]]:
    """Cut ascending rows by block: (block, row numbers within it) for each that is needed."""
    if not len(rows):
        return
    if rows[0] < 0 or rows[-1] >= blocks[-1]:
        raise IndexError(f"rows {rows[0]} to {rows[-1]} were requested, of {blocks[-1]}.")
    first = int(np.searchsorted(blocks, rows[0], side="right")) - 1
    last = int(np.searchsorted(blocks, rows[-1], side="right")) - 1
    bounds = np.searchsorted(rows, blocks[first : last + 2])
    for i, block in enumerate(range(first, last + 1)):
        start, stop = bounds[i], bounds[i + 1]
        if stop > start:
            yield block, rows[start:stop] - blocks[block]


def pick(table: Any, rows: IntArray) -> Any:
    """Take ascending rows (repeats allowed) of a table; one stretch is a slice, not a copy."""
    start, n = int(rows[0]), len(rows)
    if int(rows[-1]) - start == n - 1 and (n == 1 or bool((np.diff(rows) == 1).all())):
        return table.slice(start, n)
    if bool((np.diff(rows) == 0).any()):
        return table.take(pa.array(rows))
    mask = np.zeros(table.num_rows, dtype=bool)  # half the time of take
    mask[rows] = True
    return table.filter(pa.array(mask))


def join(pieces: Sequence[Any], types: dict[str, Any]) -> dict[str, Any]:
    """Put record batches, or tables, end to end: one chunked array per column."""
    if pieces and isinstance(pieces[0], pa.RecordBatch):
        table = pa.Table.from_batches(pieces)  # far quicker than column by column
        short = table.num_rows < _SHORT * len(pieces)
        pieces = [table.combine_chunks() if short else table]
    columns = {}
    for name, dtype in types.items():
        try:
            chunks = [c for piece in pieces for c in cast(piece.column(name), dtype).chunks]
        except pa.ArrowInvalid as error:
            raise ValueError(f"column {name!r} cannot be read as {dtype}: {error}") from error
        chunked = pa.chunked_array(chunks, dtype)
        columns[name] = chunked.cast(pa.float64()) if pa.types.is_null(dtype) else chunked
    return columns
