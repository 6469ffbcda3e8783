"""Pictures: folders of classes, lists of files, or an uncompressed tar read by offset.

What is kept per picture is a few numbers and its name in one long string, never a Python object,
so that a million pictures cost each worker process some tens of megabytes at most.
"""

import os
import tarfile
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._decode import Pixels, Size, decode, require_pillow
from sklearnish.data._files import Manifest
from sklearnish.data._source import Column, Field, IntArray, Source

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

Labels = npt.NDArray[Any]


class ImageSource(Source):
    """Pictures of one size with their labels.

    Made by ``images_in_folder``, ``images_in_tar`` and ``images_from_paths``. The field "X" is
    the picture, uint8 of shape (3, height, width); "y", where there are labels, one per picture.

    Parameters
    ----------
    store : Store
        Where the bytes are.
    labels : ndarray of shape (n,) or None
        One label per picture.
    size : int, (int, int) or None
        Side, or height and width, to which every picture is resized without keeping its aspect
        ratio; None if all have one size already.

    Raises
    ------
    ValueError
        `size` is not one or two positive integers, or the first picture cannot be read.
    ImportError
        Pillow is missing.
    """

    def __init__(
        self, store: "Store", labels: Labels | None, size: int | Sequence[int] | None
    ) -> None:
        require_pillow()
        self._store = store
        self._size = _check_size(size)
        self._labels = None if labels is None else _Coded(labels)
        self.name = store.name
        self.n_rows = len(store.names)
        height, width = self._size or self._first_size()
        self.schema = {"X": Field("uint8", "number", (3, height, width))}
        if labels is not None:
            kind = "text" if labels.dtype.kind == "U" else "number"
            name = "string" if kind == "text" else labels.dtype.name
            self.schema["y"] = Field(name, kind, labels.shape[1:])

    def _first_size(self) -> Size:
        """Look at the first picture."""
        rows = np.zeros(1, np.int64)
        height, width, _ = self._decode(0, next(self._store.read(rows))).shape
        return height, width

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Decode pictures, or look up labels."""
        out: dict[str, Column] = {}
        if "X" in columns:
            out["X"] = self._read_pictures(rows)
        if "y" in columns and self._labels is not None:
            out["y"] = self._labels.take(rows)
        return {name: out[name] for name in columns}

    def _read_pictures(self, rows: IntArray) -> Pixels:
        """Decode pictures into one array."""
        shape = self.schema["X"].shape
        out = np.empty((len(rows), *shape), np.uint8)
        for i, data in enumerate(self._store.read(rows)):
            pixels = self._decode(int(rows[i]), data).transpose(2, 0, 1)
            if pixels.shape != shape:
                raise ValueError(
                    f"{self.row_name(int(rows[i]))} is {pixels.shape[1]} x {pixels.shape[2]} pixels "
                    f"(height x width) and {self.row_name(0)} is {shape[1]} x {shape[2]}. Give "
                    "size=(height, width) to resize them all."
                )
            out[i] = pixels
        return out

    def _decode(self, row: int, data: bytes) -> Pixels:
        """Decode one picture; errors name it."""
        try:
            return decode(data, self._size)
        except ValueError as error:
            raise ValueError(
                f"{self.row_name(row)} cannot be decoded: {error}. Repair or remove it."
            ) from error

    def labels(self, column: str) -> Labels | None:
        """Return the labels, which are known without decoding anything."""
        return None if column != "y" or self._labels is None else self._labels.take(slice(None))

    def row_name(self, row: int) -> str:
        """Name the file, or the member of the tar."""
        return self._store.label(row)

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if files changed since they were scanned.

        Of many, 10,000 are looked at; the others are when they are read.
        """
        self._store.check_unchanged()


class _Coded:
    """Labels; text is kept once per class."""

    def __init__(self, labels: Labels) -> None:
        self._classes: Labels | None = None
        self._codes = labels
        if labels.dtype.kind == "U":
            self._classes, codes = np.unique(labels, return_inverse=True)
            self._codes = codes.astype(np.int32)

    def take(self, rows: Any) -> Labels:
        """Look up the labels of rows."""
        codes = self._codes[rows]
        return codes.copy() if self._classes is None else self._classes[codes]


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


class _Files(Store):
    """One file per picture, under a common folder."""

    def __init__(self, name: str, root: str, names: Iterable[bytes]) -> None:
        self.name = name
        self._root = root
        self._sizes, self._times = array("q"), array("q")
        self.names = Names(map(self._look_at, names))

    def _look_at(self, name: bytes) -> bytes:
        """Note size and time of a file, which must exist."""
        stat = Path(self._root, os.fsdecode(name)).stat()
        self._sizes.append(stat.st_size)
        self._times.append(stat.st_mtime_ns)
        return name

    def label(self, row: int) -> str:
        """Give the path."""
        return str(Path(self._root, self.names[row]))

    def read(self, rows: IntArray) -> Iterator[bytes]:
        """Read whole files."""
        for row in rows.tolist():
            self._check(row)
            yield Path(self._root, self.names[row]).read_bytes()

    def _check(self, row: int) -> None:
        """Compare one file with what was scanned."""
        Manifest(self.label(row), self._sizes[row], self._times[row]).check()

    def check_unchanged(self) -> None:
        """Compare up to 10,000 files, evenly spaced."""
        n = len(self.names)
        for row in np.linspace(0, n - 1, min(n, _MAX_CHECKED)).astype(int).tolist():
            self._check(row)


