"""Objects in a store, read in ranges; what fails for a moment is tried again.

What is shown of an object, written into names of cached files or hashed never has credentials:
neither those of the filesystem, nor what a URL has before "@" or after "?".
"""

import errno
import hashlib
import os
import pickle
import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, TypeVar

from sklearnish.data._files.filesystem import checked, in_archive, is_arrow, origin_of
from sklearnish.data._files.paths import without_credentials
from sklearnish.data._system.threads import in_threads

Answer = TypeVar("Answer")

REQUESTS = 8
"""Requests that are under way at once."""

_TRIES, _FIRST_PAUSE = 5, 0.2
"""How often a request is made, and seconds before the second time; each pause doubles."""

_FOR_A_MOMENT = {408, 425, 429}
"""Answers of HTTP that may be another soon, besides all from 500 on."""

_FOR_GOOD = (
    *(FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError),
    *(AttributeError, ImportError, LookupError, MemoryError, NotImplementedError),
    *(RuntimeError, TypeError, ValueError),
)
"""What another try would not mend."""

_TAIL, _TAILS, _LOCKS = 2**16, 2**25, 64
"""Bytes at the end of an object that are read at least, bytes of such ends that are kept, and how
many may be waited for apart from each other."""

_SURE = (
    *("ETag", "etag", "e_tag", "version_id", "VersionId", "generation", "md5Hash", "md5"),
    *("content_md5", "Content-MD5", "Digest", "blob_id", "sha", "CRC"),
)
"""What filesystems call that which no two versions of an object share."""

