"""Files: which ones are meant, whether they changed, how to write them whole."""

import errno
import glob
import os
import re
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from sklearnish.data._parts import part_beside

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A path, a glob, a directory, or several of them."""

_DISK_ERRORS = {None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

Key = TypeVar("Key")
Handle = TypeVar("Handle")


class DatasetChangedError(RuntimeError):
    """A file is not the one that was scanned.

    Examples
    --------
    >>> from sklearnish.data._files import DatasetChangedError
    >>> raise DatasetChangedError("train.parquet changed since it was scanned")
    Traceback (most recent call last):
    ...
    sklearnish.data._files.DatasetChangedError: train.parquet changed since it was scanned
    """


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file looked like when it was scanned."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> "Manifest":
        """Look at a file now."""
        path = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links
        stat = os.stat(path)  # noqa: PTH116 - a few microseconds, asked for every block
        return cls(path, stat.st_size, stat.st_mtime_ns)

    def check(self) -> None:
        """Raise DatasetChangedError if the file is no longer the same."""
        try:
            now = Manifest.of(self.path)
        except OSError as error:
            raise DatasetChangedError(
                f"{self.path} was there when it was scanned and cannot be found now ({error}). "
                "Put it back, or scan again."
            ) from error
        if now != self:
            raise DatasetChangedError(
                f"{self.path} changed since it was scanned (size {self.size} -> {now.size} bytes, "
                f"time {self.mtime_ns} -> {now.mtime_ns} ns). Scan again, and do not write to a "
                "file that is being read."
            )


@dataclass(frozen=True, slots=True)
class Listing:
    """The folders and globs that files were found in, so that one added later is noticed."""

    places: tuple[str, ...]
    suffixes: tuple[str, ...]

    @classmethod
    def of(cls, paths: Paths, suffixes: Sequence[str] = ()) -> "tuple[list[Path], Listing]":
        """List files as ``expand_paths`` does, and remember where they were looked for."""
        given = [paths] if isinstance(paths, str | os.PathLike) else _as_list(paths)
        files = expand_paths(given, suffixes)  # type: ignore[arg-type]
        known = set(files)
        places = [p for p in map(_absolute, given) if p not in known]
        return files, cls(tuple(map(str, places)), tuple(suffixes))

    def check(self, manifests: Iterable[Manifest]) -> None:
        """Raise DatasetChangedError if there is a file that was not there."""
        if not self.places:
            return
        known = {manifest.path for manifest in manifests}
        for place in self.places:
            for file in _expand(place, self.suffixes):
                if str(file) not in known:
                    raise DatasetChangedError(
                        f"{file} was added since {place} was scanned. Scan again to read it, or "
                        "take it out."
                    )


def expand_paths(paths: Paths, suffixes: Sequence[str] = ()) -> list[Path]:
    """List the files that a path, glob, directory or list of them stands for.

    Matches of a glob and files of a directory (searched recursively; names that start with
    "." or "_" are skipped) come in sorted order, those of a list in the order of the list.

    Parameters
    ----------
    paths : str, path or iterable of them
        What the user gave.
    suffixes : sequence of str, default=()
        Endings that count in a directory, such as (".parquet",); any if empty.

    Returns
    -------
    list of Path
        Absolute paths of existing files that are not empty.

    Raises
    ------
    FileNotFoundError
        A file is missing, a glob or a directory has no match, a path is empty.
    ValueError
        A file is empty, is given twice, or a path is a URL.
    TypeError
        Something is neither a str nor a path.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else _as_list(paths)
    if not given:
        raise FileNotFoundError("no file was given: the list of paths is empty.")
    files = [file for item in given for file in _expand(item, tuple(suffixes))]
    seen: set[Path] = set()
    for file in files:
        if file in seen:
            raise ValueError(f"{file} is given twice: its rows would be read twice. Remove one.")
        seen.add(file)
        if file.stat().st_size == 0:
            raise ValueError(f"{file} is empty (0 bytes). Remove it, or write it again.")
    return files


