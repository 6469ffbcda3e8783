"""Changes: whether files are still those that were scanned."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._files.paths import Paths, absolute, as_list, expand, expand_paths

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


@dataclass(frozen=True, slots=True)
class Listing:
    """The folders and globs that files were found in, so that one added later is noticed."""

    places: tuple[str, ...]
    suffixes: tuple[str, ...]

    @classmethod
    def of(cls, paths: Paths, suffixes: Sequence[str] = ()) -> "tuple[list[Path], Listing]":
        """List files as ``expand_paths`` does, and remember where they were looked for."""
        given = [paths] if isinstance(paths, str | os.PathLike) else as_list(paths)
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
