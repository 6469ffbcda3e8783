"""Free text: hashed words and groups of three characters."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.preprocessing._encoding.outputs import Output, missing

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

MOST_FEATURES = 2**14
"""Columns that a text may become."""

_PIECE = 2**20
"""Bytes of text that are hashed at once."""

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_NONE, _SPACE = pa.scalar("", pa.large_string()), pa.scalar(" ", pa.large_string())
_IN_WORDS = np.array([chr(byte).isalnum() or byte > 127 for byte in range(256)])


@dataclass(frozen=True)
class TextColumn:
    """A column of free text.

    Words, and all groups of three bytes, are counted in `width` columns by their hash, each with a
    sign of its own, after Weinberger et al. (2009), "Feature hashing for large scale multitask
    learning".
    The root of the counts is scaled to the same length in each row.

    Attributes
    ----------
    width : int
        Number of columns.
    gaps : bool
        Whether `fit` saw missing values.
    """

    width: int
    gaps: bool

    kind = "text"
    family = "text"

    def __post_init__(self) -> None:
        """Refuse a width that memory would not hold; a file may claim any."""
        if not 1 <= self.width <= MOST_FEATURES:
            raise ValueError(f"A text becomes 1 to {MOST_FEATURES:,} columns, not {self.width}.")

    @property
    def n_outputs(self) -> int:
        """Count the columns that come out."""
        return self.gaps + self.width

    def outputs(self, name: str) -> list[Output]:
        """Name the columns that come out."""
        gaps = [missing(name)] if self.gaps else []
        return [*gaps, *(Output(f"{name}:{i}", "indicator") for i in range(self.width))]

    def encode(self, column: Any, out: npt.NDArray[np.float32]) -> None:
        """Write the columns that come out, one after the other."""
        if self.gaps:
            out[0] = column.is_null().to_numpy(zero_copy_only=False)
        text = column.cast(pa.large_string()).fill_null("")
        words = pc.utf8_lower(pc.binary_join_element_wise(_NONE, text, _NONE, _SPACE))
        for start, stop in _pieces(words):
            out[self.gaps :, start:stop] = _hashed(words[start:stop], self.width).T


def _pieces(text: Any) -> Iterator[tuple[int, int]]:
    """Cut rows into pieces of about as many bytes."""
    starts = np.append(0, np.cumsum(pc.binary_length(text).to_numpy()))
    cuts = np.searchsorted(starts, np.arange(0, starts[-1], _PIECE))
    cuts = np.unique(np.append(cuts, len(text)))
    yield from pairwise(cuts)


def _hashed(text: Any, width: int) -> npt.NDArray[np.float64]:
    """Count the words and groups of each row by their hashes."""
    n = len(text)
    data, rows = _bytes_of(text)
    starts, stops = _words(data)
    first = np.flatnonzero(rows[2:] == rows[:-2])
    starts, stops = np.append(starts, first), np.append(stops, first + 3)
    hashes = _hashes(data, starts, stops)
    place = rows[starts] * width + (hashes % np.uint64(width)).astype(np.int64)
    sign = 1.0 - 2.0 * (hashes >> np.uint64(63))
    counts = np.bincount(place, sign, minlength=n * width).reshape(n, width)
    roots = np.sign(counts) * np.sqrt(np.abs(counts))
    length = np.sqrt(np.abs(counts).sum(1, keepdims=True))
    return np.asarray(roots / np.maximum(length, 1.0) * np.sqrt(width))


def _bytes_of(text: Any) -> tuple[npt.NDArray[np.uint8], Indices]:
    """Return the bytes of all rows, end to end, and the row of each."""
    _, offsets, data = text.buffers()
    ends = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
    rows = np.repeat(np.arange(len(text)), np.diff(ends))
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]], rows


def _words(data: npt.NDArray[np.uint8]) -> tuple[Indices, Indices]:
    """Find where words start and stop; every row begins and ends with a space."""
    inside = _IN_WORDS[data].astype(np.int8)
    changes = np.diff(inside)
    return np.flatnonzero(changes == 1) + 1, np.flatnonzero(changes == -1) + 1


def _hashes(data: npt.NDArray[np.uint8], starts: Indices, stops: Indices) -> Hashes:
    """Hash stretches of bytes as polynomials modulo 2 ** 64, all from one cumulated sum."""
    sums = np.append(np.uint64(0), np.cumsum((data + np.uint64(1)) * _powers(_BASE, len(data))))
    hashes: Hashes = (sums[stops] - sums[starts]) * _powers(_INVERSE, len(data))[starts]
    hashes ^= hashes >> np.uint64(31)
    hashes *= _MIX
    return hashes ^ (hashes >> np.uint64(27))


def _powers(base: int, n: int) -> Hashes:
    """Return the powers of a number, from the 0th on."""
    factors = np.append(np.uint64(1), np.full(max(0, n - 1), base, np.uint64))
    return np.cumprod(factors, dtype=np.uint64)[:n]
