"""Copies of those files alone in which the rows of a view are; the rows keep their numbers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sklearnish.data._arrow.table_file import CacheSource, rechunk
from sklearnish.data._source import Column, IntArray, Part, Source


def copied(source: Source, names: Sequence[str], batch_rows: int, blocks: IntArray) -> Source:
    """Copy the columns of some blocks into small blocks on disk, or find the earlier copy.

    Parameters
    ----------
    source : ParquetSource or CacheSource
        As for :func:`rechunk`.
    names : sequence of str
        Columns to copy.
    batch_rows : int
        Rows of a block.
    blocks : ndarray of int64, shape (n,)
        Numbers of the blocks. If they are in few of the files, others are not copied.

    Returns
    -------
    Source
        Their rows under the same numbers, perhaps beside others.
    """
    part = source.part(blocks)
    if part is None:
        return rechunk(source, names, batch_rows)
    return PartCopy(rechunk(part.source, names, batch_rows), part, source.n_rows)


class PartCopy(Source):
    """Some rows of a table, in a copy, under their numbers in all of it.

    Parameters
    ----------
    copy : CacheSource
        What was made of the part.
    part : Part
        Which rows it holds.
    n_rows : int
        Rows of the whole.
    """

    def __init__(self, copy: CacheSource, part: Part, n_rows: int) -> None:
        self.name, self.schema, self.n_rows = copy.name, copy.schema, n_rows
        self._copy, self._starts = copy, part.starts
        self._places = np.cumsum([0, *(part.stops - part.starts)])[:-1]
        stretches = np.searchsorted(self._places, copy.blocks[:-1], side="right") - 1
        starts = copy.blocks[:-1] + (self._starts - self._places)[stretches]
        # Between stretches are blocks of rows that nobody asks for.
        self.blocks: IntArray = np.unique([0, *starts, *part.stops, n_rows]).astype(np.int64)

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Read some columns of ascending rows of the part."""
        return self._copy.read(self._in_copy(rows), columns)

    def _in_copy(self, rows: npt.ArrayLike) -> IntArray:
        """Find where the copy has rows."""
        numbers = np.asarray(rows, np.int64)
        stretches = np.searchsorted(self._starts, numbers, side="right") - 1
        found: IntArray = numbers - (self._starts - self._places)[stretches]
        return found

    def row_name(self, row: int) -> str:
        """Say where a row was before it was copied."""
        return self._copy.row_name(int(self._in_copy(row)))

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if the copy, or a file of the whole, changed."""
        self._copy.check_unchanged()
