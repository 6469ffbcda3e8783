"""Changes: whether files are still those that were scanned."""

import hashlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._files.paths import Paths, absolute, as_list, expand, expand_paths

Item = TypeVar("Item")
Result = TypeVar("Result")

_PIECE = 4096
"""Bytes of a sample."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file looked like when it was scanned."""

    path: str
    size: int
    mtime_ns: int
    inode: int = 0
    ctime_ns: int = 0

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> "Manifest":
        """Look at a file now."""
        path = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links
        stat = os.stat(path)  # noqa: PTH116 - a few microseconds, asked for every block
        return cls(path, stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns)

    def _is(self, now: "Manifest") -> bool:
        """Tell whether a file is this one: links and permissions change no number but ctime.

        Another file in its place has another inode and ctime; on some network disks the inode
        alone changes.
        """
        if (self.size, self.mtime_ns) != (now.size, now.mtime_ns):
            return False
        same = self.inode == now.inode or self.ctime_ns == now.ctime_ns
        return same or not self.inode  # which is not known of images

    def glance(self) -> None:
        """Check, where that takes microseconds; of objects in a store it is a request."""
        self.check()

    def stamp(self, place: int | None) -> list[Any]:
        """Return what tells this version of the file from others: with a sample, if asked to.

        A folder has nothing to take samples of.
        """
        known = [self.path, self.size, self.mtime_ns]
        return (
            known
            if place is None or Path(self.path).is_dir()
            else [*known, sample(self.path, place)]
        )

    def stamp_of_content(self, place: int) -> list[Any]:
        """Return a stamp for what is made of the content, and made again if that changes."""
        return self.stamp(place)

    @property
    def origin(self) -> str:
        """Which store the file is in; "" for the local disk."""
        return ""

    def open(self) -> Any:
        """Open the file for reading at any place."""
        return open(self.path, "rb")  # noqa: PTH123

    def read_tail(self, n: int) -> bytes:
        """Read the last bytes, or all if there are fewer."""
        with self.open() as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - n))
            tail: bytes = file.read(n)
            return tail

    def stream(self) -> Any:
        """Open the file for reading in order, as a file of Arrow."""
        return pa.OSFile(self.path)

    def for_arrow(self) -> Any:
        """Return what Arrow opens: the path."""
        return self.path

    def check(self) -> None:
        """Raise DatasetChangedError if the file is no longer the same."""
        try:
            now = Manifest.of(self.path)
        except OSError as error:
            raise DatasetChangedError(
                f"{self.path} cannot be found any more ({error}). Put it back, or scan again."
            ) from error
        if not self._is(now):
            raise DatasetChangedError(
                f"{self.path} changed since it was scanned (size {self.size} -> {now.size} bytes, "
                f"time {self.mtime_ns} -> {now.mtime_ns} ns). Scan again, and do not write to a "
                "file that is being read."
            )


def sample(path: str | os.PathLike[str], place: int) -> str:
    """Hash pieces of a file that are spread over it, the first and the last among them.

    It tells apart what has one name, size and time, as copies with fixed times have. Of many
    files, those at the first places are looked at more closely.
    """
    pieces = 64 if place < 64 else 2
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        last = max(0, os.fstat(file.fileno()).st_size - _PIECE)
        for i in range(pieces):
            file.seek(last * i // (pieces - 1))
            digest.update(file.read(_PIECE))
    return digest.hexdigest()


def folder_time(folder: str) -> int:
    """Read when something was last added to a folder or taken away; -1 if it is gone."""
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116
    except OSError:
        return -1


@dataclass(frozen=True, slots=True)
class Listing:
    """The folders and globs that files were found in, so that one added later is noticed."""

    places: tuple[str, ...]
    suffixes: tuple[str, ...]

    @classmethod
    def of(cls, paths: Paths, suffixes: Sequence[str] = ()) -> "tuple[list[Path], Listing]":
        """List files as ``expand_paths`` does, and remember where they were looked for."""
        given = as_list(paths)
        files = expand_paths(given, suffixes)  # type: ignore[arg-type]
        known = set(files)
        places = [p for p in map(absolute, given) if p not in known]
        return files, cls(tuple(map(str, places)), tuple(suffixes))

    def check(self, manifests: Sequence[Manifest]) -> None:
        """Raise DatasetChangedError if one of the files changed, or there is a further one."""
        for manifest in manifests:
            manifest.check()
        known = {manifest.path for manifest in manifests}
        for place in self.places:
            for file in expand(place, self.suffixes):
                if str(file) not in known:
                    raise DatasetChangedError(
                        f"{file} was added since {place} was scanned. Scan again to read it, or "
                        "remove it."
                    )

    @property
    def given(self) -> tuple[str, ...]:
        """The folders and globs, as `has` takes them."""
        return self.places

    def has(self, folder: str, name: str) -> bool:
        """Tell whether a folder has something of a name, or a glob."""
        return any(Path(folder).glob(name))

    def shown(self, folder: str) -> str:
        """Spell a folder for errors."""
        return str(Path(folder))

    def warn_if_unwatched(self, manifests: Sequence[Manifest]) -> None:
        """Warn of files that are read in place, while changes of them may not be noticed."""

    def check_read(self, manifests: Callable[[], Sequence[Manifest]]) -> None:
        """Check files of which much was read, where that was not done by glances."""

    def checking(self, manifests: Callable[[], Sequence[Manifest]]) -> AbstractContextManager[None]:
        """Check files while they are read, where that is not done by glances."""
        return nullcontext()

    def with_ends(self, manifests: Sequence[Manifest]) -> Iterator[Manifest]:
        """Yield files whose ends will be read; of a store, the next ones are read meanwhile."""
        return iter(manifests)

    def each(
        self, function: Callable[[Item], Result], items: Sequence[Item], nbytes: float
    ) -> Generator[Result, None, None]:
        """Apply a function that reads, of so many bytes, to items in their order.

        Of a store, several are read at once, while one by one would be waited for.
        """
        return (function(item) for item in items)
