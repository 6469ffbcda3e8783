"""Objects of a store, copied once into the cache folder: what is read at any place, row by row."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from sklearnish.data._files.atomic import atomic_copy, check_free_space
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.conversion import Conversion, cache_folder
from sklearnish.data._files.remote import RemoteManifest
from sklearnish.data._system.bar import with_own_lock

_PIECE = 2**22
"""Bytes that are written at a time."""


def local_copy(manifest: Manifest) -> Manifest:
    """Return a file of the disk as it is, and of an object of a store its copy.

    The copy is found again while the store tells the same of the object. It is the user's alone.

    Raises
    ------
    OSError
        There is too little room on the disk, or the store cannot be read.
    DatasetChangedError
        The object changed while it was copied.
    """
    if not isinstance(manifest, RemoteManifest):
        return manifest

    def opened(path: Path) -> Manifest:
        copy = Manifest.of(path)
        if copy.size != manifest.size:
            raise ValueError(f"{path} has {copy.size} bytes, of {manifest.size}.")
        return copy

    name = PurePosixPath(manifest.path).stem
    plan = Conversion(cache_folder(), name, ["copy", manifest.path], [manifest])
    return plan.open_or_make(opened, lambda path: _copy(manifest, path))


def _copy(manifest: RemoteManifest, path: Path) -> None:
    """Write the bytes of an object to a file, which appears whole or not at all."""
    from tqdm import tqdm

    check_free_space(path.parent, manifest.size)
    bar = with_own_lock(tqdm).wrapattr
    about = f"copying {manifest.path}"
    with atomic_copy(path, [""]) as part, manifest.stream() as stream:
        with (
            part.open("rb+") as file,
            bar(file, "write", manifest.size, desc=about, delay=2, disable=None) as shown,
        ):
            shutil.copyfileobj(stream, shown, _PIECE)
        manifest.check()


@contextmanager
def errors_of(manifest: Manifest, copy: Manifest) -> Iterator[None]:
    """Let what is wrong with a copy be said of the object that it was made of."""
    try:
        yield
    except ValueError as error:
        if copy.path == manifest.path or copy.path not in str(error):
            raise
        raise ValueError(str(error).replace(copy.path, manifest.path)) from error
