"""What a Parquet footer says of its columns, read without Arrow.

Where it is damaged, or columns are encrypted, Arrow would end the process when asked for one. A
footer is a structure in Thrift's compact protocol. It is walked through down to the columns of its
row groups; all else is skipped. Each function is given a place in it, and returns the next.
"""

from collections.abc import Callable
from dataclasses import dataclass

_WHOLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 6, 8, 9, 10, 11, 12
_NUMBERS = {4, 5, _WHOLE}
_FIXED = {1: 1, 2: 1, 3: 1, 7: 8, 13: 16}
"""Bytes of values of a fixed size. In a field of a structure, truth is in the kind itself."""

_MOST_BITS = 70
"""Of a whole number, in sevens."""

Walk = Callable[[bytes, int], int]
Inner = dict[tuple[int, int], Walk]
"""Functions through fields, by number and kind: as Arrow, we skip those of another kind."""


@dataclass(slots=True)
class Chunk:
    """What is said of one column in one row group.

    Attributes
    ----------
    path : str
        Names from the root of the schema, joined by dots.
    encodings : list of int
        Numbers of the encodings of its pages.
    n_values, size : int
        How many values it has, and bytes before they were compressed.
    """

    path: str = ""
    encodings: list[int] | tuple[()] = ()
    n_values: int = 0
    size: int = 0


class EncryptedError(Exception):
    """A column is."""


def read_chunks(footer: bytes) -> list[list[Chunk]]:
    """Read what is said of the columns of each row group.

    Raises
    ------
    EncryptedError
        If columns are encrypted.
    ValueError
        If it is no whole footer.
    """
    groups: list[list[Chunk]] = []

    def encodings(data: bytes, at: int) -> int:
        n, _, at = _list(data, at)
        found = []
        for _ in range(n):
            number, at = _signed(data, at)
            found.append(number)
        groups[-1][-1].encodings = found
        return at

    def path(data: bytes, at: int) -> int:
        n, _, at = _list(data, at)
        names = []
        for _ in range(n):
            size, at = _varint(data, at)
            names.append(data[at : at + size].decode(errors="replace"))
            at += size
        groups[-1][-1].path = ".".join(names)
        return at

    def n_values(data: bytes, at: int) -> int:
        groups[-1][-1].n_values, at = _signed(data, at)
        return at

    def size(data: bytes, at: int) -> int:
        groups[-1][-1].size, at = _signed(data, at)
        return at

    said: Inner = {
        (2, _LIST): encodings,
        (3, _LIST): path,
        (5, _WHOLE): n_values,
        (6, _WHOLE): size,
    }
    column: Inner = {(3, _STRUCT): _within(said), (8, _STRUCT): _encrypted}
    row_group: Inner = {
        (1, _LIST): _items(lambda: groups[-1].append(Chunk()), _within(column)),
    }
    whole: Inner = {
        (4, _LIST): _items(lambda: groups.append([]), _within(row_group)),
        (8, _STRUCT): _encrypted,
    }
    try:
        _fields(footer, 0, whole)
    except (IndexError, KeyError, RecursionError) as error:
        raise ValueError("its footer is damaged.") from error
    return groups


def _encrypted(data: bytes, at: int) -> int:
    """End the walk."""
    raise EncryptedError


def _within(inner: Inner) -> Walk:
    """Walk through a structure by functions through its fields."""
    return lambda data, at: _fields(data, at, inner)


def _fields(data: bytes, at: int, inner: Inner) -> int:
    """Walk through a structure, by functions through those of its fields that are named."""
    number = 0
    while head := data[at]:
        at += 1
        delta, kind = head >> 4, head & 15
        if delta:
            number = (number + delta) & 0xFFFF
        else:
            number, at = _signed(data, at)
            number &= 0xFFFF  # as the 16 bits that Arrow has
        if inner and (walk := inner.get((number, kind))):
            at = walk(data, at)
        elif kind in _NUMBERS:  # most are: without a call
            while data[at] & 128:
                at += 1
            at += 1
        elif kind == _BINARY and (n := data[at]) < 128:  # and many of the others
            at += 1 + n
        elif kind > 2:
            at = _skip(data, at, kind)
    return at + 1


def _items(begin: Callable[[], None], walk: Walk) -> Walk:
    """Walk through a list; before each item something is begun."""

    def through(data: bytes, at: int) -> int:
        n, _, at = _list(data, at)
        for _ in range(n):
            begin()
            at = walk(data, at)
        return at

    return through


def _skip(data: bytes, at: int, kind: int) -> int:
    """Pass by a value."""
    if kind in _NUMBERS:
        return _varint(data, at)[1]
    if kind == _BINARY:
        n, at = _varint(data, at)
        return at + n
    if kind == _STRUCT:
        return _fields(data, at, {})
    if kind in (_LIST, _SET):
        n, kind, at = _list(data, at)
        return _skip_all(data, at, n, [kind])
    if kind == _MAP:
        n, at = _varint(data, at)
        kinds = data[at] if n else 0
        return _skip_all(data, at + bool(n), n, [kinds >> 4, kinds & 15])
    return at + _FIXED[kind]


def _skip_all(data: bytes, at: int, n: int, kinds: list[int]) -> int:
    """Pass by the items of a list or map."""
    for _ in range(n):
        for kind in kinds:
            at = _skip(data, at, kind)
        data[at]  # there is always more
    return at


def _list(data: bytes, at: int) -> tuple[int, int, int]:
    """Read how many items a list has, and of which kind."""
    n, kind = data[at] >> 4, data[at] & 15
    if n < 15:
        return n, kind, at + 1
    n, at = _varint(data, at + 1)
    return n, kind, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a whole number."""
    value = shift = 0
    while (byte := data[at]) & 128:
        value |= (byte & 127) << shift
        shift += 7
        if shift > _MOST_BITS:
            raise IndexError
        at += 1
    return value | byte << shift, at + 1


def _signed(data: bytes, at: int) -> tuple[int, int]:
    """Read a whole number that may be negative."""
    coded, at = _varint(data, at)
    return coded >> 1 ^ -(coded & 1), at
