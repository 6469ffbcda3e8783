"""Images that are rows: decoded to one size, and named in errors."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from sklearnish.data._decode import Pixels, Size, decode
from sklearnish.data._errors import BadRowsError
from sklearnish.data._source import IntArray

TRIED = 100
"""Images of which one must be readable, so that the size of all is known."""

NameRow = Callable[[int], str]


@dataclass(frozen=True)
class SameSize:
    """Which size all images have.

    Attributes
    ----------
    height, width : int
        The size.
    first : int
        A row that has it.
    resize : (int, int) or None
        Height and width to which all are resized; None if they have one size already.
    advice : str
        What to do if they have not.
    """

    height: int
    width: int
    first: int
    resize: Size | None
    advice: str

    @classmethod
    def of(
        cls, data: Iterable[bytes], name_row: NameRow, advice: str, resize: Size | None = None
    ) -> "SameSize":
        """Tell it from the first image that can be decoded; of many damaged ones it is an error.

        Raises
        ------
        ValueError
            None of them can be decoded.
        """
        errors: list[ValueError] = []
        for row, content in enumerate(data):
            try:
                height, width = _decoded(row, content, resize, name_row).shape[:2]
            except ValueError as error:
                errors.append(error)
            else:
                return cls(height, width, row, resize, advice)
        raise errors[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image among others: channels, height, width."""
        return (3, self.height, self.width)

    def decode(self, rows: IntArray, data: Iterable[bytes], name_row: NameRow) -> Pixels:
        """Decode the images of some rows into one array.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Their numbers, for errors.
        data : iterable of bytes
            Their content.
        name_row : callable
            Names a row by its number.

        Returns
        -------
        ndarray of uint8, shape (n, 3, height, width)
            The images.

        Raises
        ------
        BadRowsError
            Some cannot be decoded, or have another size.
        """
        out = np.empty((len(rows), *self.shape), np.uint8)
        errors: dict[int, ValueError] = {}
        for row, place, content in zip(rows.tolist(), out, data, strict=True):
            try:
                place[...] = self._sized(row, content, name_row)
            except ValueError as error:
                errors[row] = error
        if errors:
            first = next(iter(errors.values()))
            raise BadRowsError(str(first), np.array(list(errors))) from first
        return out

    def _sized(self, row: int, data: bytes, name_row: NameRow) -> Pixels:
        """Decode one image, which must have the size of the others."""
        pixels = _decoded(row, data, self.resize, name_row).transpose(2, 0, 1)
        if pixels.shape != self.shape:
            raise ValueError(
                f"{name_row(row)} has {pixels.shape[1]} x {pixels.shape[2]} pixels (height x "
                f"width) and {name_row(self.first)} {self.height} x {self.width}. {self.advice}"
            )
        return pixels


def _decoded(row: int, data: bytes, resize: Size | None, name_row: NameRow) -> Pixels:
    """Decode one image; errors name it."""
    try:
        return decode(data, resize)
    except ValueError as error:
        raise ValueError(
            f"{name_row(row)} cannot be decoded: {error}. Repair or remove it."
        ) from error
