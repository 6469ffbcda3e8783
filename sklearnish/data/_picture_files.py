"""Where pictures lie: files of their own, or members of an uncompressed tar read by offset."""

import os
import stat
import tarfile
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sklearnish.data._files import DatasetChangedError, Manifest
from sklearnish.data._limits import MEMBERS, check_limit
from sklearnish.data._source import IntArray

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_OTHER_PICTURES = (".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif", ".jp2", ".ppm")
_COMPRESSED = {
    b"\x1f\x8b": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "unxz",
    b"(\xb5/\xfd": "unzstd",
}

_MAX_CHECKED = 10_000


class Names:
    """Many names as one string and where each ends."""

    def __init__(self, names: Iterable[bytes]) -> None:
        ends, text = array("q", [0]), bytearray()
        for name in names:
            text += name
            ends.append(len(text))
        self._ends = np.frombuffer(ends, np.int64)
        self._text = bytes(text)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, i: int) -> str:
        return os.fsdecode(self._text[self._ends[i] : self._ends[i + 1]])


class Store(ABC):
    """Where the bytes of pictures are.

    Attributes
    ----------
    name : str
        The folder, the tar, or the first file and how many more.
    names : Names
        One per picture.
    """

    name: str
    names: Names

    @abstractmethod
    def read(self, rows: IntArray) -> Iterator[bytes]:
        """Read pictures in the order of the rows."""

    @abstractmethod
    def label(self, row: int) -> str:
        """Name a picture for errors."""

    @abstractmethod
    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if files changed."""


class Files(Store):
    """One file per picture, under a common folder."""

    def __init__(
        self, name: str, root: str, names: Iterable[bytes], folders: "Folders | None" = None
    ) -> None:
        self.name = name
        self._root = root
        self._sizes, self._times = array("q"), array("q")
        self.names = Names(map(self._look_at, names))
        self._folders = folders

    def _look_at(self, name: bytes) -> bytes:
        """Note size and time of a file, which must exist."""
        path = os.path.join(os.fsencode(self._root), name)  # noqa: PTH118 - of a million files
        try:
            found = os.stat(path)  # noqa: PTH116
        except OSError as error:  # which would show the path as bytes
            raise OSError(error.errno, error.strerror, os.fsdecode(path)) from None
        if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
            raise ValueError(f"{os.fsdecode(path)} is not a file.")
        self._sizes.append(found.st_size)
        self._times.append(found.st_mtime_ns)
        return name

    def label(self, row: int) -> str:
        """Give the path."""
        return str(Path(self._root, self.names[row]))

    def read(self, rows: IntArray) -> Iterator[bytes]:
        """Read whole files."""
        yield from map(self._read_one, rows.tolist())

    def _read_one(self, row: int) -> bytes:
        """Read a file if it is the one that was scanned; a path costs as much as a small file."""
        path = os.path.join(self._root, self.names[row])  # noqa: PTH118
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                data, found = file.read(), os.fstat(file.fileno())  # the time of the last change
        except OSError:
            self._check(row)  # says that it is gone
            raise
        if (len(data), found.st_mtime_ns) != (self._sizes[row], self._times[row]):
            self._check(row)
        return data

    def _check(self, row: int) -> None:
        """Compare one file with what was scanned."""
        Manifest(self.label(row), self._sizes[row], self._times[row]).check()

    def check_unchanged(self) -> None:
        """Compare up to 10,000 files, evenly spaced; look for files that were added."""
        n = len(self.names)
        for row in np.linspace(0, n - 1, min(n, _MAX_CHECKED)).astype(int).tolist():
            self._check(row)
        if self._folders is not None:
            self._folders.check(self.names)


class Folders:
    """Folders of classes, with the times of the last change of up to 10,000 folders."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._times: dict[str, int] = {}
        self._note(str(root))

    def _note(self, folder: str) -> None:
        """Note the time of a folder, before it is listed."""
        if len(self._times) < _MAX_CHECKED:
            self._times[folder] = _time(folder)

    def classes(self) -> list[str]:
        """List the folders right under the root."""
        return sorted(
            p.name for p in self._root.iterdir() if p.is_dir() and not p.name.startswith(".")
        )

    def pictures(self, name: str) -> list[str]:
        """List the pictures of a class, sorted, as paths relative to the root."""
        found = []
        self._note(str(self._root / name))
        for folder, folders, files in os.walk(self._root / name):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            for f in folders:
                self._note(f"{folder}{os.sep}{f}")
            where = Path(folder).relative_to(self._root)
            found += [f"{where}{os.sep}{f}" for f in sorted(files) if _is_picture(f, where)]
        return found

    def check(self, names: Names) -> None:
        """Raise DatasetChangedError if a folder that changed holds another picture."""
        if all(_time(folder) == time for folder, time in self._times.items()):
            return
        known = {names[i] for i in range(len(names))}
        now = Folders(self._root)
        for picture in (p for name in now.classes() for p in now.pictures(name)):
            if picture not in known:
                raise DatasetChangedError(
                    f"{self._root / picture} was added since {self._root} was scanned. Scan again "
                    "to read it, or take it out."
                )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the times at home: who watches is the process that scanned."""
        return {"_root": self._root, "_times": {}}


def _time(folder: str) -> int:
    """Read when something was last added to a folder or taken away; -1 if it is gone."""
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116
    except OSError:
        return -1


class Tar(Store):
    """Members of an uncompressed tar, read by offset and never extracted."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._manifest = Manifest.of(path)
        self._offsets, self._sizes = array("q"), array("q")
        self.names = Names(self._index(path))

    def _index(self, path: Path) -> Iterator[bytes]:
        """Note where each picture lies; yield their names."""
        for member in _members(path):
            if not 0 <= member.size <= self._manifest.size - member.offset_data:
                raise ValueError(f"{path} is truncated within its member {member.name}.")
            self._offsets.append(member.offset_data)
            self._sizes.append(member.size)
            yield os.fsencode(member.name)

    def label(self, row: int) -> str:
        """Name tar and member."""
        return f"{self.names[row]} in {self.name}"

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


