"""HDF5 files: each read opens the file, reads whole stretches of rows, and closes it.

So no handle is ever shared by two processes, whatever starts them, and a file is locked against
writers only while it is read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._chunks.files import (
    LISTED,
    ArrayFile,
    ArrayFiles,
    Layout,
    UnusableArrayError,
    listed,
)
from sklearnish.data._chunks.source import ChunkedSource
from sklearnish.data._errors import raise_system_error
from sklearnish.data._files.found import found
from sklearnish.data._files.paths import Paths, describe
from sklearnish.data._named import Names

_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5", ".h5ad", ".nc")
_ERRORS = (OSError, KeyError, RuntimeError, ValueError)
_MOST_LINKS = 32


def hdf5_source(paths: Paths, names: Names, target: Any = None) -> ChunkedSource:
    """Read datasets of one or more HDF5 files as rows."""
    return ChunkedSource(Hdf5Files(paths), names, target)


class Hdf5Files(ArrayFiles):
    """HDF5 files, stacked along the rows of their datasets.

    Parameters
    ----------
    paths : str, path or list of them
        Files, globs or folders.
    """

    errors = _ERRORS

    def __init__(self, paths: Paths) -> None:
        require_h5py()
        self._manifests, self._listing = found(paths, _SUFFIXES)
        self.name = describe(paths, self.paths)

    @property
    def paths(self) -> Sequence[str]:  # type: ignore[override]
        """Absolute paths, in the order of the rows."""
        return [manifest.path for manifest in self._manifests]

    @contextmanager
    def open(self, number: int) -> Iterator[ArrayFile]:
        """Open a file for this call alone."""
        manifest = self._manifests[number]
        manifest.check()
        with _open(manifest.path) as file:
            yield Hdf5File(file)

    def nbytes(self, number: int) -> int:
        """Return the size of a file."""
        return self._manifests[number].size

    def check(self, number: int) -> None:
        """Compare a file with its manifest."""
        self._manifests[number].check()

    def check_unchanged(self) -> None:
        """Compare every file with its manifest; look for files that were added."""
        self._listing.check(self._manifests)


class Hdf5File(ArrayFile):
    """The datasets of an open file."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def layout(self, name: str) -> Layout:
        """Describe a dataset that holds numbers or text in this very file."""
        h5py = require_h5py()
        found = _find(self._file, name)
        if not isinstance(found, h5py.Dataset):
            raise UnusableArrayError(_no_dataset(self._file, name, found))
        _check_stored_here(found, name)
        _check_filters(found, name)
        dtype = found.dtype
        if h5py.check_string_dtype(dtype) is not None:
            return Layout(found.shape or (), None, _chunk_rows(found))
        if dtype.kind not in "biufM":
            raise UnusableArrayError(
                f"holds {_kind(dtype)} in {name!r}; numbers or text labels are needed. Write a "
                "plain array of each field as a dataset of its own."
            )
        plain = np.dtype(dtype.str)  # without the names of an enum
        return Layout(found.shape or (), plain, _chunk_rows(found))

    def read_into(self, name: str, start: int, out: npt.NDArray[Any]) -> None:
        """Read neighbouring rows in one call, which also puts bytes into the machine's order."""
        if out.size:
            self._file[name].read_direct(out, np.s_[start : start + len(out)])

    def read_text(self, name: str, start: int, stop: int) -> npt.NDArray[np.str_]:
        """Decode text of any length; what calls itself ASCII may be UTF-8 all the same."""
        return np.asarray(self._file[name].asstr("utf-8")[start:stop], dtype=np.str_)


def require_h5py() -> Any:
    """Import h5py; raise ImportError, with the cure, where it is missing."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError('reading HDF5 needs h5py: pip install "sklearnish[hdf5]"') from error
    return h5py


def _open(path: str) -> Any:
    """Open a file that nobody writes to."""
    try:
        file = require_h5py().File(path, "r")
    except _ERRORS as error:
        if isinstance(error, BlockingIOError) or "for write" in str(error):
            raise BlockingIOError(_in_writing(path)) from error
        raise_system_error(error, path)
        text = f"{path} is truncated or damaged, or not an HDF5 file ({error})."
        raise ValueError(text) from error
    if file.mode != "r":  # this process has it open, with changes that no other would see
        file.close()
        raise BlockingIOError(_in_writing(path))
    return file


def _in_writing(path: str) -> str:
    """Say that a file must be closed by whoever writes it."""
    return (
        f"{path} is open for writing, here or in another process, so its rows may change while "
        "they are read. Close it there first."
    )


def _find(file: Any, name: str) -> Any:
    """Follow a path from link to link; one that leads out of the file is refused, not opened."""
    group, parts = file, _parts(name)
    for _ in range(_MOST_LINKS * (1 + len(parts))):
        if not parts:
            return group
        part, *parts = parts
        link: Any = group.get(part, getlink=True) if hasattr(group, "keys") else None
        kind = type(link).__name__
        if kind == "SoftLink":
            group, parts = (file if link.path[:1] == "/" else group), [*_parts(link.path), *parts]
        elif kind == "ExternalLink":
            raise UnusableArrayError(
                f"has {name!r} only as a link to another file, {link.filename}, which is not "
                "followed. Scan that file."
            )
        else:
            group = group.get(part) if link is not None else None
            if group is None:
                return None
    raise UnusableArrayError(f"has a link in {name!r} that leads in a circle.")


def _parts(name: str) -> list[str]:
    """Split a path."""
    return [part for part in name.split("/") if part not in ("", ".")]


def _no_dataset(file: Any, name: str, found: Any) -> str:
    """Say which datasets there are."""
    names: list[str] = []

    def visit(path: str, thing: Any) -> int | None:
        if hasattr(thing, "shape"):
            names.append(path)
        return len(names) if len(names) > LISTED else None

    file.visititems(visit)
    what = "has no dataset" if found is None else "has a group, not a dataset,"
    return f"{what} {name!r}. Its datasets are {listed(names)}."


def _check_stored_here(dataset: Any, name: str) -> None:
    """Refuse rows that lie in other files: no change of theirs would be noticed."""
    if dataset.is_virtual or dataset.external:
        kind = "a virtual dataset" if dataset.is_virtual else "external storage"
        raise UnusableArrayError(
            f"keeps the rows of {name!r} in other files ({kind}), which are not read. Scan those "
            "files: several are stacked along their rows."
        )


def _check_filters(dataset: Any, name: str) -> None:
    """Refuse compression that this installation cannot undo, before it looks like damage."""
    h5z, created = require_h5py().h5z, dataset.id.get_create_plist()
    for i in range(created.get_nfilters()):
        code, _, _, label = created.get_filter(i)
        if not h5z.filter_avail(code):
            raise UnusableArrayError(
                f"compresses {name!r} with a filter that HDF5 does not have here: "
                f"{label.decode(errors='replace') or 'number'} ({code}). Install its plugin (pip "
                "install hdf5plugin) and set the environment variable HDF5_PLUGIN_PATH to the "
                "folder hdf5plugin.PLUGIN_PATH before Python starts."
            )


def _chunk_rows(dataset: Any) -> int | None:
    """Count the rows that are stored together; None where each lies beside the next."""
    return int(dataset.chunks[0]) if dataset.chunks else None


def _kind(dtype: np.dtype[Any]) -> str:
    """Name a type that is no number."""
    if dtype.names is not None:
        return f"records ({', '.join(map(repr, dtype.names))})"
    return "objects, such as references or lists of any length" if dtype.kind == "O" else str(dtype)
