"""Rows of .npy files, read at their place.

One or several files stacked along their rows make one field. The rows are read in ascending
order: a window of neighbouring blocks costs the disk a few long reads instead of many short ones.
"""

import copy
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.found import found
from sklearnish.data._files.handles import HandlePool
from sklearnish.data._files.limits import ROWS_PER_BYTE, check_limit
from sklearnish.data._files.local_copy import errors_of, local_copy
from sklearnish.data._files.paths import Paths, describe
from sklearnish.data._npy_header import NpyHeader, npy_header
from sklearnish.data._source import Column, Field, IntArray, Source
from sklearnish.data._sources.npy.row_file import Layout, RowFile

BLOCK_BYTES = 2**20
"""Size of a block: long enough for a disk, short enough to mix many in a window."""


class NpySource(Source):
    """Rows of one or more .npy files.

    The field "X" holds the rows; "y" the target, where one is given.

    Parameters
    ----------
    paths : str, path or list of them
        Files, globs or folders; several are stacked along their rows.
    target : str, path, list of them or ndarray, default=None
        Likewise for the labels, or an array of one value per row.
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem, default=None
        Where the files are, which are copied once into the cache folder; None for the local disk.

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
    >>> from sklearnish.data._sources.npy.source import NpySource
    >>> folder = getfixture("tmp_path")
    >>> np.save(folder / "a.npy", np.arange(6.0).reshape(3, 2))
    >>> source = NpySource(folder / "a.npy", target=np.array([0, 1, 0]))
    >>> source.read(np.array([0, 2]), ["X", "y"])
    {'X': array([[0., 1.], [4., 5.]]), 'y': array([0, 0])}
    """

    tabular = False
    work = "copying"
    _block_rows: int | None = None  # None for blocks of about BLOCK_BYTES

    def __init__(self, paths: Paths, target: Any = None, filesystem: Any = None) -> None:
        self._X = _Stack(paths, filesystem)
        self._y = target
        self.name = self._X.name
        if self._X.field.kind != "number":
            raise ValueError(f"{self.name} holds {self._X.field.dtype}; rows must be numbers.")
        self.n_rows = self._X.n_rows
        self.schema = {"X": self._X.field}
        if target is not None:
            self._y = (
                target if isinstance(target, np.ndarray) else _stacked_target(target, filesystem)
            )
            self.schema["y"] = self._target_field()
        self.blocks = self._X.blocks()

    @property
    def files(self) -> list[str]:
        """Absolute paths of the files, those of the target included."""
        stacks = [stack for stack in (self._X, self._y) if isinstance(stack, _Stack)]
        return [manifest.path for stack in stacks for manifest in stack._manifests]

    def _target_field(self) -> Field:
        """Describe the target and check its length."""
        y = self._y
        n_rows = len(y) if isinstance(y, np.ndarray) and y.ndim else getattr(y, "n_rows", 0)
        if n_rows != self.n_rows:
            what = "the target" if isinstance(y, np.ndarray) else y.name
            raise ValueError(f"{what} has {n_rows} rows and {self.name} has {self.n_rows}.")
        return y.field if isinstance(y, _Stack) else Field.of_numpy(y.dtype, y.shape[1:])

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Copy rows out of the files."""
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

    def identity(self) -> tuple[type, dict[str, Any]]:
        """Return what tells these rows from others: of objects, not where their copies are."""
        known = {"_X": self._X.identity(), "_block_rows": self._block_rows}
        y = self._y
        return type(self), known | {"_y": y.identity() if isinstance(y, _Stack) else y}

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if a file changed since it was scanned."""
        for stack in (self._X, self._y):
            if isinstance(stack, _Stack):
                stack.check_unchanged()

    def finer(self, rows: int) -> "NpySource":
        """Return the same rows in blocks of at most so many: any row is cheap."""
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


class FolderSource(Source):
    """The rows that ``Dataset.cache`` wrote, under the names of their columns if they had some."""

    work = "copying"

    def __init__(self, folder: Path, columns: Sequence[str] | None) -> None:
        self._npy = NpySource(folder / "X.npy")
        self.name, self.n_rows = str(folder), self._npy.n_rows
        self.tabular = columns is not None
        self._places = {name: i for i, name in enumerate(columns or ())}
        field = self._npy.schema["X"]
        self.schema = {name: Field(field.dtype) for name in self._places}
        if not self.tabular:
            self.schema = {"X": field}

    @property
    def blocks(self) -> IntArray | None:  # type: ignore[override]
        """Return the blocks of the file."""
        return self._npy.blocks

    def finer(self, rows: int) -> "FolderSource":
        """Return the same rows in smaller blocks."""
        made = copy.copy(self)
        made._npy = self._npy.finer(rows)
        return made

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Copy the rows once; a column is a view of them."""
        X = self._npy.read(rows, ["X"])["X"]
        if not self.tabular:  # as a tensor: whole numbers were delivered as such
            return {"X": torch.from_numpy(X)}
        return {name: X[:, self._places[name]] for name in columns}

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if the file is not the one that was opened."""
        self._npy.check_unchanged()


