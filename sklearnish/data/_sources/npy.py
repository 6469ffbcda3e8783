"""Rows of .npy files, memory-mapped.

One or several files stacked along their rows make one field. The rows are read in ascending
order: a window of neighbouring blocks costs the disk a few long reads instead of many short ones.
"""

import copy
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._files import Listing, Manifest, Paths, describe
from sklearnish.data._limits import ROWS_PER_BYTE, check_limit
from sklearnish.data._source import Column, Field, IntArray, Source

BLOCK_BYTES = 2**20
"""Size of a block: long enough for a disk, short enough to mix many in a window."""

_MIN_RUN = 64
"""Mean length of the runs of neighbours from which copying slices beats indexing."""

_KINDS = {"b": "number", "i": "number", "u": "number", "f": "number"} | {
    "U": "text",
    "S": "text",
    "M": "datetime",
}


class NpySource(Source):
    """Rows of one or more .npy files.

    The field "X" holds the rows; "y" the target, where one is given.

    Parameters
    ----------
    paths : str, path or list of them
        Files, globs or folders; several are stacked along their rows.
    target : str, path, list of them or ndarray, default=None
        Likewise for the labels, or an array of one value per row.

    Raises
    ------
    FileNotFoundError
        A file is missing.
    ValueError
        A file is empty, truncated, not in the .npy format, holds objects or records or no rows,
        differs in row shape or dtype from the first, or the target has another number of rows.
    TypeError
        `paths` are no paths, or `target` is neither paths nor an array.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearnish.data._sources.npy import NpySource
    >>> folder = getfixture("tmp_path")
    >>> np.save(folder / "a.npy", np.arange(6.0).reshape(3, 2))
    >>> source = NpySource(folder / "a.npy", target=np.array([0, 1, 0]))
    >>> source.read(np.array([0, 2]), ["X", "y"])
    {'X': array([[0., 1.], [4., 5.]]), 'y': array([0, 0])}
    """

    tabular = False
    work = "copying"
    _block_rows: int | None = None  # None for blocks of about BLOCK_BYTES

    def __init__(self, paths: Paths, target: Any = None) -> None:
        self._X = _Stack(paths)
        self._y = target
        self.name = self._X.name
        if self._X.field.kind != "number":
            raise ValueError(f"{self.name} holds {self._X.field.dtype}; rows must be numbers.")
        self.n_rows = self._X.n_rows
        self.schema = {"X": self._X.field}
        if target is not None:
            self._y = target if isinstance(target, np.ndarray) else _stacked_target(target)
            self.schema["y"] = self._target_field()
        self.blocks = self._X.blocks()

    @property
    def files(self) -> list[str]:
        """Absolute paths of the files, those of the target included."""
        stacks = [stack for stack in (self._X, self._y) if isinstance(stack, _Stack)]
        return [file.manifest.path for stack in stacks for file in stack._files]

    def _target_field(self) -> Field:
        """Describe the target and check its length."""
        y = self._y
        n_rows = len(y) if isinstance(y, np.ndarray) and y.ndim else getattr(y, "n_rows", 0)
        if n_rows != self.n_rows:
            what = "the target" if isinstance(y, np.ndarray) else y.name
            raise ValueError(f"{what} has {n_rows} rows and {self.name} has {self.n_rows}.")
        return y.field if isinstance(y, _Stack) else _field(y.dtype, y.shape[1:])

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Copy rows out of the mapped files."""
        held = {"X": self._X, "y": self._y}
        out = {}
        for name in columns:
            values = held[name]
            out[name] = values.read(rows) if isinstance(values, _Stack) else values[rows]
        return out

    def labels(self, column: str) -> npt.NDArray[Any] | None:
        """Return the target if it was given as an array."""
        return self._y if column == "y" and isinstance(self._y, np.ndarray) else None

    def row_name(self, row: int) -> str:
        """Name file and row."""
        return self._X.row_name(row)

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if a file changed since it was scanned."""
        for stack in (self._X, self._y):
            if isinstance(stack, _Stack):
                stack.check_unchanged()

    def finer(self, rows: int) -> "NpySource":
        """Return the same rows in blocks of at most so many: mapped rows are cheap anyway."""
        made = copy.copy(self)
        made._block_rows = rows
        made.blocks = self._X.blocks(rows)
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be counted again: a terabyte has a million blocks."""
        return {k: v for k, v in self.__dict__.items() if k != "blocks"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Count the blocks again."""
        self.__dict__.update(state)
        self.blocks = self._X.blocks(self._block_rows)


