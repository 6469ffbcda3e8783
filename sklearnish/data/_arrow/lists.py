"""Columns of lists (embeddings): where all are of one length, each item is a feature."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.data._arrow.columns import to_one_length
from sklearnish.data._source import Column, IntArray, Source

_LOOKED_AT = 2**16
"""Rows that are searched at once for lists of another length."""


def is_list(column: Column) -> bool:
    """Tell Arrow columns of lists whose lengths may differ."""
    if not isinstance(column, pa.ChunkedArray):
        return False
    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type))


def n_features(source: Source, names: Iterable[str]) -> int:
    """Count the features in columns: those of lists hold several."""
    return sum(math.prod(source.schema[name].shape) for name in names)


def of_one_length(column: Any, length: int, name: str, name_row: Callable[[int], str]) -> Any:
    """Convert lists that should be of one length to Arrow's type for such; null stays null.

    Raises
    ------
    ValueError
        If one is of another length; the message names its row.
    """
    try:
        return to_one_length(column, pa.list_(column.type.value_type, length))
    except pa.ArrowInvalid as error:
        row = _other_length(column, length)
        if row is None:
            raise
        raise ValueError(
            f"Column {name!r} has a list of {len(column[row])} values in {name_row(row)}, and of "
            f"{length} before. Lists that are features must be of one length: pad or cut them, or "
            "leave the column out."
        ) from error


def _other_length(column: Any, length: int) -> int | None:
    """Find the first list that is of another length."""
    place = pc.index(pc.equal(pc.list_value_length(column), length), False).as_py()
    return None if place < 0 else int(place)


def declared(source: Source, columns: dict[str, Column], rows: IntArray) -> dict[str, Column]:
    """Convert lists that the schema takes for lists of one length, now that they are wanted."""
    for name, column in columns.items():
        if source.schema[name].shape and is_list(column):
            length = source.schema[name].shape[0]
            columns[name] = of_one_length(
                column, length, name, lambda i: source.row_name(int(rows[i]))
            )
    return columns


def as_features(column: Any) -> Any:
    """Convert lists of numbers in memory if all are of one length; else leave them as they are."""
    lengths = pc.list_value_length(column)
    length = pc.max(lengths).as_py()
    if not length or pc.min(lengths).as_py() != length:
        return column
    return to_one_length(column, pa.list_(column.type.value_type, length))


def why_no_features(source: Source, name: str) -> str:
    """Say which lists differ in length, or what to do with others; "" of what holds no lists."""
    first: tuple[int, int] | None = None
    for start in range(0, source.n_rows, _LOOKED_AT):
        rows = np.arange(start, min(start + _LOOKED_AT, source.n_rows))
        column = source.read(rows, [name])[name]
        if not is_list(column):
            return ""
        lengths = pc.list_value_length(column)
        if first is None and len(known := lengths.drop_null()):
            first = start + int(pc.index(lengths, known[0]).as_py()), known[0].as_py()
        if first is not None and (row := _other_length(column, first[1])) is not None:
            return (
                f"{name!r} has lists of {first[1]} values in {source.row_name(first[0])} and of "
                f"{len(column[row])} in {source.row_name(start + row)}: lists of one length are "
                "features. Pad or cut them. "
            )
    return (
        f"Write the lists of {name!r} with their length, as pyarrow.FixedSizeListArray does, or "
        f"pass np.stack(frame[{name!r}]). "
    )
