"""One array under one name in each of several files, read by row numbers."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._chunks.files import ArrayFile, ArrayFiles, Layout, UnusableArrayError
from sklearnish.data._errors import BadRowsError, explained
from sklearnish.data._files.limits import ROWS_PER_BYTE, check_limit
from sklearnish.data._source import Field, IntArray

BLOCK_BYTES = 2**20
"""Size of a block, if a chunk is smaller: read in one go, and mixed with others in a window."""

_GAP = 2**14
"""Bytes that are read along to save a further call."""


class Stack:
    """Rows of one array in several files.

    Parameters
    ----------
    files : ArrayFiles
        Where they are.
    name : str
        The name of the array in each file.

    Attributes
    ----------
    n_rows : int
        Their number.
    field : Field
        What a row is.

    Raises
    ------
    ValueError
        A file has no such array, or one of other rows than the first file.
    """

    def __init__(self, files: ArrayFiles, name: str) -> None:
        self._files, self._name = files, name
        layouts = [self._look_at(number) for number in range(len(files.paths))]
        self._check_alike(layouts)
        self._row_shape, dtype = layouts[0].shape[1:], layouts[0].dtype
        # Torch knows the machine's byte order only.
        self._dtype = None if dtype is None else dtype.newbyteorder("=")
        text = Field("string", "text")
        self.field = text if self._dtype is None else Field.of_numpy(self._dtype, self._row_shape)
        self._chunks = [layout.chunk_rows for layout in layouts]
        self._starts = np.cumsum([0, *(layout.shape[0] for layout in layouts)], dtype=np.int64)
        self.n_rows = int(self._starts[-1])

    def _look_at(self, number: int) -> Layout:
        """Describe the array in one file."""
        path = self._files.paths[number]

        def tell(error: Exception) -> ValueError:
            if isinstance(error, UnusableArrayError):
                return ValueError(f"{path} {error}")
            return ValueError(
                f"{self._name!r} in {path} cannot be opened ({error}). The file is damaged, or "
                "needs a newer version of the library that reads it."
            )

        with self._files.open(number) as file, explained(path, self._files.errors, tell):
            layout = file.layout(self._name)
        if not layout.shape:
            raise ValueError(f"{path}: {self._name!r} is a single value, not an array with rows.")
        size = self._files.nbytes(number)
        if size is not None:
            claims = f"{path} claims {layout.shape[0]:,} rows in {size:,} bytes"
            check_limit(ROWS_PER_BYTE, layout.shape[0] // max(1, size), claims)
        return layout

    def _check_alike(self, layouts: list[Layout]) -> None:
        """Refuse files whose rows cannot be stacked."""
        first = layouts[0]
        for path, layout in zip(self._files.paths, layouts, strict=True):
            if (layout.shape[1:], layout.dtype) != (first.shape[1:], first.dtype):
                raise ValueError(
                    f"{path} has rows of shape {layout.shape[1:]}, {layout.dtype or 'text'} in "
                    f"{self._name!r}; {self._files.paths[0]} has {first.shape[1:]}, "
                    f"{first.dtype or 'text'}: they cannot be stacked. Give files of one kind."
                )

    @property
    def row_nbytes(self) -> int:
        """Bytes of one row in memory, at least 1; of text, what a short one takes."""
        return max(1, math.prod(self._row_shape) * (self._dtype.itemsize if self._dtype else 16))

    def _unit(self, number: int) -> int:
        """Count the rows of a file that are read in one go: whole chunks of about 1 MiB."""
        chunk = self._chunks[number] or 1
        return chunk * max(1, BLOCK_BYTES // (chunk * self.row_nbytes))

    def blocks(self, most: int | None = None) -> IntArray:
        """Cut every file into stretches of whole chunks, or into some of at most so many rows."""
        cuts = []
        for number, (start, stop) in enumerate(pairwise(self._starts.tolist())):
            cuts.append(np.arange(start, stop, self._step(number, most), dtype=np.int64))
        return np.concatenate([*cuts, self._starts[-1:]])

    def _step(self, number: int, most: int | None) -> int:
        """Choose the rows of a block: of a chunk that is too large, an equal part."""
        if most is None or most >= self._unit(number):
            return self._unit(number)
        chunk = self._chunks[number] or 1
        return most // chunk * chunk if most >= chunk else math.ceil(chunk / -(-chunk // most))

    def times_read(self, most: int) -> int:
        """Say how often a chunk is read if blocks have at most so many rows."""
        return max(-(-(chunk or 1) // most) for chunk in self._chunks)

    def read(self, rows: IntArray) -> npt.NDArray[Any]:
        """Copy ascending rows into a new array."""
        if self._dtype is None:
            texts = [np.empty((0, *self._row_shape), np.str_)]
            self._each_stretch(
                rows,
                lambda file, _, local: texts.append(
                    file.read_text(self._name, local[0], local[-1] + 1)[local - local[0]]
                ),
            )
            return np.concatenate(texts)
        out = np.empty((len(rows), *self._row_shape), self._dtype)
        self._each_stretch(rows, lambda file, at, local: self._copy(file, local, out[at]))
        return out

    def _copy(self, file: ArrayFile, rows: IntArray, out: npt.NDArray[Any]) -> None:
        """Copy the numbers of neighbouring rows of a file."""
        first = int(rows[0])
        if np.all(np.diff(rows) == 1):
            file.read_into(self._name, first, out)
            return
        read = np.empty((int(rows[-1]) - first + 1, *self._row_shape), out.dtype)
        file.read_into(self._name, first, read)
        np.take(read, rows - first, axis=0, out=out, mode="clip")  # the default mode copies twice

    def _each_stretch(
        self, rows: IntArray, take: Callable[[ArrayFile, slice, IntArray], None]
    ) -> None:
        """Call a function for each stretch of rows that is read in one go.

        It is given the open file, the places of the rows among the wanted ones, and their numbers
        in the file. Looked at after the reads, a file that changed before or during them is
        noticed.
        """
        files = np.searchsorted(self._starts, rows, side="right") - 1
        ends = [0, *(np.flatnonzero(np.diff(files)) + 1).tolist(), len(rows)]
        for a, b in pairwise(ends if len(rows) else []):
            number = int(files[a])
            local = rows[a:b] - self._starts[number]
            # A chunk that is not wanted may be damaged, and takes long to unpack.
            gap = 1 if self._chunks[number] else max(1, _GAP // self.row_nbytes)
            with self._files.open(number) as file:
                for start, stop in stretches(local, self._unit(number), self._chunks[number], gap):
                    part = local[start:stop]
                    with self._told(file, number, int(part[0]), int(part[-1]) + 1):
                        take(file, slice(a + start, a + stop), part)
            self._files.check(number)

    def _told(
        self, file: ArrayFile, number: int, first: int, stop: int
    ) -> AbstractContextManager[None]:
        """Let errors name the file and the rows that cannot be read."""
        path = self._files.paths[number]

        def tell(error: Exception) -> BadRowsError:
            parts = self._damaged(file, number, first, stop)
            where = ", ".join(f"{part[0]} to {part[-1]}" for part in parts)
            cure = "The file is damaged: write it again."
            if isinstance(error, UnicodeDecodeError):
                cure = (
                    "The text is not UTF-8: write it again as that, or pass the labels as an array."
                )
            return BadRowsError(
                f"rows {where} of {self._name!r} in {path} cannot be read: "
                f"{str(error).rstrip('.')}. {cure}",
                np.concatenate(parts) + self._starts[number],
            )

        return explained(path, self._files.errors, tell, lambda: self._files.check(number))

    def _damaged(self, file: ArrayFile, number: int, first: int, stop: int) -> list[IntArray]:
        """Find the rows of those chunks that cannot be read; if each can, by itself, all rows."""
        chunk, damaged = self._chunks[number] or stop, []
        for start in range(first // chunk * chunk, stop, chunk):
            try:
                self._try(file, start)
            except self._files.errors:
                damaged.append(np.arange(max(start, first), min(start + chunk, stop)))
        return damaged or [np.arange(first, stop)]

    def _try(self, file: ArrayFile, row: int) -> None:
        """Read one row."""
        if self._dtype is None:
            file.read_text(self._name, row, row + 1)
        else:
            file.read_into(self._name, row, np.empty((1, *self._row_shape), self._dtype))

    def row_name(self, row: int) -> str:
        """Name file and row."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return f"row {row - self._starts[number]} of {self._files.paths[number]}"


def stretches(rows: IntArray, unit: int, chunk: int | None, gap: int) -> Iterator[tuple[int, int]]:
    """Cut ascending rows into pieces that are each read in one go.

    A piece ends where a unit does, and where the next row is more than `gap` chunks away: the rows
    of one chunk stay together, so that it is read once.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        Row numbers in a file, ascending.
    unit : int
        Rows that are read at most: whole chunks.
    chunk : int or None
        Rows of a chunk; None if each is one by itself.
    gap : int
        Distance in chunks up to which those in between are read along.

    Yields
    ------
    (int, int)
        Where a piece begins and ends in `rows`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearnish.data._chunks.stack import stretches
    >>> list(stretches(np.array([0, 1, 3, 7, 10, 11, 30]), 8, 2, gap=1))
    [(0, 3), (3, 4), (4, 6), (6, 7)]
    """
    chunks = rows // (chunk or 1)
    ends = np.flatnonzero((np.diff(chunks) > gap) | (np.diff(rows // unit) > 0)) + 1
    yield from pairwise([0, *ends.tolist(), len(rows)])
