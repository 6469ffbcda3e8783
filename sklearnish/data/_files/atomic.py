"""Files and folders that appear whole, or not at all, where there is room for them.

A writer holds a lock on its temporary file or folder, which lies beside what is written: one
without a lock is what a process that was killed has left.
"""

import errno
import os
import secrets
import shutil
import stat
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import IO, ClassVar

from sklearnish.data._system.locks import create, lock, unlock
from sklearnish.data._system.machine import told

_DISK_ERRORS = {None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder, which becomes ``path`` if the block succeeds.

    As when a file is written in place, links are followed, and permissions stay.
    """
    named = Path(path)
    path = Path(os.path.realpath(named))
    with _named_in_errors(named), part_beside(path) as part:
        mode = _mode_of(named)  # by its name: the system may refuse links of others
        if mode is not None:
            part.chmod(mode | 0o600)  # before anything is in it
        yield part
        _sync(part)
        if mode is not None:
            part.chmod(mode)
        part.replace(path)


@contextmanager
def atomic_copy(
    path: str | os.PathLike[str], copy_of: Iterable[str | os.PathLike[str]]
) -> Iterator[Path]:
    """Give a temporary path, which becomes ``path``, for a file of a cache folder.

    Others may use the folder, too: who may not read one of the files that this one is made of may
    not read it, and a link of its name is replaced, as it would lead to whatever file the one who
    put it there chose.
    """
    path = Path(path).absolute()
    with _named_in_errors(path), part_beside(path, mode=0o600) as part:
        part.chmod(shared_permissions(copy_of))
        yield part
        _sync(part)
        part.replace(path)


def _mode_of(path: Path) -> int | None:
    """Return the permissions of a file; None if there is none."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, f"{path} is a device or a pipe. Pass the name of a file")
    return stat.S_IMODE(mode) & 0o777


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


@contextmanager
def part_beside(path: Path, *, folder: bool = False, mode: int = 0o666) -> Iterator[Path]:
    """Give an empty file or folder beside a path; it is removed unless the block renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, escape(path.name))
    part, held = _locked(path, folder, mode)
    try:
        yield part
    finally:
        _remove(part)
        unlock(held)


def remove_leftovers(folder: Path, names: str = "*") -> None:
    """Remove what killed processes left when they wrote files whose names match a glob."""
    for part in folder.glob(f".{names}.????????.part"):
        with suppress(BlockingIOError):  # it is being written
            held = lock(part, wait=False)
            if held is not None:
                _remove(part)
                unlock(held)


def _locked(path: Path, folder: bool, mode: int) -> tuple[Path, int | None]:
    """Make a temporary file or folder and lock it."""
    while True:
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            part.mkdir() if folder else create(part, mode)
        except FileExistsError:
            continue
        held = lock(part, wait=True)
        if part.exists():
            return part, held
        unlock(held)  # another process took it for a leftover before it was locked


def _remove(part: Path) -> None:
    """Remove a file or a folder that may be gone already."""
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


class OwnedFile:
    """A temporary file that lives as long as this object, and no longer than its process.

    It is the user's alone.

    Parameters
    ----------
    path : Path
        It lies in the folder of this path, under a longer name.
    write : callable
        Is given where it is, and writes what it holds.
    """

    _all: ClassVar["weakref.WeakValueDictionary[str, OwnedFile]"] = weakref.WeakValueDictionary()

    def __init__(self, path: Path, write: Callable[[Path], None]) -> None:
        remove_leftovers(path.parent)
        self.path, held = _locked(path, folder=False, mode=0o600)
        self._remove = weakref.finalize(self, _let_go, self.path, held, os.getpid())
        try:
            with _named_in_errors(self.path):
                write(self.path)
        except BaseException:
            self._remove()
            raise
        self._all[str(self.path)] = self

    @classmethod
    def at(cls, path: str) -> "OwnedFile | None":
        """Return the owner of a file, if that is an object of this process."""
        return cls._all.get(path)


def _let_go(part: Path, held: int | None, owner: int) -> None:
    """Remove a file, unless this process was forked from the one that has it."""
    if os.getpid() == owner:
        _remove(part)
        unlock(held)


def reserve(file: IO[bytes]) -> None:
    """Take the room of a sparse file: on a full disk, writing to its map would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def check_free_space(folder: Path, n_bytes: int) -> None:
    """Raise OSError if a file of this size would not fit."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise OSError(
            f"{folder} has {free / 1e6:,.0f} MB of free space, but about {n_bytes / 1e6:,.0f} MB "
            "are needed. Free some space, or choose a larger disk; SKLEARNISH_CACHE sets the "
            "folder of converted files."
        )


def shared_permissions(files: Iterable[str | os.PathLike[str]]) -> int:
    """Return the permissions that all files give, as far as new files have them; the owner's all.

    A file that the system does not let us look at gives none.
    """
    # A system that does not tell gets the safe one; to set it would concern other threads, too.
    mode = 0o666 & ~int(told("self/status").get("Umask", "077"), 8)
    for file in files:
        try:
            mode &= os.stat(file).st_mode  # noqa: PTH116
        except OSError:
            mode = 0
    return mode | 0o600
