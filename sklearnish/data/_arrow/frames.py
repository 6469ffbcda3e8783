"""Columns as a table of a library that people know: pandas, polars or Arrow."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from sklearnish.data._arrow.columns import cast, is_text, to_coded
from sklearnish.data._shown import shown
from sklearnish.data._source import Column, Field

Kind = Literal["pandas", "polars", "arrow"]
FRAMES = get_args(Kind)
NameRow = Callable[[int], str]


def to_frame(
    columns: Mapping[str, Column],
    schema: Mapping[str, Field],
    kind: str,
    name_row: NameRow = "row {} of these".format,
) -> Any:
    """Make a table of columns; what is missing stays missing.

    Parameters
    ----------
    columns : mapping of str to Column
        NumPy arrays, also of lists, and Arrow columns, all of one length.
    schema : mapping of str to Field
        What they are: text that is stored as text may be held as a dictionary.
    kind : {"pandas", "polars", "arrow"}
        The library.
    name_row : callable, optional
        Names a row by its place among these, for errors.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        In Arrow, text is a dictionary, each text once, with codes of int32.
    """
    if kind == "pandas":
        return _to_pandas(columns, schema, name_row)
    arrays = {name: as_arrow(column, name, name_row) for name, column in columns.items()}
    _check_zones(arrays)
    if kind == "arrow":
        return pa.table({name: to_coded(array) for name, array in arrays.items()})
    import polars as pl

    return pl.from_arrow(pa.table({n: _spelled(array, schema[n]) for n, array in arrays.items()}))


def as_arrow(column: Column, name: str = "", name_row: NameRow = "row {} of these".format) -> Any:
    """Make an Arrow column; NaN of an array is missing.

    Raises
    ------
    ValueError
        If an array of Python objects holds values of several types, or of one that Arrow lacks; the
        message names column and row.
    """
    if isinstance(column, pa.ChunkedArray | pa.Array):
        return column
    try:
        if column.ndim == 1:  # NaN is looked for in one quick pass first
            with np.errstate(all="ignore"):
                whole = column.dtype.kind == "f" and not np.isnan(column.sum())
            return pa.array(column, from_pandas=not whole)
        flat = pa.array(column.reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(column.shape[1:])))
    except (pa.ArrowException, OverflowError, TypeError, UnicodeEncodeError) as error:
        if column.dtype.kind == "c":
            raise ValueError(
                f"Column {name!r} holds complex numbers, which Arrow has not. Make two columns of "
                f"it before: numpy.real(frame[{name!r}]) and numpy.imag(frame[{name!r}])."
            ) from error
        if isinstance(error, UnicodeEncodeError):
            raise ValueError(
                f"Column {name!r} holds text that is no Unicode, {shown(error.object)}: half of a "
                "pair of surrogates, as text read with the wrong encoding has. Read it again with "
                "the right one, or drop the column."
            ) from error
        raise ValueError(
            f"Column {name!r} holds Python objects of which Arrow makes no column"
            f"{_odd_one(column, name_row)}. Convert them to one type before, such as text: "
            f"frame[{name!r}].astype('string')."
        ) from error


def _check_zones(arrays: Mapping[str, Any]) -> None:
    """Refuse times whose zone nobody knows."""
    for name, array in arrays.items():
        zone = getattr(array.type, "tz", None)
        try:
            if zone is not None:
                pa.lib.string_to_tzinfo(zone)
        except (pa.ArrowException, KeyError) as error:
            raise ValueError(
                f"Column {name!r} holds times of the zone {zone!r}, which this machine does not "
                "know. Write them with a zone of the IANA database, such as 'Europe/Berlin', or "
                "drop the column."
            ) from error


def _odd_one(values: Any, name_row: NameRow) -> str:
    """Say which value is of another type than the first; "" if all are of one."""
    known = [(i, value) for i, value in enumerate(values.tolist()) if not is_missing(value)]
    kinds = [type(value).__name__ for _, value in known]
    odd = next((k for k, kind in enumerate(kinds) if kind != kinds[0]), None)
    if odd is None:
        return ""
    told = (f"{shown(known[k][1])} ({kinds[k]}) in {name_row(known[k][0])}" for k in (0, odd))
    return f": {' and '.join(told)}"


def is_missing(value: Any) -> bool:
    """Tell None, pandas.NA and what differs from itself, as NaN does, from a value."""
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def _to_pandas(
    columns: Mapping[str, Column], schema: Mapping[str, Field], name_row: NameRow
) -> Any:
    """Make a DataFrame as pandas reads it: dates become datetime64, dictionaries categories."""
    objects = {n: c for n, c in columns.items() if isinstance(c, np.ndarray) and holds_objects(c)}
    arrays = {n: as_arrow(c, n, name_row) for n, c in columns.items() if n not in objects}
    _check_zones(arrays)
    table = pa.table({n: _spelled(array, schema[n]) for n, array in arrays.items()})
    frame = table.to_pandas(date_as_object=False, use_threads=False)  # one block for each type
    for place, name in enumerate(columns):
        if name in objects:
            frame.insert(place, name, _as_series(objects[name]))
    return frame


def _as_series(array: Any) -> Any:
    """Make a column of pandas, of which no other type is found out: it would depend on the rows."""
    import pandas as pd

    return pd.Series(list(array), dtype=array.dtype if array.ndim == 1 else object)


def holds_objects(array: Any) -> bool:
    """Tell what Arrow may have no type for: rows of a matrix, Python objects, complex numbers."""
    return bool(array.ndim > 1 or array.dtype.kind in "Oc")


def _spelled(column: Any, field: Field) -> Any:
    """Write text out that is held as a dictionary, unless it is stored as one; undo extensions."""
    if isinstance(column.type, pa.FixedShapeTensorType):
        return column.cast(column.type.storage_type)
    if not pa.types.is_dictionary(column.type):
        return column
    if not field.dtype.startswith("dictionary") and is_text(column.type.value_type):
        return cast(column, column.type.value_type)
    return column.unify_dictionaries() if isinstance(column, pa.ChunkedArray) else column
