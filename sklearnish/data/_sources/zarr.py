"""Zarr arrays and groups, of formats 2 and 3, in folders and in .zip files.

An open store is never shared between processes: zarr's thread for reading is started anew in each.
"""

import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._chunks.files import (
    ArrayFile,
    ArrayFiles,
    Layout,
    UnusableArrayError,
    listed,
)
from sklearnish.data._chunks.source import ChunkedSource
from sklearnish.data._errors import DatasetChangedError, explained
from sklearnish.data._files.changes import Manifest, folder_time
from sklearnish.data._files.handles import HandlePool
from sklearnish.data._files.paths import Paths, absolute, as_list, describe, path_text
from sklearnish.data._named import Names, by_key

_NOTES = ("zarr.json", ".zarray", ".zgroup", ".zmetadata")
"""Files that say what an array is."""

_MOST_FOLDERS = 10_000
_TEXT = "TUS"
"""Kinds of NumPy types that hold text."""


def zarr_source(paths: Paths, names: Names, target: Any = None) -> ChunkedSource:
    """Read arrays of one or more Zarr stores as rows."""
    used = [*by_key(names).values(), *([target] if isinstance(target, str) else [])]
    return ChunkedSource(ZarrStores(paths, used), names, target)


class ZarrStores(ArrayFiles):
    """Zarr stores, stacked along the rows of their arrays.

    Parameters
    ----------
    paths : str, path or list of them
        Folders and .zip files that hold a group or an array, or globs of them.
    names : sequence of str
        The arrays that are read; "" is the one at the path itself.
    """

    errors = (Exception,)  # on damaged chunks codecs raise whatever they ran into

    def __init__(self, paths: Paths, names: Sequence[str]) -> None:
        require_zarr()
        given = as_list(paths)
        stores = [store for item in given for store in _expand(item)]
        self.paths = [str(store) for store in stores]
        self.name = describe(paths, self.paths)
        self._watched = [_Watched(store, names) for store in stores]
        self._handles: HandlePool[str, Any] = HandlePool(_open, limit=16)

    @contextmanager
    def open(self, number: int) -> Iterator[ArrayFile]:
        """Take an open store, or open one."""
        self.check(number)
        with self._handles.borrow(self.paths[number]) as root:
            yield ZarrFile(root)

    def nbytes(self, number: int) -> int | None:
        """Return the size of a .zip file."""
        path = Path(self.paths[number])
        return None if path.is_dir() else path.stat().st_size

    def check(self, number: int) -> None:
        """Compare what says how the arrays are stored, and when chunks were last replaced."""
        self._watched[number].check()

    def check_unchanged(self) -> None:
        """Compare the folders of chunks, too: up to 10,000 of each store."""
        for watched in self._watched:
            watched.check_all()


class ZarrFile(ArrayFile):
    """The arrays of an open store."""

    def __init__(self, root: Any) -> None:
        self._root = root

    def _array(self, name: str) -> Any:
        """Find an array; None if there is none, or a group."""
        found = self._root
        if name:
            found = found.get(name) if hasattr(found, "members") else None
        return found if hasattr(found, "chunks") else None

    def layout(self, name: str) -> Layout:
        """Describe an array of numbers or text."""
        array = self._array(name)
        if array is None:
            raise UnusableArrayError(_no_array(self._root, name))
        _check_codecs(array.metadata.to_dict(), name)
        dtype, shape = np.dtype(array.dtype), tuple(array.shape)
        rows = int(array.chunks[0]) if shape else None
        if dtype.kind in _TEXT:
            return Layout(shape, None, rows)
        if dtype.kind not in "biufM":
            raise UnusableArrayError(
                f"holds {dtype} in {name!r}; numbers or text labels are needed."
            )
        return Layout(shape, dtype, rows)

    def read_into(self, name: str, start: int, out: npt.NDArray[Any]) -> None:
        """Read neighbouring rows, with every chunk decoded once."""
        out[...] = self._array(name)[start : start + len(out)]

    def read_text(self, name: str, start: int, stop: int) -> npt.NDArray[np.str_]:
        """Read text of any of its types; bytes are UTF-8."""
        values = np.asarray(self._array(name)[start:stop])
        if values.dtype.kind == "S":
            return np.char.decode(values, "utf-8")
        return values.astype(object).astype(np.str_)


