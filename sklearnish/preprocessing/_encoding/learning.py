"""One pass over the rows, after which it is known what each column becomes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from sklearnish.data import Dataset, hashed_sample, read_frames
from sklearnish.preprocessing._encoding.frames import column_of
from sklearnish.preprocessing._encoding.number import NumberColumn
from sklearnish.preprocessing._encoding.tallies import (
    Column,
    DateTally,
    ListTally,
    NumberTally,
    Options,
    Tally,
    TextTally,
)
from sklearnish.preprocessing._encoding.values import family, readable, spelled

KINDS = ("category", "date", "drop", "number", "text")
"""What the user may say that a column is."""

DROPPED = "dropped by kinds"

_MOST, _LEAST, _VALUES = 2**18, 2**14, 2**25
"""Rows of the sample, and its values in a wide table."""

_CODES, _ROWS_OF_CODE = 100, 10
"""Codes of numbers that any table may have, and rows for each one of more: they would be learned by
heart of fewer."""

_TALLIES: dict[str, tuple[type[Tally], tuple[str, ...]]] = {
    "number": (NumberTally, ("number", "category")),
    "text": (TextTally, ("category", "date", "text")),
    "date": (DateTally, ("date", "number")),
    "instant": (DateTally, ("date", "number")),
    "list": (ListTally, ("number",)),
}
"""Who counts a family of columns, and which kinds they may be."""


def _tally_of(name: str, dtype: Any, kind: str | None, options: Options) -> Tally:
    """Choose who counts a column.

    Raises
    ------
    TypeError
        If nothing can be made of such a column, or not what the user wants.
    """
    if family(dtype) == "list" and not pa.types.is_fixed_size_list(dtype):
        raise TypeError(
            f"Column {name!r} holds {dtype}: lists of several lengths. Pad or cut them, or leave "
            f"the column out with kinds={{{name!r}: 'drop'}}."
        )
    if family(dtype) not in _TALLIES:
        raise TypeError(
            f"Column {name!r} holds {dtype}, of which no numbers can be made. Convert it before, "
            f"or leave it out with kinds={{{name!r}: 'drop'}}."
        )
    tally, possible = _TALLIES[family(dtype)]
    if kind is not None and kind not in possible:
        raise TypeError(
            f"kinds={{{name!r}: {kind!r}}}, but the column holds {spelled(dtype)}, which can "
            f"be {' or '.join(map(repr, (*possible, 'drop')))}. Convert it before."
        )
    return tally(kind, options, name)


def learn(dataset: Dataset, kinds: Mapping[str, str], options: Options) -> dict[str, Column | str]:
    """Return what each column becomes, or why it is left out.

    Parameters
    ----------
    dataset : Dataset
        A table.
    kinds : mapping of str to str
        What the user says that columns are.
    options : Options
        Parameters of the encoder.

    Returns
    -------
    dict
        In the order of the columns.
    """
    found: dict[str, Column | str] = dict.fromkeys(dataset.columns, DROPPED)
    names = [name for name in dataset.columns if kinds.get(name) != "drop"]
    if names:
        tallies = _count(dataset.select(names), kinds, options)
        found |= {name: tally.finish() for name, tally in tallies.items()}
    return found if _enough_rows(found, len(dataset)) else _without_codes(found)


def _enough_rows(found: Mapping[str, Column | str], n_rows: int) -> bool:
    """Say whether there are rows enough for the codes of all numbers."""
    n_codes = sum(len(one.levels) for one in found.values() if isinstance(one, NumberColumn))
    return n_codes <= max(_CODES, n_rows // _ROWS_OF_CODE)


def _without_codes(found: Mapping[str, Column | str]) -> dict[str, Column | str]:
    """Leave numbers their scores alone."""
    return {
        name: replace(one, levels=()) if isinstance(one, NumberColumn) else one
        for name, one in found.items()
    }


def _count(dataset: Dataset, kinds: Mapping[str, str], options: Options) -> dict[str, Tally]:
    """Count all columns."""
    tallies: dict[str, Tally] = {}
    families: dict[str, str] = {}
    width = dataset.shape[1]
    chosen = np.zeros(len(dataset), dtype=bool)
    chosen[hashed_sample(dataset, min(_MOST, max(_LEAST, _VALUES // width)))] = True
    for frame, positions in read_frames(dataset):
        for name in dataset.columns:
            if name not in tallies:
                dtype = readable(frame.column(name)).type
                families[name] = family(dtype)
                tallies[name] = _tally_of(name, dtype, kinds.get(name), options)
            column = column_of(frame, name, families[name], "in rows before")
            tallies[name].add(column, chosen[positions])
    return tallies
