"""Rows of an array in a file, read into memory and never mapped.

A file that is cut short under a map kills the process; a read that comes up short is an error.
"""

import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._source import IntArray

_GAP = 2**14
"""Bytes between two rows that are read along with them, which takes less than another read."""

_SPAN = 2**18
"""Bytes that are read to pick rows from: few enough to stay in the cache of the core."""

_COLUMNS_SPAN = 2**22
"""The same of a file in Fortran order, where a span is a read for each column."""


class RowFile:
    """An open file that is read at offsets; closed when nobody holds it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._number = -1
        self._number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def read_into(self, array: npt.NDArray[Any], offset: int) -> None:
        """Fill an array; EOFError if the file ends before."""
        rest = array.reshape(-1).view(np.uint8).data
        while rest:
            try:
                n = self._read(rest, offset)
            except OSError as error:
                raise OSError(error.errno, error.strerror, self.path) from error
            if not n:
                raise EOFError(f"{self.path} ends at byte {offset:,}.")
            rest, offset = rest[n:], offset + n

    def _read(self, buffer: memoryview, offset: int) -> int:
        """Read once, as far as the system does."""
        if hasattr(os, "preadv"):
            return os.preadv(self._number, [buffer], offset)
        os.lseek(self._number, offset, os.SEEK_SET)
        return io.FileIO(self._number, closefd=False).readinto(buffer) or 0

    def __del__(self) -> None:
        if self._number >= 0:
            os.close(self._number)


@dataclass(frozen=True)
class Layout:
    """Where and how the rows of an array are stored."""

    offset: int
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def width(self) -> int:
        """Values of a row."""
        return math.prod(self.shape[1:])

    def read(self, file: RowFile, rows: IntArray, out: npt.NDArray[Any]) -> None:
        """Copy rows, in their order, into an array of their shape; EOFError if some are missing."""
        if not len(rows) or not self.width * self.dtype.itemsize:
            return
        if (np.diff(rows) < 0).any():
            order = np.argsort(rows, kind="stable")
            sorted_rows = np.empty_like(out)
            self.read(file, rows[order], sorted_rows)
            out[order] = sorted_rows
        elif self.fortran and self.width > 1:
            self._read_columns(file, rows, out)
        else:
            self._read_rows(file, rows, out)

    def _read_rows(self, file: RowFile, rows: IntArray, out: npt.NDArray[Any]) -> None:
        """Read neighbours to their place, and pick others from spans that hold them."""
        nbytes = self.width * self.dtype.itemsize
        span: npt.NDArray[Any] | None = None
        most = max(1, _SPAN // nbytes)
        for a, b, neighbours in _spans(rows, _GAP // nbytes + 1, most):
            start = int(rows[a])
            offset = self.offset + start * nbytes
            if neighbours:
                file.read_into(out[a:b], offset)
                if self.dtype != out.dtype:
                    out[a:b].byteswap(inplace=True)
                continue
            if span is None:
                span = np.empty((most, *self.shape[1:]), self.dtype)
            piece = span[: int(rows[b - 1]) - start + 1]
            file.read_into(piece, offset)
            if self.dtype == out.dtype:  # "clip" writes to out without a buffer between
                np.take(piece, rows[a:b] - start, axis=0, out=out[a:b], mode="clip")
            else:
                out[a:b] = piece[rows[a:b] - start]

    def _read_columns(self, file: RowFile, rows: IntArray, out: npt.NDArray[Any]) -> None:
        """Read the same stretch of every column, and turn it around."""
        size = self.dtype.itemsize
        most = max(1, _COLUMNS_SPAN // (self.width * size))
        inner = self.shape[1:]
        for a, b, _ in _spans(rows, _GAP // size + 1, most, whole=False):
            start, n = int(rows[a]), int(rows[b - 1]) - int(rows[a]) + 1
            columns = np.empty((self.width, n), self.dtype)
            for j in range(self.width):
                file.read_into(columns[j], self.offset + (j * self.shape[0] + start) * size)
            # The first of the inner dimensions is the fastest.
            turned = columns.reshape(*inner[::-1], n).transpose()
            out[a:b] = turned[rows[a:b] - start]


def _spans(
    rows: IntArray, step: int, most: int, *, whole: bool = True
) -> Iterator[tuple[int, int, bool]]:
    """Cut ascending rows where more than a few are left out, and into spans of so many rows.

    Yields first, end, and whether they are neighbours, of which any number is a span if `whole`.
    """
    steps = np.diff(rows)
    others = np.concatenate([[0], np.cumsum(steps != 1)])
    cuts = np.flatnonzero(steps > step) + 1
    for begin, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(rows)], strict=True):
        a = begin
        while a < end:
            neighbours = bool(others[end - 1] == others[a])
            b = end
            if not (whole and neighbours) and rows[end - 1] - rows[a] >= most:
                b = a + int(np.searchsorted(rows[a:end], rows[a] + most))
                neighbours = bool(others[b - 1] == others[a])
            yield a, b, neighbours
            a = b