class _Watched:
    """What can be looked at cheaply of a store: its notes, and the times of its folders.

    A chunk that is written, or replaced by another one, changes the time of the folder it is in.
    A hash of the times tells this version of the store from others, in any process.
    """

    def __init__(self, store: Path, names: Sequence[str]) -> None:
        self._version = ""
        if not store.is_dir():
            self._manifests, self._times = [Manifest.of(store)], dict[str, int]()
            return
        arrays = [store / name.strip("/") for name in names]
        notes = [folder / note for folder in {store, *arrays} for note in _NOTES]
        tops = [folder for array in arrays for folder in (array, array / "c") if folder.is_dir()]
        self._manifests = [Manifest.of(path) for path in [*filter(Path.exists, notes), *tops]]
        self._times = dict(_times(arrays))
        self._version = hashlib.sha256(repr(self._times).encode()).hexdigest()[:16]

    def check(self) -> None:
        """Raise DatasetChangedError if the notes, or the uppermost folders, changed."""
        for manifest in self._manifests:
            manifest.check()

    def check_all(self) -> None:
        """Raise DatasetChangedError if any folder changed."""
        self.check()
        for folder, time in self._times.items():
            if folder_time(folder) != time:
                raise DatasetChangedError(
                    f"chunks in {folder} were written or removed since it was scanned. Scan "
                    "again, and do not write to an array that is being read."
                )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the times at home: who watches is the process that scanned."""
        return {**self.__dict__, "_times": {}}


def _times(arrays: Sequence[Path]) -> Iterator[tuple[str, int]]:
    """Yield folders of chunks, and when something in them was last written."""
    count = 0
    for array in arrays:
        for folder, inner, _ in os.walk(array):
            inner.sort()  # for the hash
            count += 1
            if count > _MOST_FOLDERS:
                return
            yield folder, folder_time(folder)


def require_zarr() -> Any:
    """Import zarr; raise ImportError, with the cure, where it is missing."""
    try:
        import zarr
    except ImportError as error:
        raise ImportError('reading Zarr needs zarr: pip install "sklearnish[zarr]"') from error
    return zarr


def _expand(item: object) -> list[Path]:
    """List the stores of one path or glob."""
    text = path_text(item)
    path = absolute(text)
    if path.exists():
        return [path]
    found = sorted(map(Path, glob.glob(str(path)))) if glob.has_magic(text) else []  # noqa: PTH207
    if not found:
        raise FileNotFoundError(
            f"{text} does not exist (looked for {path}). Check the spelling and the current folder."
        )
    return found


def _open(path: str) -> Any:
    """Open a store to read from it."""
    zarr = require_zarr()

    def tell(error: Exception) -> ValueError:
        return ValueError(
            f"{path} is damaged, or holds no Zarr group or array ({error}). Give a folder with "
            "zarr.json, .zgroup or .zarray in it, or a .zip of one."
        )

    with explained(path, (Exception,), tell):
        store = path if Path(path).is_dir() else zarr.storage.ZipStore(path, mode="r")
        return zarr.open(store, mode="r")


def _no_array(root: Any, name: str) -> str:
    """Say which arrays there are."""
    if not hasattr(root, "members"):
        return f"is an array itself, so it has no {name!r}. Leave X out, or give its folder's path."
    found = root.members(max_depth=None)
    names = [path for path, thing in found if hasattr(thing, "chunks")]
    return f"has no array {name!r}. Its arrays are {listed(sorted(names))}."


def _check_codecs(described: Any, name: str) -> None:
    """Refuse what is unpickled as it is read, which could run any code."""
    if isinstance(described, dict):
        ids = [described.get(key) for key in ("id", "name")]
        if any(isinstance(text, str) and text.split(".")[-1] == "pickle" for text in ids):
            raise UnusableArrayError(
                f"has pickled values in {name!r}, which could run any code when they are read. "
                "Write the array again as numbers or text."
            )
        described = list(described.values())
    if isinstance(described, list | tuple):
        for part in described:
            _check_codecs(part, name)
    elif hasattr(described, "get_config"):
        _check_codecs(described.get_config(), name)