def _is_picture(name: str, where: object) -> bool:
    """Say whether a name is that of a picture we read; refuse pictures we do not."""
    if name.startswith("."):  # also "._a.jpg", which macOS leaves behind
        return False
    if name.lower().endswith(_OTHER_PICTURES):
        raise ValueError(f"{name} in {where} is not JPEG, PNG or WEBP. Convert it, or remove it.")
    return name.lower().endswith(SUFFIXES)


def _check_end(path: Path, offset: int) -> None:
    """Check that the walk ended at the mark of the end, not at damage, which tarfile skips."""
    with path.open("rb") as file:
        file.seek(offset)
        mark = file.read(tarfile.BLOCKSIZE)
    if len(mark) < tarfile.BLOCKSIZE or any(mark):
        raise ValueError(f"{path} is truncated or damaged at byte {offset:,}. Pack it again.")


def _members(path: Path) -> Iterator[tarfile.TarInfo]:
    """Walk over the pictures in a tar that is fit to be read by offset."""
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
            if _is_picture_member(member, path):
                yield member
    _check_end(path, tar.offset)


def _next(tar: tarfile.TarFile, path: Path) -> tarfile.TarInfo | None:
    """Read the next header."""
    with _tar_errors(path, ArithmeticError, OSError, RecursionError, ValueError):
        return tar.next()


@contextmanager
def _tar_errors(path: Path, *more: type[Exception]) -> Iterator[None]:
    """Name the file in the errors of tarfile, and in those that a damaged header ends in."""
    kinds: tuple[type[Exception], ...] = (tarfile.TarError, EOFError, *more)
    try:
        yield
    except kinds as error:
        raise ValueError(f"{path} is truncated or not a tar file ({error}).") from error


def _is_picture_member(member: tarfile.TarInfo, path: Path) -> bool:
    """Say whether a member is a picture; refuse what a well-meant archive does not hold."""
    parts = member.name.split("/")
    if parts[0] == "" or ".." in parts:
        raise ValueError(f"{path} has a member that leads out of it: {member.name}. Pack it again.")
    if member.isdir():
        return False
    if not member.isreg() or member.issparse():
        raise ValueError(
            f"{member.name} in {path} is a link or special file. Pack again with --dereference."
        )
    return _is_picture(parts[-1], path)


def _check_uncompressed(path: Path) -> None:
    """Refuse a compressed tar, which has no offsets to read at."""
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise ValueError(f"{path} is empty (0 bytes).")
    for magic, command in _COMPRESSED.items():
        if start.startswith(magic):
            raise ValueError(
                f"{path} is compressed, so that its images cannot be reached one by one. "
                f"Decompress it once: {command} {path.name} (images hardly shrink anyway)."
            )
