"""The interface of a storage format.

A *source* is a table of ``n_rows`` rows whose named fields are described by its *schema*.
Rows are asked for by number; a field of one value per row is a *column*, a field of an array
per row (an image, a row of a matrix) has a shape of its own. *Blocks* are the stretches of
rows that are cheap to read together (the row groups of a Parquet file).
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Column = Any
"""numpy array, torch tensor, dict of tensors, CSR matrix or Arrow chunked array of n rows."""

_KINDS = {"U": "text", "S": "text", "M": "datetime"}


@dataclass(frozen=True)
class Field:
    """One field of a row.

    Attributes
    ----------
    dtype : str
        Name of the stored type, as the format spells it: "float32", "string", "timestamp[us]".
    kind : str
        "number" (bool, int, float: can be cast to float), "text", "datetime" or "other".
    shape : tuple of int
        Shape of the value in one row; ``()`` for a column of scalars.
    """

    dtype: str
    kind: str = "number"
    shape: tuple[int, ...] = ()

    @classmethod
    def of_numpy(cls, dtype: np.dtype[Any], shape: Sequence[int] = ()) -> "Field":
        """Describe values of NumPy."""
        kind = "number" if dtype.kind in "biuf" else _KINDS.get(dtype.kind, "other")
        return cls(dtype.name, kind, tuple(shape))


class Part(NamedTuple):
    """Some of the files of a source, as a source, and the stretches of rows that they hold."""

    source: "Source"
    starts: IntArray
    stops: IntArray


class Source(ABC):
    """A table on disk or in memory, read by row numbers.

    Immutable. Pickles as paths and schema, never as data on disk, and opens its files lazily
    in whichever process reads.

    Attributes
    ----------
    name : str
        What errors and reprs call it: a path, a glob, "DataFrame".
    n_rows : int
        Number of rows.
    schema : dict of str to Field
        The fields, in order.
    blocks : ndarray of shape (n_blocks + 1,) or None
        Row offsets of the blocks, from 0 to ``n_rows``; None where any row is as cheap as any.
    in_memory : bool
        Whether a read is a copy from memory, so that nothing is gained by reading ahead.
    tabular : bool
        Whether the fields are named columns; False where rows are arrays in a field "X",
        with labels, if there are any, in a field "y".
    uses_global_generators : bool
        Whether a read runs code of the user's that may draw random numbers; ``read`` then
        takes ``seeds``, one for each row.
    by_numbers : bool
        Whether rows on disk are known by their numbers, not by file and time: they may be
        changed in place without a trace, or lie in a temporary file.
    makes_labels : bool
        Whether the user's code makes a row and its label in one call, and may draw both at random.
    work : str
        What a read consists of, for the report.
    row_seconds : float
        Seconds that a row takes at least where that is known to be long, 0 elsewhere.
    left_out : dict of str to str
        Columns that some files have, and why they are not in the schema.
    functions : tuple of Function
        The user's functions that rows pass through before they come out.
    """

    name: str
    n_rows: int
    schema: Mapping[str, Field]
    blocks: IntArray | None = None
    in_memory: bool = False
    tabular: bool = True
    uses_global_generators: bool = False
    by_numbers: bool = False
    makes_labels: bool = False
    work: str = "reading"
    row_seconds: float = 0.0
    left_out: Mapping[str, str] = MappingProxyType({})
    functions: tuple[Any, ...] = ()

    @abstractmethod
    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Read some fields of some rows.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Row numbers, not negative. Ascending (repeats allowed) where ``blocks`` is not
            None; in any order otherwise.
        columns : sequence of str
            Names of fields of the schema.

        Returns
        -------
        dict of str to array-like
            For each name the values in the order of ``rows``: an ndarray, torch tensor, CSR
            matrix or ``pyarrow.ChunkedArray`` (null where missing), never a view that a later
            read overwrites.

        Raises
        ------
        BadRowsError
            If rows are damaged, where it is known which.
        """

    def read_each(
        self, pieces: Sequence[IntArray], columns: Sequence[str]
    ) -> Generator[dict[str, Column], None, None]:
        """Read some fields of several pieces, in their order; a source may read some ahead."""
        return (self.read(rows, columns) for rows in pieces)

    def labels(self, column: str) -> npt.NDArray[Any] | None:
        """Return all values of one field if they are known without reading rows, else None."""
        return None

    def stored(self, column: str) -> "Source":
        """Return the source in which a column is stored: this one, or one that it reads."""
        return self

    @property
    def draws_labels(self) -> bool:
        """Whether the label of a row differs from one reading to the next."""
        return False

    def finer(self, rows: int) -> "Source | None":
        """Return this source in blocks of at most so many rows if that needs no copy, else None."""
        return None

    def part(self, blocks: IntArray) -> Part | None:
        """Return the files of some blocks, if they hold less than half of all rows, else None."""
        return None

    def row_name(self, row: int) -> str:
        """Say where a row is stored, for errors."""
        return f"row {row} of {self.name}"

    def value_name(self, row: int, index: Sequence[int]) -> str:
        """Say where a value of an array is stored, "" where name of row and feature say it."""
        return ""

    def why_text(self, column: str) -> str:
        """Say which value makes text of a column that looks like numbers, "" if it does not."""
        return ""

    def identity(self) -> tuple[type, dict[str, Any]]:
        """Return what tells these rows on disk from others; manifests have the paths in full."""
        state: Any = self.__getstate__()
        return type(self), {name: value for name, value in state.items() if name != "name"}

    def why_missing(self, row: int, columns: Sequence[str]) -> str:
        """Say which words of a row are read as missing, "" if none are; no columns are all."""
        return ""

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if the files are not the ones that were scanned."""
        return None
