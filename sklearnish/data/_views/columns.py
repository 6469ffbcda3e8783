"""Which columns are meant: names and numbers of features, checked."""

import itertools
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from sklearnish.data._arrow.lists import why_no_features
from sklearnish.data._shown import shown
from sklearnish.data._source import Field, IntArray, Source
from sklearnish.data._system.warn import warn

_INDEX = r"__index_level_\d+__"
_UNNAMED = r"Unnamed: \d+(\.\d+)*"


def listed_names(columns: Any) -> tuple[Any, ...]:
    """List the columns that a user wants, which are no single string.

    Raises
    ------
    TypeError
        If they are one, whose letters would be taken for names, or no list.
    """
    if isinstance(columns, str):
        raise TypeError(f"{shown(columns)} is one string; pass a list: select([{shown(columns)}]).")
    if not isinstance(columns, Iterable):
        raise TypeError(
            'select takes a list of names of columns, such as select(["price"]), not '
            f"{shown(columns)}."
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
        why = [how for name, how in source.left_out.items() if name in missing]
        if why:
            raise ValueError(f"{' '.join(why)} Write the files again with one schema.")
        raise ValueError(
            f"{source.name} has no column {_some(missing)}. Its columns are "
            f"{_some(list(source.schema))}."
        )
    return tuple(names)


def without_index(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Leave out the index of a DataFrame that was stored as a column, and warn of it.

    pandas names it ``__index_level_0__`` in Parquet; in CSV, where it has no name and comes first,
    ``read_csv`` calls it "Unnamed: 0". It numbers the rows: of a sorted file it gives the labels
    away.
    """
    unnamed = len(list(itertools.takewhile(re.compile(_UNNAMED).fullmatch, names)))
    index = [*names[:unnamed], *(n for n in names[unnamed:] if re.fullmatch(_INDEX, n))]
    if not index or len(index) == len(names):
        return tuple(names)
    with suppress(UserWarning):  # where warnings are errors: an index is no reason to stop
        warn(
            f"{_some(index)} of {where} is the index of a DataFrame, so it is not among the "
            "features. To have it among them, name them all: columns=[...].",
            UserWarning,
        )
    return tuple(name for name in names if name not in index)


_KINDS = (
    ("dictionary", "category"),
    ("timestamp", "datetime"),
    ("datetime64", "datetime"),
    ("date", "date"),
    ("time32", "time"),
    ("time64", "time"),
    ("timedelta64", "duration"),
    ("duration", "duration"),
    ("decimal", "decimal"),
    ("bool", "bool"),
)
"""How the names of types begin, and what columns of such a type hold."""

_LISTS = ("list", "large_list", "fixed_size_list", "extension<arrow.fixed_shape_tensor")


def kind_of(field: Field) -> str:
    """Say what a column holds, more closely than its field, which asks for numbers."""
    if field.shape or field.dtype.startswith(_LISTS):
        return "list"
    known = (kind for name, kind in _KINDS if field.dtype.startswith(name))
    return next(known, field.kind)


def check_numeric(source: Source, names: Sequence[str]) -> None:
    """Refuse features that are not numbers.

    Raises
    ------
    ValueError
        Naming the columns and the two ways out.
    """
    bad = [f"{n!r} ({source.schema[n].dtype})" for n in names if source.schema[n].kind != "number"]
    if bad:
        raise ValueError(
            f"Features must be numbers, but {source.name} has {', '.join(bad)}. "
            + _way_out(source, [n for n in names if source.schema[n].kind != "number"])
        )


def _way_out(source: Source, names: Sequence[str]) -> str:
    """Say why columns are no numbers, where that is a surprise, and what to do."""
    text = (n for n in names if source.schema[n].kind == "text")
    why = next(filter(None, map(source.why_text, text)), "")
    if not why and "list" in source.schema[names[0]].dtype:
        why = why_no_features(source, names[0])
        if why and len(names) == 1:
            return f"{why}Or drop the column."
    tables = "" if why else " TabularClassifier and TabularRegressor take such columns as they are."
    if source.in_memory:
        encode = "Encode such a column first, for example in a ColumnTransformer, or drop it."
        return f"{why}{encode}{tables}"
    return (
        f"{why}Drop such a column: name the features, columns=[...] or ds.select([...]). Or make "
        "numbers of it as rows are read: by ds.map_frames(f), where f takes and returns a "
        f"DataFrame, or in a Pipeline, by sn.preprocessing.Streamed(transformer).{tables}"
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
        raise IndexError(
            f"Column {shown(key)} is out of range for {len(names)} columns."
        ) from error


def _picks(key: Any) -> list[Any]:
    """List the names and numbers in a key."""
    given = np.asarray(key).tolist()
    listed = isinstance(given, Iterable) and not isinstance(given, str)
    keys = list(given) if listed else [None]
    if not all(isinstance(k, str | int | np.integer) for k in keys):
        raise IndexError(
            "Columns are picked by a slice, a mask or a list of names or numbers, not by "
            f"{shown(key)}."
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
            f"not by {shown(key)}."
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
            f"y={shown(y)} is one string; y takes the labels themselves. To name a column, scan "
            f"with target={shown(y)}, as in ds = sn.scan_parquet(path, target={shown(y)}), then "
            f"fit(ds, ds.target); of a DataFrame pass df[{shown(y)}]."
        )
