"""Temporary names beside what is being written, and what killed processes left of them.

A writer holds a lock on its temporary file or folder. The system drops the lock when the process
ends, however it ends: a temporary name without a lock is a leftover.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: leftovers stay
    fcntl = None  # type: ignore[assignment]


@contextmanager
def part_beside(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Give an empty file or folder beside a path; it is removed unless the block renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, escape(path.name))
    part, lock = _locked(path, folder)
    try:
        yield part
    finally:
        _remove(part)
        _unlock(lock)


def remove_leftovers(folder: Path, names: str = "*") -> None:
    """Remove what killed processes left when they wrote files whose names match a glob."""
    for part in folder.glob(f".{names}.????????.part"):
        lock = _lock(part, wait=False)
        if lock is not None:
            _remove(part)
            _unlock(lock)


def _locked(path: Path, folder: bool) -> tuple[Path, int | None]:
    """Make a temporary file or folder and lock it."""
    while True:
        make = tempfile.mkdtemp if folder else _new_file
        part = Path(make(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        lock = _lock(part, wait=True)
        if part.exists():
            return part, lock
        _unlock(lock)  # another process took it for a leftover before it was locked


def _new_file(prefix: str, suffix: str, dir: Path) -> str:
    """Make a file as ``mkdtemp`` makes a folder."""
    handle, name = tempfile.mkstemp(suffix, prefix, dir)
    os.close(handle)
    return name


def _lock(path: Path, *, wait: bool) -> int | None:
    """Lock a file or folder; None if it is gone, locked by another, or cannot be locked here."""
    if fcntl is None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(handle)
        return None
    return handle


def _unlock(lock: int | None) -> None:
    """Let go of a lock."""
    if lock is not None:
        os.close(lock)


def _remove(part: Path) -> None:
    """Remove a file or a folder that may be gone already."""
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)
