"""Images in an uncompressed tar, which are read by offset and never extracted."""

import os
import tarfile
from array import array
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from sklearnish.data._errors import explained
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.limits import MEMBERS, check_limit
from sklearnish.data._source import IntArray
from sklearnish.data._sources.images.names import HIDDEN, LeftOut, is_hidden, takes
from sklearnish.data._sources.images.stores import Names, Store

_COMPRESSED = {
    b"\x1f\x8b": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "unxz",
    b"(\xb5/\xfd": "unzstd",
    b"PK\x03\x04": "unzip",
}


class Tar(Store):
    """Members of an uncompressed tar, read by offset and never extracted.

    Parameters
    ----------
    path : Path
        The tar.
    root : str
        Folder in it that is read; "" for all.
    left : LeftOut
        Takes what is left out.

    Attributes
    ----------
    found : set of str
        The folders that are members themselves, as paths relative to the root.
    """

    def __init__(self, path: Path, root: str, left: LeftOut) -> None:
        self.name = str(path)
        self._manifest = Manifest.of(path)
        self._start = f"{root}/" if root else ""
        self._offsets, self._sizes = array("q"), array("q")
        self.found: set[str] = set()
        self.names = Names(self._index(path, left))

    def _index(self, path: Path, left: LeftOut) -> Iterator[bytes]:
        """Note where each image lies; yield their names."""
        for member in _members(path):
            name = self._inside(member, left)
            if name and _is_file(member, path) and takes(name, self.name, left):
                if not 0 <= member.size <= self._manifest.size - member.offset_data:
                    raise ValueError(f"{path} is truncated within its member {member.name}.")
                self._offsets.append(member.offset_data)
                self._sizes.append(member.size)
                yield os.fsencode(name)

    def _inside(self, member: tarfile.TarInfo, left: LeftOut) -> str:
        """Spell a file as a path from the root; "" for folders, and for what is not looked at."""
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        path = "/".join(parts)
        if not path.startswith(self._start):
            return ""
        folders = parts if member.isdir() else parts[:-1]
        for i in range(self._start.count("/"), len(folders)):
            if is_hidden(folders[i]):
                left.add_folder(HIDDEN, "/".join(folders[: i + 1]))
                return ""
        if member.isdir():
            self.found.add(path[len(self._start) :])
            return ""
        return path[len(self._start) :]

    def place(self, name: str) -> str:
        """Name tar and member."""
        member = self.full(name).rstrip("/")
        return f"{member} in {self.name}" if member else self.name

    def full(self, name: str) -> str:
        """Spell the name of a member."""
        return f"{self._start}{name}"

    def read(self, rows: IntArray) -> Iterator[bytes]:
        """Read members through a handle of this call's own: none to share, fork or close."""
        try:
            with open(self._manifest.path, "rb") as file:  # noqa: PTH123
                for row in rows.tolist():
                    file.seek(self._offsets[row])
                    data = file.read(self._sizes[row])
                    self._manifest.check()  # after each read: it may have changed meanwhile
                    yield data
        except OSError:
            self._manifest.check()  # says that it is gone
            raise

    def check_unchanged(self) -> None:
        """Compare the tar with what was scanned."""
        self._manifest.check()


def _check_end(path: Path, offset: int) -> None:
    """Check that the walk ended at the mark of the end, not at damage, which tarfile skips."""
    with path.open("rb") as file:
        file.seek(offset)
        mark = file.read(tarfile.BLOCKSIZE)
    if len(mark) < tarfile.BLOCKSIZE or any(mark):
        raise ValueError(f"{path} is truncated or damaged at byte {offset:,}. Pack it again.")


def _members(path: Path) -> Iterator[tarfile.TarInfo]:
    """Walk over the images in a tar that is fit to be read by offset."""
    _check_uncompressed(path)
    with _tar_errors(path), tarfile.open(path, "r:") as tar:
        count, end = 0, -1
        while (member := _next(tar, path)) is not None:
            vars(tar)["members"].clear()  # tarfile would keep an object per member
            if tar.offset <= end:  # a negative size would be walked in a circle
                raise ValueError(f"{path} is damaged: {member.name} ends before it begins.")
            end = tar.offset
            count += 1
            check_limit(MEMBERS, count, f"{path} holds more than {count - 1:,} members")
            _check_inside(member, path)
            yield member
    _check_end(path, tar.offset)


def _next(tar: tarfile.TarFile, path: Path) -> tarfile.TarInfo | None:
    """Read the next header."""
    with _tar_errors(path, ArithmeticError, OSError, RecursionError, ValueError):
        return tar.next()


def _tar_errors(path: Path, *more: type[Exception]) -> AbstractContextManager[None]:
    """Name the file in the errors of tarfile, and in those that a damaged header ends in."""
    text = "is truncated or not a tar file"
    kinds: tuple[type[Exception], ...] = (tarfile.TarError, EOFError, *more)
    return explained(path, kinds, lambda error: ValueError(f"{path} {text} ({error})."))


def _check_inside(member: tarfile.TarInfo, path: Path) -> None:
    """Refuse a name that leads out of the tar."""
    parts = member.name.split("/")
    if parts[0] == "" or ".." in parts:
        raise ValueError(f"{path} has a member that leads out of it: {member.name}. Pack it again.")


def _is_file(member: tarfile.TarInfo, path: Path) -> bool:
    """Refuse links and special files."""
    if not member.isreg() or member.issparse():
        raise ValueError(
            f"{member.name} in {path} is a link or special file. Pack again with --dereference."
        )
    return True


def _check_uncompressed(path: Path) -> None:
    """Refuse a compressed tar, which has no offsets to read at."""
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise ValueError(f"{path} is empty (0 bytes).")
    for magic, command in _COMPRESSED.items():
        if start.startswith(magic):
            raise ValueError(
                f"{path} is compressed, so single images cannot be read from it. Decompress it "
                f"once: {command} {path.name} (images hardly shrink anyway)."
            )
