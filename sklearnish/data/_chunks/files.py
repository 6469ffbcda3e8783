"""What a format that stores arrays in chunks must answer.

An *array file* holds arrays under names. The first axis of each counts the rows, and rows are
stored in *chunks*, each of which is read, and unpacked, as a whole.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LISTED = 20
"""Names of arrays that an error lists."""


def listed(names: Sequence[str]) -> str:
    """List the names of the arrays that there are, for errors."""
    return ", ".join(map(repr, names[:LISTED])) + ", ..." * (len(names) > LISTED) or "none"


class UnusableArrayError(ValueError):
    """An array is not there, or cannot be rows; the message continues the name of the file."""


@dataclass(frozen=True)
class Layout:
    """How an array is stored.

    Attributes
    ----------
    shape : tuple of int
        Number of rows, then the shape of one row.
    dtype : numpy.dtype or None
        Type of the values; None for text.
    chunk_rows : int or None
        Rows of a chunk; None where any row is as cheap as any.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    chunk_rows: int | None = None


class ArrayFile(ABC):
    """Arrays under names in a file that this process has open."""

    @abstractmethod
    def layout(self, name: str) -> Layout:
        """Describe an array.

        Raises
        ------
        UnusableArrayError
            There is none of this name, or its values are of no use.
        """

    @abstractmethod
    def read_into(self, name: str, start: int, out: npt.NDArray[Any]) -> None:
        """Read numbers of as many rows as `out` has, from row `start` on."""

    @abstractmethod
    def read_text(self, name: str, start: int, stop: int) -> npt.NDArray[np.str_]:
        """Read text, as NumPy holds it."""


class ArrayFiles(ABC):
    """Files that hold arrays under the same names, stacked along their rows.

    Pickles as paths, and opens a file in whichever process reads.

    Attributes
    ----------
    name : str
        What errors and reprs call them.
    paths : sequence of str
        Absolute paths, in the order of the rows.
    errors : tuple of type
        What the library raises for files that it cannot read.
    """

    name: str
    paths: Sequence[str]
    errors: tuple[type[Exception], ...]

    @abstractmethod
    def open(self, number: int) -> AbstractContextManager[ArrayFile]:
        """Open a file to read from it; errors name it."""

    @abstractmethod
    def nbytes(self, number: int) -> int | None:
        """Return the size of a file; None where that takes long to find out."""

    @abstractmethod
    def check(self, number: int) -> None:
        """Raise DatasetChangedError if a file is not the one that was scanned."""

    @abstractmethod
    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if one of them is not, or there is a further one."""
