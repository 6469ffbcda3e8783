"""Rows of arrays that are stored in chunks, whatever the format: blocks are whole chunks."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from sklearnish.data._chunks.files import ArrayFiles
from sklearnish.data._chunks.stack import Stack
from sklearnish.data._named import Names, by_key, labels_given
from sklearnish.data._source import Column, Field, IntArray, Source
from sklearnish.data._system.warn import warn
from sklearnish.data._tensors.convert import as_tensor


class ChunkedSource(Source):
    """Rows of one or several arrays in files.

    The field "X" holds the rows, or a dict of them if there are several arrays; "y" the target,
    where there is one.

    Parameters
    ----------
    files : ArrayFiles
        Where the arrays are.
    names : str, sequence of str or dict of str to str
        Name of the array of the rows. Several make a dict: under their own names, or under the
        keys of a dict.
    target : str or array-like of shape (n_rows,), default=None
        Name of the array of the labels, or the labels.

    Raises
    ------
    ValueError
        A file has no array of such a name, arrays differ in their rows, or hold no numbers.
    TypeError
        `names` or `target` is of another kind.
    """

    tabular = False
    _most: int | None = None  # rows of a block; None for whole chunks

    def __init__(self, files: ArrayFiles, names: Names, target: Any = None) -> None:
        self._files, self.name = files, files.name
        self._one = isinstance(names, str)
        self._X = {key: Stack(files, name) for key, name in by_key(names).items()}
        self._check_inputs()
        self._widest = max(self._X.values(), key=lambda stack: stack.row_nbytes)
        self.n_rows = self._widest.n_rows
        self.blocks = self._widest.blocks()
        self.schema = {"X": self._widest.field if self._one else Field("dict", "other")}
        self._y: Any = Stack(files, target) if isinstance(target, str) else labels_given(target)
        if self._y is not None:
            self.schema["y"] = self._target_field(target)

    def _check_inputs(self) -> None:
        """Refuse text, and arrays of several lengths."""
        for key, stack in self._X.items():
            if stack.field.kind != "number":
                raise ValueError(
                    f"{key!r} in {self.name} holds {stack.field.dtype}; rows must be numbers."
                )
        lengths = {key: stack.n_rows for key, stack in self._X.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"The arrays of {self.name} need one number of rows, got {lengths}.")

    def _target_field(self, target: Any) -> Field:
        """Describe the target and check its length."""
        y = self._y
        n_rows = y.n_rows if isinstance(y, Stack) else len(y)
        if n_rows != self.n_rows:
            what = repr(target) if isinstance(y, Stack) else "the target"
            raise ValueError(f"{what} has {n_rows} rows and {self.name} has {self.n_rows}.")
        return y.field if isinstance(y, Stack) else Field.of_numpy(y.dtype, y.shape[1:])

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Copy rows out of the files, each chunk read once."""
        return {name: self._inputs(rows) if name == "X" else self._labels(rows) for name in columns}

    def _inputs(self, rows: IntArray) -> Column:
        """Read the array of the rows; of several, each by its name."""
        if self._one:
            return self._widest.read(rows)
        return {key: as_tensor(stack.read(rows)) for key, stack in self._X.items()}

    def _labels(self, rows: IntArray) -> Column:
        """Read the target."""
        return self._y.read(rows) if isinstance(self._y, Stack) else self._y[rows]

    def labels(self, column: str) -> npt.NDArray[Any] | None:
        """Return the target if it was given as an array."""
        return None if column != "y" or isinstance(self._y, Stack) else self._y

    def row_name(self, row: int) -> str:
        """Name file and row."""
        return self._widest.row_name(row)

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if a file changed since it was scanned."""
        self._files.check_unchanged()

    def finer(self, rows: int) -> "ChunkedSource":
        """Return the same rows in blocks of at most so many; parts of a chunk cost the whole."""
        made = copy.copy(self)
        made._most = rows
        made.blocks = self._widest.blocks(rows)
        times = self._widest.times_read(rows)
        if times > 1:
            warn(
                f"{self.name} is sorted or grouped by label, or its chunks are too large to be "
                "mixed well. Parts of chunks are shuffled, so that each chunk is read up to "
                f"{times} times an epoch. To avoid it, write the rows in random order or "
                "in smaller chunks, pass a larger shuffle_memory, or copy them once with "
                "ds.cache(folder).",
                UserWarning,
            )
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be counted again: a terabyte has a million blocks."""
        return {k: v for k, v in self.__dict__.items() if k != "blocks"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Count the blocks again."""
        self.__dict__.update(state)
        self.blocks = self._widest.blocks(self._most)