def _look_at(manifest: Manifest) -> Layout:
    """Read and check the header of a .npy file."""
    path = Path(manifest.path)
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
    if Field.of_numpy(dtype).kind == "other":
        raise ValueError(f"{path} holds {dtype}; numbers or text labels are needed.")
    if not shape:
        raise ValueError(f"{path} holds a single value; an array with rows is needed.")
    if min(shape) < 0:
        raise ValueError(f"{path} is damaged: its header claims the shape {shape}.")
    n_rows = f"{path} claims {shape[0]:,} rows in {manifest.size:,} bytes"
    check_limit(ROWS_PER_BYTE, shape[0] // max(1, manifest.size), n_rows)
    wanted = offset + math.prod(shape) * dtype.itemsize
    if manifest.size < wanted:
        raise ValueError(
            f"{path} is truncated: its header claims {wanted} bytes, it has {manifest.size}."
        )
    return Layout(offset, shape, fortran, dtype)


class _Stack:
    """Files stacked along their rows."""

    def __init__(self, paths: Paths, filesystem: Any = None) -> None:
        self._manifests, self._listing = found(paths, (".npy",), filesystem)
        self._stored = [local_copy(manifest) for manifest in self._manifests]
        self._layouts = []
        for manifest, stored in zip(self._manifests, self._stored, strict=True):
            with errors_of(manifest, stored):
                self._layouts.append(_look_at(stored))
        self.name = describe(paths, [manifest.path for manifest in self._manifests])
        self._handles: HandlePool[str, RowFile] = HandlePool(RowFile)
        first = self._layouts[0]
        for manifest, layout in zip(self._manifests, self._layouts, strict=True):
            shape, dtype = layout.shape[1:], layout.dtype
            if (shape, dtype) != (first.shape[1:], first.dtype):
                raise ValueError(
                    f"{manifest.path} has rows of shape {shape}, {dtype}; "
                    f"{self._manifests[0].path} has {first.shape[1:]}, {first.dtype}: they "
                    "cannot be stacked. Give files of one kind."
                )
        self._starts = np.cumsum([0, *(layout.shape[0] for layout in self._layouts)])
        self.n_rows = int(self._starts[-1])
        if self.n_rows == 0:
            raise ValueError(f"{self.name} holds 0 rows.")
        # Torch knows the machine's byte order only.
        self._dtype = first.dtype.newbyteorder("=")
        self._row_shape = first.shape[1:]
        self.field = Field.of_numpy(self._dtype, self._row_shape)

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
        for a, b in zip([0, *ends], [*ends, len(rows)], strict=True):
            if b > a:
                number = int(files[a])
                self._read_file(number, rows[a:b] - self._starts[number], out[a:b])
        return out

    def _read_file(self, number: int, rows: IntArray, out: npt.NDArray[Any]) -> None:
        """Copy rows of one file; of very many files, those used last are kept open.

        What was written meanwhile may be among the rows, so the file is looked at.
        """
        manifest = self._stored[number]
        try:
            with self._handles.borrow(manifest.path) as handle:
                self._layouts[number].read(handle, rows, out)
        except EOFError as error:
            raise DatasetChangedError(
                f"{error} It was longer when it was scanned. Scan again, and do not write to a "
                "file that is being read."
            ) from error
        finally:
            manifest.check()

    def row_name(self, row: int) -> str:
        """Name file and row."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return f"row {row - self._starts[number]} of {self._manifests[number].path}"

    def identity(self) -> list[Any]:
        """Return what tells these rows from others."""
        return [self._manifests, self._layouts]

    def check_unchanged(self) -> None:
        """Compare every file with its manifest; look for files that were added."""
        self._listing.check(self._manifests)


def _stacked_target(target: Any, filesystem: Any) -> _Stack:
    """Find the files of the labels; words that are no files are likely the labels themselves."""
    try:
        return _Stack(target, filesystem)
    except (TypeError, FileNotFoundError) as error:
        if isinstance(target, str | os.PathLike):
            raise
        raise type(error)(
            f"target: {error} It takes .npy files, as paths does, or an array with one value per "
            "row; make one of labels by np.asarray(labels)."
        ) from error


def _read_header(path: Path) -> NpyHeader:
    """Read a header; errors name the file."""
    with path.open("rb") as file:
        try:
            return npy_header(file)
        except KeyError:
            raise ValueError(f"{path} holds records; save a plain array instead.") from None
        except Exception as error:  # numpy raises whatever the text of a header ran into
            raise ValueError(
                f"{path} cannot be read as .npy ({error}). It must be written by numpy.save; of an "
                ".npz archive save each array by itself."
            ) from error