class _Tar(Store):
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


def images_in_folder(
    folder: str | os.PathLike[str], size: int | Sequence[int] | None = None
) -> ImageSource:
    """Read ``folder/class/**/picture.jpg``; the name of the class folder is the label."""
    root = Path(folder).expanduser().absolute()
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder of images.")
    classes = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = [(name, _pictures_under(root, name)) for name in classes]
    if not found:
        raise ValueError(
            f"{root} holds no class folders. Put the pictures of each class into a folder of its "
            "own, or give a list of paths (with labels, if there are any)."
        )
    for name, names in found:
        if not names:
            raise ValueError(
                f"the class folder {root / name} holds no JPEG, PNG or WEBP file. Remove it."
            )
    labels = np.repeat(np.array(classes), [len(names) for _, names in found])
    store = _Files(str(folder), str(root), (os.fsencode(n) for _, names in found for n in names))
    return ImageSource(store, labels, size)


def images_from_paths(
    paths: Iterable[str | os.PathLike[str]],
    labels: Any = None,
    size: int | Sequence[int] | None = None,
) -> ImageSource:
    """Read files in the order of a list, with one label each or none."""
    if isinstance(paths, str | os.PathLike):
        raise TypeError(f"expected a list of paths, got {os.fspath(paths)!r}; give [path].")
    full = [os.fsencode(Path(path).expanduser().absolute()) for path in paths]
    if not full:
        raise ValueError("the list of images is empty.")
    known = None if labels is None else _check_labels(labels, len(full))
    first = os.fsdecode(full[0])
    name = first if len(full) == 1 else f"{first} and {len(full) - 1} more"
    return ImageSource(_Files(name, "", full), known, size)


def images_in_tar(
    path: str | os.PathLike[str], size: int | Sequence[int] | None = None
) -> ImageSource:
    """Read the members of an uncompressed tar; the folder around each is its label."""
    store = _Tar(Path(path).expanduser().absolute())
    n = len(store.names)
    if n == 0:
        raise ValueError(f"{store.name} holds no JPEG, PNG or WEBP file.")
    folders = [PurePosixPath(store.names[i]).parent.name for i in range(n)]
    if "" in folders:
        member = store.names[folders.index("")]
        raise ValueError(
            f"{member} in {store.name} lies in no folder, which would be its label. Pack folders "
            "of classes."
        )
    return ImageSource(store, np.array(folders), size)


def _pictures_under(root: Path, name: str) -> list[str]:
    """List the pictures of a class, sorted, as paths relative to the root."""
    found = []
    for folder, folders, files in os.walk(root / name):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        where = Path(folder).relative_to(root)
        found += [str(where / file) for file in sorted(files) if _is_picture(where / file)]
    return found


def _is_picture(path: Path | PurePosixPath) -> bool:
    """Say whether a name is that of a picture we read; refuse pictures we do not."""
    suffix = path.suffix.lower()
    if path.name.startswith("."):  # also "._a.jpg", which macOS leaves behind
        return False
    if suffix in _OTHER_PICTURES:
        raise ValueError(f"{path} is neither JPEG, PNG nor WEBP. Convert it, or remove it.")
    return suffix in SUFFIXES


def _members(path: Path) -> Iterator[tarfile.TarInfo]:
    """Walk over the pictures in a tar that is fit to be read by offset."""
    _check_uncompressed(path)
    try:
        with tarfile.open(path, "r:") as tar:
            count = 0
            while (member := tar.next()) is not None:
                tar.members.clear()  # tarfile would keep an object per member
                if _is_picture_member(member, path):
                    count += 1
                    if count > MAX_MEMBERS:
                        raise ValueError(
                            f"{path} holds more than {MAX_MEMBERS:,} images. Split it."
                        )
                    yield member
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{path} is truncated or not a tar file ({error}).") from error


def _is_picture_member(member: tarfile.TarInfo, path: Path) -> bool:
    """Say whether a member is a picture; refuse what a well-meant archive does not hold."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise ValueError(f"{path} has a member that leads out of it: {member.name}. Pack it again.")
    if member.isdir():
        return False
    if not member.isreg() or member.issparse():
        raise ValueError(
            f"{member.name} in {path} is a link or special file. Pack again with --dereference."
        )
    return _is_picture(name)


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


def _check_labels(labels: Any, n: int) -> Labels:
    """Check that there is one label per picture."""
    known = np.asarray(labels)
    if known.dtype.kind == "O" and all(isinstance(label, str) for label in known.flat):
        known = known.astype(str)
    if known.dtype.kind not in "Ubiuf":
        raise ValueError(f"labels must be numbers or text without gaps, got dtype {known.dtype}.")
    if known.shape[:1] != (n,):
        raise ValueError(f"{n} images were given and labels of shape {known.shape}.")
    return known


def _check_size(size: int | Sequence[int] | None) -> Size | None:
    """Spell size as (height, width)."""
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or any(not isinstance(s, int) or s < 1 for s in pair):
        raise ValueError(f"size must be a positive int or (height, width), got {size!r}.")
    return pair