def path_text(path: object) -> str:
    """Spell a path as text; an empty one, for pathlib the current folder, was never meant."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"expected a path (str or pathlib.Path), got {type(path).__name__}.")
    text: str = os.fspath(path)
    if not text:
        raise FileNotFoundError(
            "an empty path was given. Give a file or folder ('.' is the current folder); if the "
            "path comes from an environment variable or a setting, set it."
        )
    return text


def _absolute(item: object) -> Path:
    """Spell a path in full, whatever the current folder will be."""
    return Path(os.path.abspath(Path(str(item)).expanduser()))  # noqa: PTH100 - keeps links


def _as_list(paths: object) -> list[object]:
    """List an iterable of paths."""
    if not isinstance(paths, Iterable):
        raise TypeError(f"expected a path or a list of paths, got {type(paths).__name__}.")
    return list(paths)


def _expand(item: object, suffixes: tuple[str, ...]) -> list[Path]:
    """List the files of one path, glob or directory."""
    text = path_text(item)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        raise ValueError(f"{text} is a URL; only local files can be read. Download it first.")
    path = _absolute(text)
    if path.is_dir():
        return _in_folder(path, suffixes)
    if path.exists():
        return [path]
    if not glob.has_magic(text):
        raise FileNotFoundError(
            f"{text} does not exist (looked for {path}). Check the spelling and the current folder."
        )
    found = sorted(Path(n) for n in glob.glob(str(path), recursive=True))  # noqa: PTH207
    files = [name for name in found if name.is_file()]
    if not files:
        raise FileNotFoundError(f"no file matches {text} (searched in {Path.cwd()}).")
    return files


def _in_folder(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List the data files under a folder."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
        and (not suffixes or path.name.lower().endswith(suffixes))
    ]
    if not files:
        wanted = " or ".join(suffixes) or "data"
        raise FileNotFoundError(f"the folder {folder} holds no {wanted} file.")
    return files


def describe(paths: Paths) -> str:
    """Name what the user gave, for reprs and errors."""
    if isinstance(paths, str | os.PathLike):
        return os.fspath(paths)
    names = [os.fspath(path) for path in paths]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder, which becomes ``path`` if the block succeeds."""
    path = Path(path)
    with _named_in_errors(path), part_beside(path) as part:
        yield part
        _sync(part)
        part.chmod(0o666 & ~_umask())
        part.replace(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder, which becomes ``path``, new or empty, if the block succeeds."""
    with _named_in_errors(path), part_beside(path, folder=True) as part:
        yield part
        for file in part.iterdir():
            _sync(file)
        part.rename(path)


@contextmanager
def _named_in_errors(path: Path) -> Iterator[None]:
    """Name the file when a disk is full or fails: the errors of Arrow and NumPy do not."""
    try:
        yield
    except OSError as error:
        if type(error) is not OSError or error.errno not in _DISK_ERRORS:
            raise
        number = error.errno or errno.ENOSPC  # NumPy does not give it
        raise OSError(number, f"{path} could not be written: {error}") from error


def _sync(path: Path) -> None:
    """Bring a file to the disk, else a power cut leaves a whole name on half a file."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def reserve(path: Path) -> None:
    """Take the room of a sparse file: on a full disk, writing to its map would kill the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _umask() -> int:
    """Read the permissions that new files are denied (mkstemp makes private files)."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def cache_folder() -> Path:
    """Return the folder of converted files: SKLEARNISH_CACHE, else the user's cache folder."""
    chosen = os.environ.get("SKLEARNISH_CACHE")
    if chosen:
        folder = Path(os.path.abspath(Path(chosen).expanduser()))  # noqa: PTH100 - keeps links
        if folder.is_file():
            raise NotADirectoryError(
                f"The environment variable SKLEARNISH_CACHE is {chosen!r}, a file; set it to a "
                "folder, which is made if it is not there, or unset it."
            )
        return folder
    import platformdirs

    return Path(platformdirs.user_cache_dir("sklearnish"))


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Keep other processes from making the same file."""
    import filelock

    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{path}.lock"):
        yield


def check_free_space(folder: Path, n_bytes: int) -> None:
    """Raise OSError if a file of this size would not fit."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise OSError(
            f"about {n_bytes / 1e6:,.0f} MB are needed in {folder} and {free / 1e6:,.0f} MB are "
            "free. Free some space, or choose a larger disk; SKLEARNISH_CACHE is the folder of "
            "converted files."
        )


class HandlePool(Generic[Key, Handle]):
    """Open files: a few are kept, none is shared between processes or used by two threads."""

    def __init__(self, opener: Callable[[Key], Handle], limit: int = 64) -> None:
        self._opener = opener
        self._limit = limit
        self._renew()

    def _renew(self) -> None:
        """Start empty; a lock held while the process forked would never be released."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: OrderedDict[Key, Handle] = OrderedDict()

    def __len__(self) -> int:
        """Count the handles that are open and idle."""
        return len(self._idle)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without handles."""
        return HandlePool, (self._opener, self._limit)

    @contextmanager
    def borrow(self, key: Key) -> Iterator[Handle]:
        """Open a file or take an open one; it goes back if nothing failed."""
        if self._pid != os.getpid():
            self._renew()
        with self._lock:
            handle = self._idle.pop(key, None)
        if handle is None:
            handle = self._opener(key)
        yield handle
        with self._lock:
            self._idle[key] = handle
            while len(self._idle) > self._limit:
                self._idle.popitem(last=False)
