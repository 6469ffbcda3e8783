"""What the formats that speak Arrow have in common."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sklearnish.data._source import Field, IntArray

_SHORT = 4096
"""Mean rows of a chunk below which copying all together costs less than looking at each."""


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
    return Field("float64" if pa.types.is_null(dtype) else _spell(name), kind, tuple(shape))


def _spell(name: str) -> str:
    """Spell floats as NumPy does."""
    return {"double": "float64", "float": "float32", "halffloat": "float16"}.get(name, name)


def _kind(dtype: Any) -> str:
    """Sort an Arrow type of scalars; a column of nothing but nulls is a number (NaN)."""
    t = pa.types
    if t.is_dictionary(dtype):
        return "text" if _kind(dtype.value_type) == "text" else "other"
    if t.is_boolean(dtype) or t.is_integer(dtype) or t.is_floating(dtype):
        return "number"
    if t.is_decimal(dtype) or t.is_null(dtype):
        return "number"
    if t.is_string(dtype) or t.is_large_string(dtype) or t.is_string_view(dtype):
        return "text"
    if t.is_timestamp(dtype) or t.is_date(dtype) or t.is_time(dtype):
        return "datetime"
    return "other"


def width(dtype: Any) -> float | None:
    """Count the bytes of one value; None where they vary from row to row."""
    if isinstance(dtype, pa.FixedShapeTensorType):
        dtype = dtype.storage_type
    if pa.types.is_null(dtype):
        return 8.0
    try:
        return float(dtype.bit_width) / 8
    except ValueError:
        pass
    if pa.types.is_fixed_size_list(dtype):
        one = width(dtype.value_type)
        return None if one is None else one * dtype.list_size
    return None


def plain(dtype: Any) -> Any:
    """Return the type that a cache stores: no dictionaries, no columns of nulls."""
    if pa.types.is_dictionary(dtype):
        return dtype.value_type
    return pa.float64() if pa.types.is_null(dtype) else dtype


def common(one: Any, other: Any) -> Any:
    """Return the type that holds the values of two, or None.

    A column of nulls has any type, and all ways to store text are text.
    """
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    return pa.large_string() if _kind(one) == _kind(other) == "text" else None


def cast(column: Any, dtype: Any) -> Any:
    """Convert a column, if it is of another type."""
    if column.type == dtype:
        return column
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(dtype)


def check_names(names: Sequence[str], where: str) -> None:
    """Raise ValueError if two columns have one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(
                f"{where} has two columns named {name!r}. Rename one: columns are found by name."
            )
        seen.add(name)


def runs(rows: IntArray, blocks: IntArray) -> Iterable[tuple[int, IntArray]]:
    """Cut ascending rows by block: (block, row numbers within it) for each that is needed."""
    if not len(rows):
        return
    if rows[0] < 0 or rows[-1] >= blocks[-1]:
        raise IndexError(f"rows {rows[0]} to {rows[-1]} were asked for, of {blocks[-1]}.")
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
        chunks = [c for piece in pieces for c in cast(piece.column(name), dtype).chunks]
        chunked = pa.chunked_array(chunks, dtype)
        columns[name] = chunked.cast(pa.float64()) if pa.types.is_null(dtype) else chunked
    return columns
