"""Where pictures lie: files of their own, or members of an uncompressed tar read by offset."""

import os
import tarfile
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from sklearnish.data._files import Manifest
from sklearnish.data._source import IntArray

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_OTHER_PICTURES = (".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif", ".jp2", ".ppm")
_COMPRESSED = {
    b"\x1f\x8b": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "unxz",
    b"(\xb5/\xfd": "unzstd",
}

MAX_MEMBERS = 20_000_000
"""Pictures in one tar: a damaged or hostile archive must not fill the memory with names."""

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

    def __init__(self, name: str, root: str, names: Iterable[bytes]) -> None:
        self.name = name
        self._root = root
        self._sizes, self._times = array("q"), array("q")
        self.names = Names(map(self._look_at, names))

    def _look_at(self, name: bytes) -> bytes:
        """Note size and time of a file, which must exist."""
        path = os.path.join(os.fsencode(self._root), name)  # noqa: PTH118 - of a million files
        stat = os.stat(path)  # noqa: PTH116
        self._sizes.append(stat.st_size)
        self._times.append(stat.st_mtime_ns)
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
                stat, data = os.fstat(file.fileno()), file.read()
        except OSError:
            self._check(row)  # says that it is gone
            raise
        if (len(data), stat.st_mtime_ns) != (self._sizes[row], self._times[row]):
            self._check(row)
        return data

    def _check(self, row: int) -> None:
        """Compare one file with what was scanned."""
        Manifest(self.label(row), self._sizes[row], self._times[row]).check()

    def check_unchanged(self) -> None:
        """Compare up to 10,000 files, evenly spaced."""
        n = len(self.names)
        for row in np.linspace(0, n - 1, min(n, _MAX_CHECKED)).astype(int).tolist():
            self._check(row)


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
            if member.offset_data + member.size > self._manifest.size:
                raise ValueError(f"{path} is truncated within its member {member.name}.")
            self._offsets.append(member.offset_data)
            self._sizes.append(member.size)
            yield os.fsencode(member.name)

    def label(self, row: int) -> str:
        """Name tar and member."""
        return f"{self.names[row]} in {self.name}"

    def read(self, rows: IntArray) -> Iterator[bytes]:
        """Read members through a handle of this call's own: none to share, fork or close."""
        self._manifest.check()
        with Path(self._manifest.path).open("rb") as file:
            for row in rows.tolist():
                file.seek(self._offsets[row])
                yield file.read(self._sizes[row])

    def check_unchanged(self) -> None:
        """Compare the tar with what was scanned."""
        self._manifest.check()


def pictures_under(root: Path, name: str) -> list[str]:
    """List the pictures of a class, sorted, as paths relative to the root."""
    found = []
    for folder, folders, files in os.walk(root / name):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        where = Path(folder).relative_to(root)
        found += [f"{where}{os.sep}{file}" for file in sorted(files) if _is_picture(file, where)]
    return found


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
    try:
        with tarfile.open(path, "r:") as tar:
            count = 0
            while (member := tar.next()) is not None:
                vars(tar)["members"].clear()  # tarfile would keep an object per member
                if _is_picture_member(member, path):
                    count += 1
                    if count > MAX_MEMBERS:
                        raise ValueError(
                            f"{path} holds more than {MAX_MEMBERS:,} images. Split it."
                        )
                    yield member
            _check_end(path, tar.offset)
    except (tarfile.TarError, EOFError) as error:
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
