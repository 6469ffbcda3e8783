"""Images: folders of classes, lists of files, or an uncompressed tar read by offset.

What is kept per image is a few numbers and its name in one long string, never a Python object,
so that a million images cost each worker process some tens of megabytes at most.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from sklearnish.data._decode import require_pillow
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.found import found
from sklearnish.data._files.paths import is_url, path_text, without_credentials
from sklearnish.data._same_size import DECODING_SECONDS, RESIZE, TRIED, SameSize, Sides, sides_of
from sklearnish.data._source import Column, Field, IntArray, Source
from sklearnish.data._sources.images.labels import Coded, Labels, given, labelled
from sklearnish.data._sources.images.names import SUFFIXES, LeftOut
from sklearnish.data._sources.images.stores import Files, Folders, Store
from sklearnish.data._sources.images.tar import Tar

Path_ = str | os.PathLike[str]


class ImageSource(Source):
    """Images of one size with their labels.

    Made by ``images_in_folder``, ``images_in_tar`` and ``images_from_paths``. The field "X" is
    the image, uint8 of shape (3, height, width); "path" its path; "y", where there are labels,
    one per image.

    Parameters
    ----------
    store : Store
        Where the bytes are.
    labels : Coded or None
        One label per image.
    size : int, (int, int) or None
        Side, or height and width, to which every image is resized without keeping its aspect
        ratio; None if all have one size already.

    Raises
    ------
    ValueError
        `size` is not one or two positive integers, or no image can be read.
    ImportError
        Pillow is missing.
    """

    tabular = False
    work = "reading and decoding"
    row_seconds = DECODING_SECONDS

    def __init__(self, store: Store, labels: Coded | None, size: Sides) -> None:
        require_pillow()
        self._store = store
        self._size = sides_of(size)
        self._labels = labels
        self.name = store.name
        self.n_rows = len(store.names)
        self._images = SameSize(*self._size, 0, self._size, RESIZE) if self._size else self._found()
        self.schema = {
            "X": Field("uint8", "number", self._images.shape),
            "path": Field("string", "text"),
        }
        if labels is not None:
            self.schema["y"] = labels.field

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Decode images, or look up labels."""
        out: dict[str, Column] = {}
        if "X" in columns:
            out["X"] = self._images.decode(rows, self._store.read(rows), self.row_name)
        if "y" in columns and self._labels is not None:
            out["y"] = self._labels.take(rows)
        if "path" in columns:
            out["path"] = self._paths(rows)
        return {name: out[name] for name in columns}

    def _found(self) -> SameSize:
        """Find the first image that can be decoded, and its height and width."""
        tried = np.arange(min(self.n_rows, TRIED))
        return SameSize.of(self._store.read(tried), self.row_name, RESIZE)

    def _paths(self, rows: IntArray) -> Column:
        """Look up paths; bytes that are no UTF-8 become question marks."""
        names = (self._store.names[row] for row in rows.tolist())
        plain = [name.encode(errors="replace").decode() for name in names]
        return pa.chunked_array([pa.array(plain, pa.string())])

    def labels(self, column: str) -> Labels | None:
        """Return the labels, which are known without decoding anything."""
        return None if column != "y" or self._labels is None else self._labels.take(slice(None))

    def row_name(self, row: int) -> str:
        """Name the file, or the member of the tar."""
        return self._store.label(row)

    def identity(self) -> tuple[type, dict[str, Any]]:
        """Return what tells these images from others."""
        kind, state = super().identity()
        return kind, state | {"_store": self._store.identity()}

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if files changed since they were scanned, or were added.

        Of many, 10,000 are looked at; the others are when they are read.
        """
        self._store.check_unchanged()


def images_in_folder(folder: Path_, size: Sides = None, labels: Any = None) -> ImageSource:
    """Read the images in a folder; the folder right below it around each is its label."""
    root = Path(folder).expanduser().absolute()
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder of images.")
    folders, left = Folders(root), LeftOut()
    store = Files(str(folder), str(root), map(os.fsencode, folders.pictures(left)), folders)
    known, folders.start = labelled(store, folders.found, left, labels, _part_of_folder)
    folders.found = set()
    source = ImageSource(store, known, size)
    left.warn(str(folder))
    return source


def _part_of_folder(name: str, part: str) -> str:
    """Spell how to scan a folder in a folder."""
    return f"sn.scan_images({str(Path(name, part))!r})"


def _part_of_tar(name: str, part: str) -> str:
    """Spell how to scan a folder in a tar."""
    return f"sn.scan_images({name!r}, root={part!r})"


def images_in_tar(
    path: Path_,
    size: Sides = None,
    labels: Any = None,
    root: Path_ | None = None,
    filesystem: Any = None,
) -> ImageSource:
    """Read the members of an uncompressed tar, or of a folder in it, likewise."""
    if path_text(path).lower().endswith(SUFFIXES):
        raise ValueError(f"{path} is one image. scan_images takes a list of them: [path].")
    left = LeftOut()
    inside = "" if root is None else PurePosixPath(path_text(root)).as_posix()
    store = Tar(_tar_at(path, filesystem), "" if inside == "." else inside, left)
    known, _ = labelled(store, store.found, left, labels, _part_of_tar)
    store.found = set()
    source = ImageSource(store, known, size)
    left.warn(without_credentials(str(path)))
    return source


def _tar_at(path: Path_, filesystem: Any) -> Manifest:
    """Look at a tar, on the disk or in a store."""
    if filesystem is None:
        return Manifest.of(Path(path).expanduser().absolute())
    manifests, listing = found(path, (".tar",), filesystem)
    if listing.places:
        raise ValueError(
            f"{listing.places[0]} is no tar. With filesystem=, scan_images reads one tar: of a "
            "folder, each image would be waited for. Pack it: tar -cf images.tar folder."
        )
    return manifests[0]


def images_from_paths(
    paths: Iterable[Path_], labels: Any = None, size: Sides = None, root: Path_ | None = None
) -> ImageSource:
    """Read files in the order of a list, with one label each or none."""
    if isinstance(paths, str | os.PathLike):
        raise TypeError(f"expected a list of paths, got {os.fspath(paths)!r}; give [path].")
    if root is None:
        names = [os.fsencode(Path(_local(path)).expanduser().absolute()) for path in paths]
    else:
        root = Path(path_text(root)).expanduser().absolute()
        names = list(_inside(root, paths))
    if not names:
        raise FileNotFoundError("no image was given: the list of images is empty.")
    first = str(Path(root or "", os.fsdecode(names[0])))
    name = first if len(names) == 1 else f"{first} and {len(names) - 1} more"
    store = Files(name, str(root or ""), names)
    return ImageSource(store, None if labels is None else given(labels, store), size)


def _local(path: Path_) -> str:
    """Spell a path as text; a URL is none."""
    if is_url(text := path_text(path)):
        raise ValueError(
            f"{without_credentials(text)} is a URL; a list of images is read from the local disk. "
            "Download them, or pass one tar of them and filesystem=."
        )
    return text


def _inside(root: Path, paths: Iterable[Path_]) -> Iterator[bytes]:
    """Yield paths relative to a folder, none of which leads out of it."""
    real = root.resolve()
    for path in map(Path, map(_local, paths)):
        whole = (root / path).resolve()
        if path.is_absolute() or ".." in path.parts or not whole.is_relative_to(real):
            raise ValueError(f"{path} leads out of the folder {root}, to {whole}. Remove it.")
        yield os.fsencode(path)
