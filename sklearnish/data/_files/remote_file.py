"""An object of a store as a file, read in ranges at any place, or in order."""

import io
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

_AT_LEAST = 2**16
"""Bytes of a request, at least."""

_GAP, _MOST = 2**20, 2**24
"""Bytes that are read along between two ranges, and bytes of one request, at most."""

_PIECE, _AHEAD = 2**22, 4
"""Bytes that are read at once of what is read in order, and how many such pieces ahead."""


class Ranged(Protocol):
    """What is read in ranges."""

    @property
    def size(self) -> int:
        """How many bytes it has."""

    def read_tail(self, n: int) -> bytes:
        """Read the last bytes, which are kept for the next who asks."""

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read several ranges at once."""


class RemoteFile(io.RawIOBase):
    """An object that is read in ranges, at any place."""

    def __init__(self, manifest: Ranged) -> None:
        self._manifest, self._at = manifest, 0
        self._held: list[tuple[int, bytes]] = []

    def readable(self) -> bool:
        """Say that this file is for reading."""
        return True

    def seekable(self) -> bool:
        """Say that it is read at any place."""
        return True

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def size(self) -> int:
        """Count the bytes."""
        return self._manifest.size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._manifest.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, n: int | None = -1, /) -> bytes:
        """Read the next bytes: as many as are asked for, but at the end."""
        rest = max(0, self._manifest.size - self._at)
        n = rest if n is None or n < 0 else min(n, rest)
        data = self._bytes(self._at, self._at + n) if n else b""
        self._at += n
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the next bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def hold(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Read ranges at once, neighbours together, and hold them instead of what was held."""
        self._held = []
        pieces = _pieces(_merged(ranges))
        read = self._manifest.read_ranges(pieces)
        self._held = [(start, data) for (start, _), data in zip(pieces, read, strict=True)]

    def _bytes(self, start: int, stop: int) -> bytes:
        """Find bytes among those held or the last of the object, or read them."""
        parts = []
        for begin, data in self._held:
            if begin <= start < begin + len(data):
                parts.append(data[start - begin : stop - begin])
                start += len(parts[-1])
                if start == stop:
                    return parts[0] if len(parts) == 1 else b"".join(parts)
        size = self._manifest.size
        if stop > size - _AT_LEAST:
            parts.append(self._manifest.read_tail(size - start)[: stop - start])
        else:
            end = min(size, max(stop, start + _AT_LEAST))
            parts.append(self._manifest.read_ranges([(start, end)])[0][: stop - start])
        return b"".join(parts)


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Put ranges together that lie side by side, or almost."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and start - merged[-1][1] <= _GAP:
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((start, stop))
    return merged


def _pieces(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Cut long ranges into pieces of one request each."""
    return [
        (start, min(start + _MOST, stop))
        for first, stop in ranges
        for start in range(first, stop, _MOST)
    ]


class StreamedFile(RemoteFile):
    """An object that is read in order, a few pieces ahead of its reader."""

    def __init__(self, manifest: Ranged) -> None:
        super().__init__(manifest)
        self._pool = ThreadPoolExecutor(_AHEAD, "sklearnish-ahead")
        self._waiting: dict[int, Future[list[bytes]]] = {}
        self._ahead = 1  # more when it is known that more than the beginning is wanted

    def close(self) -> None:
        """End the threads."""
        super().close()
        self._waiting = {}
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _bytes(self, start: int, stop: int) -> bytes:
        """Read pieces of the object, and the next ones meanwhile."""
        parts = []
        while start < stop:
            number, inside = divmod(start, _PIECE)
            parts.append(self._piece(number)[inside : inside + stop - start])
            start += len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _piece(self, number: int) -> bytes:
        """Take one piece, begin to read the next ones, and forget those before."""
        n_pieces = -(-self._manifest.size // _PIECE)
        if number not in self._waiting:
            self._ahead = 1
        elif number > min(self._waiting):
            self._ahead = min(_AHEAD, self._ahead + 1)
        wanted = range(number, min(number + 1 + self._ahead, n_pieces))
        self._waiting = {i: self._waiting.get(i) or self._begin(i) for i in wanted}
        return self._waiting[number].result()[0]

    def _begin(self, number: int) -> Future[list[bytes]]:
        """Begin to read a piece."""
        start = number * _PIECE
        stop = min(start + _PIECE, self._manifest.size)
        return self._pool.submit(self._manifest.read_ranges, [(start, stop)])