@dataclass(frozen=True)
class _File:
    """One .npy file, as its header describes it."""

    manifest: Manifest
    offset: int
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, path: Path) -> "_File":
        """Read and check a header."""
        manifest = Manifest.of(path)
        shape, fortran, dtype, offset = _read_header(path)
        if dtype.hasobject:
            raise ValueError(
                f"{path} holds Python objects, which only pickle can read; save it again as "
                "numbers: np.save(path, array.astype(np.float32))."
            )
        if dtype.names is not None or dtype.kind == "V":
            raise ValueError(
                f"{path} holds records ({dtype}); save a plain array, or write Parquet instead."
            )
        if dtype.kind not in _KINDS:
            raise ValueError(f"{path} holds {dtype}; numbers or text labels are needed.")
        if not shape:
            raise ValueError(f"{path} holds a single value; an array with rows is needed.")
        if min(shape) < 0:
            raise ValueError(f"{path} is damaged: its header promises the shape {shape}.")
        n_rows = f"{path} claims {shape[0]:,} rows in {manifest.size:,} bytes"
        check_limit(ROWS_PER_BYTE, shape[0] // max(1, manifest.size), n_rows)
        wanted = offset + math.prod(shape) * dtype.itemsize
        if manifest.size < wanted:
            raise ValueError(
                f"{path} is truncated: its header promises {wanted} bytes, it has {manifest.size}."
            )
        return cls(manifest, offset, shape, fortran, dtype)

    def open(self) -> npt.NDArray[Any]:
        """Map the file into memory."""
        if math.prod(self.shape) == 0:  # nothing to map
            return np.empty(self.shape, self.dtype)
        order: Any = "F" if self.fortran else "C"
        path = self.manifest.path
        return np.memmap(path, self.dtype, "r", self.offset, self.shape, order).view(np.ndarray)


class _Stack:
    """Files stacked along their rows."""

    def __init__(self, paths: Paths) -> None:
        if not isinstance(paths, str | os.PathLike) and isinstance(paths, Iterable):
            paths = list(paths)
        files, self._listing = Listing.of(paths, (".npy",))
        self._files = [_File.of(path) for path in files]
        self.name = describe(paths)
        self._maps: dict[int, npt.NDArray[Any]] = {}
        first = self._files[0]
        for file in self._files[1:]:
            if (file.shape[1:], file.dtype) != (first.shape[1:], first.dtype):
                raise ValueError(
                    f"{file.manifest.path} has rows of shape {file.shape[1:]}, {file.dtype}; "
                    f"{first.manifest.path} has {first.shape[1:]}, {first.dtype}: they cannot be "
                    "stacked. Give files of one kind."
                )
        self._starts = np.cumsum([0] + [file.shape[0] for file in self._files])
        self.n_rows = int(self._starts[-1])
        if self.n_rows == 0:
            raise ValueError(f"{self.name} holds 0 rows.")
        # Torch knows the machine's byte order only.
        self._dtype = first.dtype.newbyteorder("=")
        self._row_shape = first.shape[1:]
        self.field = _field(self._dtype, self._row_shape)

    def blocks(self, rows: int | None = None) -> IntArray:
        """Cut every file into stretches of so many rows, of about 1 MiB by default."""
        row_bytes = max(1, math.prod(self._row_shape) * self._dtype.itemsize)
        step = rows or max(1, BLOCK_BYTES // row_bytes)
        spans = zip(self._starts[:-1], self._starts[1:], strict=True)
        cuts = [np.arange(start, stop, step, dtype=np.int64) for start, stop in spans]
        return np.concatenate([*cuts, [self.n_rows]]).astype(np.int64)

    def read(self, rows: IntArray) -> npt.NDArray[Any]:
        """Copy rows, in their order, into a new array."""
        out = np.empty((len(rows), *self._row_shape), self._dtype)
        files = np.searchsorted(self._starts, rows, side="right") - 1
        ends = np.flatnonzero(np.diff(files)) + 1
        used = set()
        for a, b in zip([0, *ends], [*ends, len(rows)], strict=True):
            if b > a:
                number = int(files[a])
                used.add(number)
                _copy(self._map(number), rows[a:b] - self._starts[number], out[a:b])
        for number in used:
            self._files[number].manifest.check()  # what was written meanwhile may be among it
        return out

    def _map(self, number: int) -> npt.NDArray[Any]:
        """Return a mapped file; the mapping serves a forked process as well."""
        file = self._files[number]
        try:
            if number not in self._maps:
                self._maps[number] = file.open()
        finally:
            file.manifest.check()  # reading a mapping of a file cut short would kill the process
        return self._maps[number]

    def row_name(self, row: int) -> str:
        """Name file and row."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return f"row {row - self._starts[number]} of {self._files[number].manifest.path}"

    def check_unchanged(self) -> None:
        """Compare every file with its manifest; look for files that were added."""
        for file in self._files:
            file.manifest.check()
        self._listing.check(file.manifest for file in self._files)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the mappings: np.memmap pickles as the whole array."""
        return self.__dict__ | {"_maps": {}}


def _stacked_target(target: Any) -> _Stack:
    """Find the files of the labels."""
    try:
        return _Stack(target)
    except TypeError as error:
        raise TypeError(
            f"target: {error} It takes .npy files, as paths does, or an array with one value per "
            "row; make one of labels by np.asarray(labels)."
        ) from error


def _field(dtype: np.dtype[Any], shape: tuple[int, ...]) -> Field:
    """Describe values of one row."""
    return Field(dtype.name, _KINDS.get(dtype.kind, "other"), tuple(shape))


def _read_header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Read shape, Fortran order, dtype and where the data begin."""
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            # Version 3 differs from 2 in that names of record fields may be Unicode.
            read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
            shape, fortran, dtype = read[version[0]](file)
        except KeyError:
            raise ValueError(f"{path} holds records; save a plain array instead.") from None
        except Exception as error:  # numpy raises whatever the text of a header ran into
            raise ValueError(
                f"{path} cannot be read as .npy ({error}). It must be written by numpy.save; of an "
                ".npz archive save each array by itself."
            ) from error
        return shape, fortran, dtype, file.tell()


def _copy(values: npt.NDArray[Any], rows: IntArray, out: npt.NDArray[Any]) -> None:
    """Copy rows, neighbours as slices where there are enough of them."""
    breaks = (np.flatnonzero(np.diff(rows) != 1) + 1).tolist()
    if len(rows) < _MIN_RUN * (len(breaks) + 1) and breaks:
        if values.dtype == out.dtype:  # "clip" writes to out without a buffer between
            np.take(values, rows, axis=0, out=out, mode="clip")
        else:
            out[...] = values[rows]
        return
    for a, b in zip([0, *breaks], [*breaks, len(rows)], strict=True):
        start = int(rows[a])
        out[a:b] = values[start : start + b - a]
