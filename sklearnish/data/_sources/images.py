"""Pictures: folders of classes, lists of files, or an uncompressed tar read by offset.

What is kept per picture is a few numbers and its name in one long string, never a Python object,
so that a million pictures cost each worker process some tens of megabytes at most.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._decode import Pixels, Size, decode, require_pillow
from sklearnish.data._files import path_text
from sklearnish.data._picture_files import Files, Folders, Store, Tar
from sklearnish.data._source import BadRowsError, Column, Field, IntArray, Source

Labels = npt.NDArray[Any]


class ImageSource(Source):
    """Pictures of one size with their labels.

    Made by ``images_in_folder``, ``images_in_tar`` and ``images_from_paths``. The field "X" is
    the picture, uint8 of shape (3, height, width); "y", where there are labels, one per picture.

    Parameters
    ----------
    store : Store
        Where the bytes are.
    labels : Coded or None
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

    tabular = False
    work = "reading and decoding"
    row_seconds = 5e-4  # a JPEG of 224 to 500 pixels a side, to 64 x 64

    def __init__(
        self, store: Store, labels: "Coded | None", size: int | Sequence[int] | None
    ) -> None:
        require_pillow()
        self._store = store
        self._size = _check_size(size)
        self._labels = labels
        self.name = store.name
        self.n_rows = len(store.names)
        height, width = self._size or self._first_size()
        self.schema = {"X": Field("uint8", "number", (3, height, width))}
        if labels is not None:
            self.schema["y"] = labels.field

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
        errors: dict[int, ValueError] = {}
        for row, place, data in zip(rows.tolist(), out, self._store.read(rows), strict=True):
            try:
                place[...] = self._sized(row, data)
            except ValueError as error:
                errors[row] = error
        if errors:
            first = next(iter(errors.values()))
            raise BadRowsError(str(first), np.array(list(errors))) from first
        return out

    def _sized(self, row: int, data: bytes) -> Pixels:
        """Decode one picture, which must have the size of the others."""
        pixels = self._decode(row, data).transpose(2, 0, 1)
        shape = self.schema["X"].shape
        if pixels.shape != shape:
            raise ValueError(
                f"{self.row_name(row)} has {pixels.shape[1]} x {pixels.shape[2]} "
                f"pixels (height x width) and {self.row_name(0)} {shape[1]} x {shape[2]}. "
                "Give size=(height, width) to resize them all."
            )
        return pixels

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
        """Raise DatasetChangedError if files changed since they were scanned, or were added.

        Of many, 10,000 are looked at; the others are when they are read.
        """
        self._store.check_unchanged()


class Coded:
    """Labels; text is kept once per class."""

    def __init__(self, codes: Labels, classes: Labels | None = None) -> None:
        self._codes = codes
        self._classes = classes
        values = codes if classes is None else classes
        self.field = Field(values.dtype.name, "number", codes.shape[1:])
        if values.dtype.kind == "U":
            self.field = Field("string", "text", codes.shape[1:])

    @classmethod
    def of(cls, labels: Labels) -> "Coded":
        """Find the classes of text; numbers stay as they are."""
        if labels.dtype.kind != "U":
            return cls(labels)
        classes, codes = np.unique(labels, return_inverse=True)
        return cls(codes.astype(np.int32), classes)

    @classmethod
    def of_text(cls, labels: Iterable[str]) -> "Coded":
        """Do so for very many, without a sort of them all."""
        known: dict[str, int] = {}
        codes = np.fromiter((known.setdefault(label, len(known)) for label in labels), np.int32)
        classes, order = np.unique(np.array(list(known)), return_inverse=True)
        return cls(order.astype(np.int32)[codes], classes)

    def take(self, rows: Any) -> Labels:
        """Look up the labels of rows."""
        codes: Labels = self._codes[rows]
        return codes.copy() if self._classes is None else self._classes[codes]


def images_in_folder(
    folder: str | os.PathLike[str], size: int | Sequence[int] | None = None
) -> ImageSource:
    """Read ``folder/class/**/picture.jpg``; the name of the class folder is the label."""
    root = Path(folder).expanduser().absolute()
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder of images.")
    folders = Folders(root)
    classes = folders.classes()
    found = [(name, folders.pictures(name)) for name in classes]
    if not found:
        raise ValueError(
            f"{root} holds no class folders. Put the pictures of each class into a folder of its "
            "own, or give a list of paths (with labels, if there are any)."
        )
    for name, pictures in found:
        if not pictures:
            raise ValueError(
                f"the class folder {root / name} holds no JPEG, PNG or WEBP file. Remove it."
            )
    codes = np.repeat(np.arange(len(classes), dtype=np.int32), [len(p) for _, p in found])
    names = (os.fsencode(picture) for _, pictures in found for picture in pictures)
    store = Files(str(folder), str(root), names, folders)
    return ImageSource(store, Coded(codes, np.array(classes)), size)


def images_from_paths(
    paths: Iterable[str | os.PathLike[str]],
    labels: Any = None,
    size: int | Sequence[int] | None = None,
    root: str | os.PathLike[str] | None = None,
) -> ImageSource:
    """Read files in the order of a list, with one label each or none."""
    if isinstance(paths, str | os.PathLike):
        raise TypeError(f"expected a list of paths, got {os.fspath(paths)!r}; give [path].")
    if root is None:
        names = [os.fsencode(Path(path_text(path)).expanduser().absolute()) for path in paths]
    else:
        root = Path(path_text(root)).expanduser().absolute()
        names = list(_inside(root, paths))
    if not names:
        raise FileNotFoundError("no picture was given: the list of images is empty.")
    known = None if labels is None else Coded.of(_check_labels(labels, len(names)))
    first = str(Path(root or "", os.fsdecode(names[0])))
    name = first if len(names) == 1 else f"{first} and {len(names) - 1} more"
    return ImageSource(Files(name, str(root or ""), names), known, size)


def _inside(root: Path, paths: Iterable[str | os.PathLike[str]]) -> Iterator[bytes]:
    """Yield paths relative to a folder, none of which leads out of it."""
    real = root.resolve()
    for path in map(Path, map(path_text, paths)):
        whole = (root / path).resolve()
        if path.is_absolute() or ".." in path.parts or not whole.is_relative_to(real):
            raise ValueError(f"{path} leads out of the folder {root}, to {whole}. Leave it out.")
        yield os.fsencode(path)


def images_in_tar(
    path: str | os.PathLike[str], size: int | Sequence[int] | None = None
) -> ImageSource:
    """Read the members of an uncompressed tar; the folder around each is its label."""
    store = Tar(Path(path).expanduser().absolute())
    if len(store.names) == 0:
        raise ValueError(f"{store.name} holds no JPEG, PNG or WEBP file.")
    return ImageSource(store, Coded.of_text(_parent_folders(store)), size)


def _parent_folders(store: Tar) -> Iterator[str]:
    """Name the folder around each member."""
    for i in range(len(store.names)):
        folder = PurePosixPath(store.names[i]).parent.name
        if not folder:
            raise ValueError(
                f"{store.label(i)} lies in no folder, which would be its label. Pack folders of "
                "classes."
            )
        yield folder


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
    given = size if isinstance(size, Iterable) else (size, size)
    pair = tuple(int(s) if isinstance(s, Integral) else 0 for s in given)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"size must be a positive int or (height, width), got {size!r}.")
    return pair
