"""Converted files in a folder, found again while what they are made of is the same."""

import errno
import glob
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sklearnish.data._files.atomic import remove_leftovers
from sklearnish.data._files.changes import Manifest
from sklearnish.data._system.locks import one_maker
from sklearnish.data._system.warn import warn

_FORMAT = 1  # raise it when files written before must not be read any more


Opened = TypeVar("Opened")


def cache_folder() -> Path:
    """Return the folder of converted files: SKLEARNISH_CACHE, else the user's cache folder."""
    chosen = os.environ.get("SKLEARNISH_CACHE")
    if chosen:
        folder = Path(os.path.abspath(Path(chosen).expanduser()))  # noqa: PTH100 - keeps links
        if folder.is_file():
            raise NotADirectoryError(
                f"The environment variable SKLEARNISH_CACHE is {chosen!r}, a file. Set it to a "
                "folder, which is created if it does not exist, or unset it."
            )
        return folder
    import platformdirs

    return Path(platformdirs.user_cache_dir("sklearnish"))


class Conversion:
    """A converted file in a folder: found again while its origins and options are the same.

    Parameters
    ----------
    folder : Path
        Where the file is kept.
    label : str
        A readable beginning of its name.
    request : list
        What is made of which files, as JSON can hold it.
    manifests : sequence of Manifest
        The files that it is made of, as they are now.
    version : str, default=""
        What else may change, and make it another file of the same name.
    """

    def __init__(
        self,
        folder: Path,
        label: str,
        request: list[Any],
        manifests: Sequence[Manifest],
        version: str = "",
    ) -> None:
        stamps: list[Any] = [file.stamp_of_content(i) for i, file in enumerate(manifests)]
        stores = sorted({file.origin for file in manifests} - {""})  # which may share paths
        label = re.sub(r"[^\w.-]", "_", label)[:40]
        self._folder = folder
        self._stem = f"{label}-{_digest([_FORMAT, request, *stores])}"
        self.path = (
            folder / f"{self._stem}-{_digest([*stamps, version] if version else stamps)}.arrow"
        )

    def open_or_make(
        self, open_: Callable[[Path], Opened], make: Callable[[Path], None], *, again: bool = False
    ) -> Opened:
        """Return what ``open_(path)`` gives, made before by ``make(path)`` if need be.

        What is damaged, a ValueError of ``open_``, is made again, and so is all if it is wanted
        ``again``. Of several processes one makes the file and the others wait.
        """
        with suppress(ValueError):
            if self.path.exists() and not again:
                return open_(self.path)
        with _cache_lock(self._folder / self._stem):
            if self.path.exists() and not again:  # made meanwhile, or damaged
                try:
                    return open_(self.path)
                except ValueError as error:
                    warn(
                        f"A converted copy in the cache is damaged and is made again: {error}",
                        UserWarning,
                    )
            remove_leftovers(self._folder)
            make(self.path)
            self._remove_stale()
        return open_(self.path)

    def _remove_stale(self) -> None:
        """Delete what was made of the same files before they changed."""
        for path in self._folder.glob(f"{glob.escape(self._stem)}-*"):
            if not path.name.startswith(self.path.stem):
                path.unlink(missing_ok=True)


@contextmanager
def _cache_lock(path: Path) -> Iterator[None]:
    """Keep other processes from making the same file of a cache folder, which is made."""
    with ExitStack() as stack:
        with _told_what_to_set(path.parent):
            make_cache_folder(path.parent)
            stack.enter_context(one_maker(path))
        yield


def make_cache_folder(folder: Path) -> None:
    """Make a cache folder; the user's own is private: it has copies of files that may be so."""
    own = "SKLEARNISH_CACHE" not in os.environ
    with _told_what_to_set(folder):
        folder.mkdir(mode=0o700 if own else 0o777, parents=True, exist_ok=True)


@contextmanager
def _told_what_to_set(folder: Path) -> Iterator[None]:
    """Say what to do about a cache folder in which nothing can be made."""
    try:
        yield
    except OSError as error:
        if "SKLEARNISH_CACHE" in str(error):
            raise
        raise OSError(
            error.errno or errno.EACCES,
            f"The cache folder {folder} cannot be written to ({error}). Set the "
            "environment variable SKLEARNISH_CACHE to a folder that can.",
        ) from error


def _digest(thing: Any) -> str:
    """Shorten something that JSON can hold to 16 letters."""
    return hashlib.sha256(json.dumps(thing).encode()).hexdigest()[:16]
