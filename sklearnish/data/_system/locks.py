"""Locks on files and folders, which the system drops when a process ends, however it ends.

Where files cannot be locked (Windows, some network file systems) nobody waits: what is made is
whole all the same, but may be made twice.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sklearnish.data._system.warn import warn

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

PATIENCE = 10.0
"""Seconds after which waiting for another process is worth a warning."""

_LOOK = 0.05
"""Seconds between two looks at whether it is done."""

_held: set[int] = set()


@contextmanager
def one_maker(path: Path, waiting: str = "") -> Iterator[None]:
    """Let one process, or thread, at a time make a file or folder; others wait until it is done.

    Those that wait for long say so in a warning, if there are words for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    note = path.with_name(f".{path.name}.lock")
    while True:
        with suppress(FileExistsError):
            create(note)
        lock = _wait(note, waiting)
        if lock is None or _is_still(note, lock):
            break
        unlock(lock)  # of a file that the one before has removed
    try:
        yield
    finally:
        with suppress(OSError):  # another user's, in a folder where only they may remove it
            note.unlink()
        unlock(lock)


def create(path: Path, mode: int = 0o666) -> None:
    """Make an empty file; of the permissions, those that new files have here."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))


def lock(path: Path, *, wait: bool) -> int | None:
    """Lock a file or folder; None if it is gone, or cannot be locked here.

    Raises
    ------
    BlockingIOError
        If another has it, and it is not to be waited for.
    """
    if fcntl is None:
        return None
    handle = _opened(path)
    if handle is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException as error:
        os.close(handle)
        if isinstance(error, OSError) and not isinstance(error, BlockingIOError):
            return None
        raise
    _held.add(handle)
    return handle


def unlock(handle: int | None) -> None:
    """Let go of a lock, unless this process was forked from the one that has it."""
    if handle in _held:
        _held.remove(handle)
        os.close(handle)


def _forget() -> None:
    """Leave the locks to the parent: one that is killed must not live on in its workers."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _opened(path: Path) -> int | None:
    """Open what is to be locked: some network disks lock only what is opened for writing."""
    for mode in (os.O_RDWR, os.O_RDONLY):  # folders, and files of others
        with suppress(OSError):
            return os.open(path, mode)
    return None


def _wait(note: Path, waiting: str) -> int | None:
    """Lock a file; while another has it, wait."""
    end = time.monotonic() + PATIENCE
    while waiting and time.monotonic() < end:
        try:
            return lock(note, wait=False)
        except BlockingIOError:
            time.sleep(_LOOK)
    if waiting:
        warn(waiting, UserWarning)
    return lock(note, wait=True)


def _is_still(note: Path, handle: int) -> bool:
    """Tell whether a file that was opened is the one of that name."""
    try:
        return os.path.samestat(note.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
