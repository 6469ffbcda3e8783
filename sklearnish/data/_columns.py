"""Which columns are meant: names and numbers of features, checked."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sklearnish.data._source import IntArray, Source


def listed_names(columns: Any) -> tuple[Any, ...]:
    """List the columns that a user wants, which are no single string.

    Raises
    ------
    TypeError
        If they are one, whose letters would be taken for names, or no list.
    """
    if isinstance(columns, str):
        raise TypeError(f"{columns!r} is one string; pass a list: select([{columns!r}]).")
    if not isinstance(columns, Iterable):
        raise TypeError(
            f'select takes a list of names of columns, such as select(["price"]), not {columns!r}.'
        )
    return tuple(columns)


def column_names(source: Source, names: Sequence[str]) -> tuple[str, ...]:
    """Check that columns exist.

    Raises
    ------
    ValueError
        If one does not; the message names those that do.
    """
    missing = [n for n in names if not isinstance(n, str) or n not in source.schema]
    if missing:
        raise ValueError(
            f"{source.name} has no column {_some(missing)}. Its columns are "
            f"{_some(list(source.schema))}."
        )
    return tuple(names)


def check_numeric(source: Source, names: Sequence[str]) -> None:
    """Refuse features that are not numbers.

    Raises
    ------
    ValueError
        Naming the columns and the two ways out.
    """
    bad = [f"{n!r} ({source.schema[n].dtype})" for n in names if source.schema[n].kind != "number"]
    if bad:
        text = (n for n in names if source.schema[n].kind == "text")
        why = next(filter(None, map(source.why_text, text)), "")
        raise ValueError(
            f"Features must be numbers, but {source.name} has {', '.join(bad)}. {why}Encode such "
            "a column first, for example in a ColumnTransformer, or drop it."
        )


def feature_names(names: tuple[str, ...], key: Any) -> tuple[str, ...]:
    """Pick feature names by name, number, mask or slice."""
    if isinstance(key, slice):
        return names[key]
    keys = _picks(key)
    if keys and all(isinstance(k, bool) for k in keys):
        if len(keys) != len(names):
            raise IndexError(f"The mask has {len(keys)} values for {len(names)} columns.")
        keys = np.flatnonzero(keys).tolist()
    try:
        return tuple(k if isinstance(k, str) else names[k] for k in keys)
    except IndexError as error:
        raise IndexError(f"Column {key!r} is out of range for {len(names)} columns.") from error


def _picks(key: Any) -> list[Any]:
    """List the names and numbers in a key."""
    given = np.asarray(key).tolist()
    listed = isinstance(given, Iterable) and not isinstance(given, str)
    keys = list(given) if listed else [None]
    if not all(isinstance(k, str | int | np.integer) for k in keys):
        raise IndexError(
            f"Columns are picked by a slice, a mask or a list of names or numbers, not by {key!r}."
        )
    return keys


def feature_positions(width: int | None, picked: IntArray | None, key: Any) -> IntArray:
    """Pick column numbers of a matrix; a pick of a pick counts from the matrix."""
    if width is None:
        raise IndexError("Only rows that are one-dimensional have columns to pick.")
    every = np.arange(width, dtype=np.int64) if picked is None else picked
    if isinstance(key, slice):
        return every[key].copy()  # torch takes no negative strides
    keys = np.asarray(key) if np.size(key) else np.empty(0, dtype=np.int64)
    if keys.dtype.kind not in "iub" or keys.ndim != 1:
        raise IndexError(
            "Columns of an unnamed array are picked by a slice, a mask or a list of numbers, "
            f"not by {key!r}."
        )
    return every[keys]


def _some(names: Sequence[str], most: int = 20) -> str:
    """List columns, not all of a thousand."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def check_no_name(y: Any) -> None:
    """Refuse the name of a column in the place of its labels."""
    if isinstance(y, str):
        raise TypeError(
            f"y={y!r} is one string; y takes the labels themselves. To name a column, scan with "
            f"target={y!r}, as in ds = sn.scan_parquet(path, target={y!r}), then fit(ds, "
            f"ds.target); of a DataFrame pass df[{y!r}]."
        )
