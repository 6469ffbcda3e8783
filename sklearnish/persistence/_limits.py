"""How much a file may ask for, counted over all that it holds."""

from numbers import Real
from typing import Any

_MOST_TEXT = 2**28
"""Bytes of all arrays of fixed-width text: a few letters can claim any width."""

_MOST_PROBES = 2**28
"""Steps of all look-ups in dicts and sets, should all keys that are no text be chosen to meet."""

_MOST_COMPARISONS = 2**24
"""The same of keys that may have one hash, each of which is then compared with each: of tuples,
all items are."""

_WHOLE = 2**60
"""Whole numbers below it have a hash of their own."""


class Budget:
    """What the values of one file have come to so far."""

    def __init__(self) -> None:
        self._text = self._probes = self._comparisons = 0

    def add_text(self, nbytes: int, where: str) -> None:
        """Count an array of text."""
        self._text += nbytes
        if self._text > _MOST_TEXT:
            raise ValueError(
                f"{where} has an array of text of {nbytes:,} bytes, by which those of the file "
                f"come to {self._text:,} bytes; the limit is {_MOST_TEXT:,}."
            )

    def add_keys(self, keys: list[Any], sizes: list[int] | None = None) -> None:
        """Count the keys of a dict, or the items of a set: all may have been chosen to meet.

        Of keys that are not there yet, `sizes` are the numbers of items that they will have.
        """
        sizes = list(map(_size, keys)) if sizes is None else sizes
        others = [key for key in keys if type(key) is not str]
        alike = [n for key, n in zip(keys, sizes, strict=True) if not _has_its_own_hash(key)]
        self._probes += len(others) ** 2
        self._comparisons += len(alike) * sum(alike)
        if self._probes > _MOST_PROBES or self._comparisons > _MOST_COMPARISONS:
            raise ValueError(
                f"it has a dict or set of {len(others):,} keys that are no text; with those of "
                "the others in the file it could take for ever to build. The limit is some "
                f"{int(_MOST_PROBES**0.5):,} numbers, or {int(_MOST_COMPARISONS**0.5):,} others, "
                "of tuples fewer."
            )


def _has_its_own_hash(key: Any) -> bool:
    """Say whether few other keys have the same hash."""
    if isinstance(key, int):
        return -_WHOLE < key < _WHOLE
    return key is None or isinstance(key, Real | str)


def _size(key: Any) -> int:
    """Count what is looked at when a key is compared with another."""
    return 1 + sum(map(_size, key)) if isinstance(key, tuple | frozenset) else 1