_VERSIONS = (
    *(*_SURE, "ino"),
    *("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "modified"),
)
"""What filesystems call that by which versions of an object differ."""


class Store:
    """A filesystem of fsspec, or of pyarrow.fs, as the sources read it.

    It may be used by several threads, after a fork, and in other processes.

    Parameters
    ----------
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem
        Where the objects are.

    Raises
    ------
    TypeError
        It is no filesystem.
    ValueError
        It is made for asynchronous code alone.
    """

    def __init__(self, filesystem: Any) -> None:
        self._filesystem = checked(filesystem)
        self._begin()

    @cached_property
    def origin(self) -> str:
        """Spell which places the filesystem reads, without credentials."""
        return origin_of(self._filesystem)

    @cached_property
    def in_archive(self) -> bool:
        """Whether objects are members of an archive, whose times may be anything."""
        return in_archive(self._filesystem)

    @cached_property
    def _options(self) -> dict[str, bool]:
        """What a range must be asked for with: pyarrow goes to no place from byte 0 else."""
        return {"seekable": True} if is_arrow(self._filesystem) else {}

    def _begin(self) -> None:
        """Begin with nothing kept; a lock held while the process forked would stay so."""
        self._pid, self._lock = os.getpid(), threading.Lock()
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        self._tails: dict[tuple[str, str], bytes] = {}

    def __getstate__(self) -> bytes:
        """Pickle the filesystem alone."""
        return pickle.dumps(self._filesystem)

    def __setstate__(self, state: bytes) -> None:
        """Make a filesystem for this process."""
        self._filesystem = pickle.loads(state)
        self._begin()

    @property
    def filesystem(self) -> Any:
        """The filesystem; in a forked process a new one, as the thread that served it is gone."""
        if self._pid != os.getpid():
            self.__setstate__(self.__getstate__())
        return self._filesystem

    def location(self, path: str | os.PathLike[str]) -> str:
        """Spell a path as the filesystem does."""
        return str(self.filesystem._strip_protocol(os.fspath(path)))

    def name(self, location: str) -> str:
        """Spell an object as a URL without credentials; what they are told apart by is hashed."""
        url = str(self.filesystem.unstrip_protocol(location))
        query = url.partition("?")[2]
        return without_credentials(url) + (f"?{digest(query.encode())}" if query else "")

    def info(self, location: str) -> dict[str, Any]:
        """Ask what is known of an object now."""

        def ask() -> dict[str, Any]:
            self.filesystem.invalidate_cache(location)
            found: dict[str, Any] = self.filesystem.info(location)
            return found

        return self.tried(location, ask)

    def read(self, location: str, start: int, stop: int) -> bytes:
        """Read a range of an object."""
        return self.tried(location, partial(self._read_once, location, start, stop))

    def _read_once(self, location: str, start: int, stop: int) -> bytes:
        """Make one request; a body that is cut short is a fault of the moment."""
        data: bytes = self.filesystem.cat_file(location, start=start, end=stop, **self._options)
        if len(data) > stop - start:
            raise ValueError("the server sends the whole object where a part is asked for")
        if len(data) < stop - start:
            raise EOFError(f"{len(data):,} bytes came, of {stop - start:,}")
        return data

    def read_ranges(self, location: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read several ranges at once."""
        if len(ranges) < 2:
            return [self.read(location, *pair) for pair in ranges]
        return self.at_once(lambda pair: self.read(location, *pair), ranges)

    def read_tail(self, location: str, version: str, size: int, n: int) -> bytes:
        """Read the end of an object, or find it among those read last."""
        key, n = (location, version), min(size, n)
        self.filesystem  # noqa: B018 - begins anew in a forked process
        with self._locks[hash(key) % len(self._locks)]:  # of several who ask, one reads
            tail = self._tails.get(key, b"")
            if len(tail) < n:
                tail = self.read(location, max(0, size - max(n, _TAIL)), size)
                self._keep(key, tail)
        return tail[len(tail) - n :]

    def _keep(self, key: tuple[str, str], tail: bytes) -> None:
        """Keep the end of an object; those kept longest go."""
        with self._lock:
            self._tails[key] = tail
            while sum(map(len, self._tails.values())) > _TAILS and len(self._tails) > 1:
                self._tails.pop(next(iter(self._tails)))

    def at_once(self, ask: Callable[[Any], Answer], items: Sequence[Any]) -> list[Answer]:
        """Make requests, several at once."""
        return list(in_threads(ask, items, min(REQUESTS, max(1, len(items)))))

    def tried(self, location: str, ask: Callable[[], Answer]) -> Answer:
        """Make a request, a few times if need be; errors name the object."""
        for tries in range(1, _TRIES + 1):
            try:
                return ask()
            except Exception as error:  # of whichever library
                failed = self._explained(error, location, tries)
            if failed is not None:
                raise failed from None  # what libraries say may show a URL with its credentials
            time.sleep(_FIRST_PAUSE * 2 ** (tries - 1) * random.uniform(0.75, 1.25))
        raise AssertionError

    def _explained(self, error: Exception, location: str, tries: int) -> Exception | None:
        """Say what failed; None if it is to be tried again."""
        if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception):
            error = error.__cause__  # so fsspec calls whatever befell it over HTTP
        status = _status(error)
        for_a_moment = not isinstance(error, _FOR_GOOD) and "only valid on" not in str(error)
        if status is not None:
            for_a_moment = status >= 500 or status in _FOR_A_MOMENT
        if for_a_moment and tries < _TRIES:
            return None
        name, said = self.name(location), _said(error, status)
        if for_a_moment:
            return OSError(errno.EIO, f"could not be read in {tries} tries ({said})", name)
        if isinstance(error, FileNotFoundError) or status == 404:
            return FileNotFoundError(errno.ENOENT, "there is no such object", name)
        if isinstance(error, PermissionError) or status in (401, 403):
            return PermissionError(errno.EACCES, f"the store does not allow it ({said})", name)
        if isinstance(error, MemoryError):
            return error
        return OSError(errno.EIO, f"cannot be read ({said})", name)


def version(info: dict[str, Any]) -> str:
    """Spell what tells a version of an object from another; "" if the store does not say."""
    known = [name for name in _VERSIONS if info.get(name)]
    known = known or ["created"] * bool(info.get("created"))  # which says less, but not nothing
    return ", ".join(f"{name} {info[name]}" for name in known)


def is_sure(info: dict[str, Any]) -> bool:
    """Tell whether no other version of an object is spelled the same, as times and sizes may be."""
    told = [str(info[name]) for name in _SURE if info.get(name)]
    return any(text != "null" and not text.startswith("W/") for text in told)


def digest(data: bytes) -> str:
    """Shorten bytes to 16 letters."""
    return hashlib.sha256(data).hexdigest()[:16]


def _status(error: Exception) -> int | None:
    """Find the number of HTTP in an error of any library."""
    numbers = (getattr(error, name, None) for name in ("status", "status_code", "code"))
    return next((n for n in numbers if isinstance(n, int) and 400 <= n < 600), None)


def _said(error: Exception, status: int | None) -> str:
    """Say what an error says, without credentials."""
    text = getattr(error, "message", None) if status else getattr(error, "strerror", None)
    text = text if isinstance(text, str) and text else str(error)
    kind = str(status) if status else type(error).__name__
    return f"{kind} {without_credentials(text)}".strip()
