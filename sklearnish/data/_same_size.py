"""Images that are rows: decoded to one size, and named in errors, as whatever is decoded is."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._decode import Pixels, Size, decode
from sklearnish.data._errors import BadRowsError
from sklearnish.data._source import IntArray

TRIED = 100
"""Images of which one must be readable, so that the size of all is known."""

DECODING_SECONDS = 5e-4
"""Seconds that an image takes: a JPEG of 224 to 500 pixels a side, to 64 x 64."""

Sides = int | Sequence[int] | None
"""One for both, or height and width; None leaves images as they are."""

RESIZE = "Give size=(height, width) to resize them all."

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

    def decode(
        self,
        rows: IntArray,
        data: Iterable[bytes],
        name_row: NameRow,
        places: IntArray | None = None,
    ) -> Pixels:
        """Decode the images of some rows into one array.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Their numbers, for errors.
        data : iterable of bytes
            Their content.
        name_row : callable
            Names a row by its number.
        places : ndarray of int64, shape (n,), default=None
            Where each goes in the result; in their order by default.

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
        decode_into(
            out, rows, data, lambda row, content: self._sized(row, content, name_row), places
        )
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


def decode_into(
    out: npt.NDArray[Any],
    rows: IntArray,
    data: Iterable[bytes],
    decode: Callable[[int, bytes], npt.NDArray[Any]],
    places: IntArray | None = None,
) -> None:
    """Decode the content of rows to their places; a BadRowsError has all that cannot be."""
    errors: dict[int, ValueError] = {}
    to = out if places is None else map(out.__getitem__, places.tolist())
    for row, place, content in zip(rows.tolist(), to, data, strict=True):
        try:
            place[...] = decode(row, content)
        except ValueError as error:
            errors[row] = error
    if errors:
        first = next(iter(errors.values()))
        raise BadRowsError(str(first), np.array(list(errors))) from first


def _decoded(row: int, data: bytes, resize: Size | None, name_row: NameRow) -> Pixels:
    """Decode one image; errors name it."""
    try:
        return decode(data, resize)
    except ValueError as error:
        raise ValueError(
            f"{name_row(row)} cannot be decoded: {error}. Repair or remove it."
        ) from error


def sides_of(size: Sides) -> Size | None:
    """Spell size as (height, width)."""
    if size is None:
        return None
    given = size if isinstance(size, Iterable) else (size, size)
    pair = tuple(int(s) if isinstance(s, Integral) else 0 for s in given)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"size must be a positive int or (height, width), got {size!r}.")
    return pair
