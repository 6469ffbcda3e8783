"""Images in files of their own: in a folder, or of a list."""

import os
import stat
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._files.changes import Manifest, folder_time
from sklearnish.data._source import IntArray
from sklearnish.data._sources.images.names import HIDDEN, LOOP, LeftOut, class_of, is_hidden, takes

_MAX_CHECKED = 10_000
_MOST_LINKS = 1_000


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

    def __iter__(self) -> Iterator[str]:
        ends = memoryview(self._ends.data)  # gives integers of Python, not of NumPy
        return (os.fsdecode(self._text[a:b]) for a, b in pairwise(ends))


class Store(ABC):
    """Where the bytes of images are.

    Attributes
    ----------
    name : str
        The folder, the tar, or the first file and how many more.
    names : Names
        One per image.
    """

    name: str
    names: Names

    @abstractmethod
    def read(self, rows: IntArray) -> Iterator[bytes]:
        """Read images in the order of the rows."""

    @abstractmethod
    def place(self, name: str) -> str:
        """Say where an image or a folder of this name is, for errors."""

    def full(self, name: str) -> str:
        """Spell a path from where the whole begins, not only the part that is read."""
        return name

    def identity(self) -> Any:
        """Return what tells these images from others."""
        return self

    def label(self, row: int) -> str:
        """Name an image for errors."""
        return self.place(self.names[row])

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all other images, while they are scanned."""
        self.names = Names(os.fsencode(self.names[i]) for i in rows)
        for name, numbers in vars(self).items():
            if isinstance(numbers, array):
                setattr(self, name, array(numbers.typecode, [numbers[i] for i in rows]))

    @abstractmethod
    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if files changed."""


class Files(Store):
    """One file per image, under a common folder."""

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

    def place(self, name: str) -> str:
        """Give the path."""
        return str(Path(self._root, name))

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
    """A folder of images, with the times of the last change of up to 10,000 folders in it.

    Attributes
    ----------
    found : set of str
        The folders that were met, as paths relative to the root.
    start : str
        How the paths begin that belong to a class; None where all count.
    """

    def __init__(self, root: Path, start: str | None = None) -> None:
        self._root = str(root)
        self._times: dict[str, int] = {}
        self.found: set[str] = set()
        self.start = start

    def pictures(self, left: LeftOut) -> Iterator[str]:
        """Yield images as paths relative to the root: those of a folder, then of its folders.

        Links to folders are followed, except to a folder that is being walked through.
        """
        waiting: list[tuple[str, tuple[tuple[int, int], ...]]] = [("", ())]
        entered: Counter[tuple[int, int]] = Counter()
        while waiting:
            inside, above = waiting.pop()
            place = f"{self._root}/{inside}"
            looked = os.stat(place)  # noqa: PTH116 - and followed, if it is a link
            me = (looked.st_dev, looked.st_ino)
            if me in above:
                left.add(LOOP, inside)
                continue
            entered[me] += 1
            if entered[me] > _MOST_LINKS:  # folders that link to each other are a maze
                raise ValueError(f"{place} is linked to from more than {_MOST_LINKS:,} places.")
            self.found.add(inside)
            if len(self._times) < _MAX_CHECKED:
                self._times[place] = looked.st_mtime_ns  # before it is listed
            files, folders = self._list(place, f"{inside}/" if inside else "", left)
            yield from (path for path in files if takes(path, self._root, left))
            waiting += [(path, (*above, me)) for path in reversed(folders)]

    def _list(self, place: str, start: str, left: LeftOut) -> tuple[list[str], list[str]]:
        """List the files and the folders in a folder, sorted."""
        files, folders = [], []
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if not entry.is_dir():
                    files.append(start + entry.name)
                elif is_hidden(entry.name):
                    left.add(HIDDEN, start + entry.name)
                else:
                    folders.append(start + entry.name)
        return files, folders

    def check(self, names: Names) -> None:
        """Raise DatasetChangedError if a folder that changed holds another image."""
        if all(folder_time(folder) == time for folder, time in self._times.items()):
            return
        known = set(names)
        for picture in Folders(Path(self._root)).pictures(LeftOut()):
            counts = self.start is None or class_of(picture, self.start)
            if counts and picture not in known:
                raise DatasetChangedError(
                    f"{self._root}/{picture} was added since {self._root} was scanned. Scan again "
                    "to read it, or remove it."
                )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the times at home: who watches is the process that scanned."""
        return {**self.__dict__, "_times": {}, "found": set()}
