"""Columns that are stored in the names of folders, ``year=2020/``, as Hive and Spark write them."""

import glob
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sklearnish.data._arrow.columns import coded

_MISSING = "__HIVE_DEFAULT_PARTITION__"


class Partitions:
    """One value per file for each column that folders name.

    Whole numbers are int64, anything else is text, and Hive's name of the missing is missing.
    Only folders below a folder or glob that was given count, as in pandas; of a list of files
    all do, of a single file none.

    Parameters
    ----------
    files : sequence of str
        Absolute paths.
    places : sequence of str
        The folders and globs in which they were found.
    asked : collection of str or None
        Columns that all files must have; None for all.

    Attributes
    ----------
    types : dict of str to pyarrow.DataType
        Type of each column.
    differing : dict of str to str
        Columns that only some files have, and which.

    Raises
    ------
    ValueError
        A file lies in no folder that names a column which is asked for.
    """

    def __init__(
        self, files: Sequence[str], places: Sequence[str], asked: Collection[str] | None
    ) -> None:
        roots = [fixed_part(place) for place in places]
        named = [_values(file, roots, alone=len(files) == 1) for file in files]
        self.differing: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        for name in dict.fromkeys(name for values in named for name in values):
            without = next((f for f, v in zip(files, named, strict=True) if name not in v), None)
            if without is not None:
                how = f"{without} lies in no folder {name}=..., as others do."
                if asked is None or name in asked:
                    raise ValueError(f"{how} Move it, or scan others together.")
                self.differing[name] = how
            else:
                self._values[name] = _typed([values[name] for values in named])
        self.types: dict[str, Any] = {name: v.type for name, v in self._values.items()}

    def __contains__(self, name: str) -> bool:
        """Say whether a column is stored in the names of folders."""
        return name in self._values

    def as_stored(self, types: dict[str, Any]) -> None:
        """Give columns that the files hold, too, their type there if it can hold the values."""
        for name in self.types.keys() & types.keys():
            try:
                self._values[name] = self._values[name].cast(types[name])
                self.types[name] = types[name]
            except pa.ArrowException:
                pass

    def take(self, name: str, files: npt.NDArray[np.integer[Any]]) -> Any:
        """Look up the values of rows whose files are given by number; text is not repeated."""
        values = self._values[name]
        return pa.chunked_array([values.cast(coded(values.type)).take(pa.array(files))])


def fixed_part(place: str) -> Path:
    """Cut off a glob where its pattern begins."""
    path = Path(place)
    while glob.has_magic(str(path)):
        path = path.parent
    return path


def _values(file: str, roots: Sequence[Path], *, alone: bool) -> dict[str, str | None]:
    """Read the names of the folders around a file."""
    folder = Path(file).parent
    root = next((root for root in roots if folder.is_relative_to(root)), None)
    if root is None and alone:
        return {}
    parts = folder.parts if root is None else folder.relative_to(root).parts
    pairs = (part.split("=", 1) for part in parts if "=" in part.strip("="))
    return {unquote(n): None if value == _MISSING else unquote(value) for n, value in pairs if n}


def _typed(texts: list[str | None]) -> Any:
    """Make whole numbers of texts if all of them are."""
    if all(text is None or re.fullmatch(r"[+-]?\d+", text) for text in texts):
        try:
            return pa.array([None if text is None else int(text) for text in texts], pa.int64())
        except OverflowError:
            pass
    return pa.array(texts, pa.string())
