"""Places on devices: the fits of all processes of a user are spread over them, or wait.

Each fit locks a file of its own. Whoever counts the locked files of a device counts its fits, and
one that is killed leaves none. Which devices there are, the caller says.
"""

import os
import secrets
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearnish.data._system.interrupts import uninterrupted
from sklearnish.data._system.locks import create, lock, unlock
from sklearnish.data._system.warn import warn

PATIENCE = 60.0
"""Seconds after which waiting for a place is worth a warning."""

_LOOK = 0.05
"""Seconds between two looks at the devices."""

_STEPS = 8
"""Batches after which a fit has all the memory that it will need."""

_of_thread = threading.local()
"""The place that a thread has."""

_last = ""
"""Name of the device on which this process was last: its memory is there already."""


@dataclass(frozen=True)
class Site:
    """A device that fits share.

    Parameters
    ----------
    device : object
        What a fit that gets a place here is told.
    name : str
        Part of a file name; the same in all processes, and another one for another device.
    memory : callable
        Returns the bytes that are free, and how many there are in all.
    """

    device: Any
    name: str
    memory: Callable[[], tuple[int, int]]


class Place:
    """What a fit has on a device until it leaves.

    Parameters
    ----------
    device : object
        The device.

    Attributes
    ----------
    device : object
        The device; None before a place is found.
    """

    def __init__(self, device: Any = None) -> None:
        self.device = device
        self._process = os.getpid()
        self._site = ""
        self._door: int | None = None
        self._file: tuple[Path, int | None] | None = None

    def take(self, door: "_Door", folder: Path) -> None:
        """Take a place; the door stays shut until `settle`."""
        global _last
        self._door, self._site, self.device = door.handle, door.site.name, door.site.device
        path = folder / f"{self._site}.{self._process}.{secrets.token_hex(8)}"
        create(path, 0o600)
        self._file = path, None
        self._file = path, lock(path, wait=False)
        _last = self._site

    def settle(self) -> None:
        """Let others in: what this fit takes of the memory can be seen from now on."""
        door, self._door = self._door, None
        unlock(door)

    def watched(self, batches: Iterable[Any]) -> Iterable[Any]:
        """Return batches that settle the fit that trains on them, after a few steps."""
        return batches if self._door is None else _Settling(batches, self)

    def leave(self) -> None:
        """Give the place back, unless this process was forked from the one that has it."""
        with uninterrupted():
            self.settle()
            file, self._file = self._file, None
            if file is not None and self._process == os.getpid():
                path, handle = file
                path.unlink(missing_ok=True)
                unlock(handle)


class _Settling:
    """Batches of each epoch, after some of which a fit is settled."""

    def __init__(self, batches: Iterable[Any], place: Place) -> None:
        self._batches, self._place = batches, place

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches of an epoch."""
        for number, batch in enumerate(self._batches):
            yield batch
            if number == _STEPS:
                self._place.settle()
        self._place.settle()


@contextmanager
def placed(sites: Sequence[Site], folder: Path | None) -> Iterator[Place]:
    """Give a place on the first device that is free, else on one with room; wait if there is none.

    A fit within a fit of the same thread is where that one is: it could wait forever.

    Parameters
    ----------
    sites : sequence of Site
        At least one; the first is preferred, but for that on which the process was last.
    folder : Path or None
        Where the locks are; None, or one that cannot be written to, gives the first device.

    Yields
    ------
    Place
        Tells the device.
    """
    outer: Place | None = getattr(_of_thread, "place", None)
    if outer is not None:
        yield Place(next((s.device for s in sites if s.name == outer._site), sites[0].device))
        return
    place = Place()
    try:
        if folder is not None:
            with suppress(OSError):  # a full disk shall keep nobody from training
                _wait(place, sorted(sites, key=lambda site: site.name != _last), folder)
        if place.device is None:
            place.device = sites[0].device
        _of_thread.place = place
        yield place
    finally:
        try:
            _of_thread.place = None
            place.leave()
        finally:
            place.leave()  # Ctrl-C may have come before


def private_folder() -> Path | None:
    """Return a folder for locks that no other user can write to; None where there is none."""
    if not hasattr(os, "getuid"):
        return None
    folder = Path(tempfile.gettempdir(), f"sklearnish-{os.getuid()}")
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            return folder
    return None


def _wait(place: Place, sites: Sequence[Site], folder: Path) -> None:
    """Look at the devices until there is a place."""
    end: float | None = time.monotonic() + PATIENCE
    while True:
        with uninterrupted():  # between a lock and its note, Ctrl-C would lose it
            _look(place, sites, folder)
        if place.device is not None:
            return
        if end is not None and time.monotonic() > end:
            end = None
            others = sorted({_process_of(file) for site in sites for file in _files(site, folder)})
            warn(
                'This fit waits: other fits with device="auto" are on every GPU (in processes '
                f"{', '.join(others)}), and none has memory for one more, or the last has not yet "
                "trained on its first batches. A device that is named, such as device='cuda:0', is "
                "not waited for.",
                UserWarning,
            )
        time.sleep(_LOOK)


def _look(place: Place, sites: Sequence[Site], folder: Path) -> None:
    """Take a place on a device with the fewest fits that has room, if there is one."""
    doors: list[_Door] = []
    try:
        for site in sites:
            if (door := _entered(site, folder)) is not None:
                doors.append(door)
                if not door.fits:
                    break  # memory is not asked for: that would start CUDA on each device
        for door in sorted(doors, key=lambda door: len(door.fits)):
            if door.has_room():
                place.take(door, folder)
                return
    finally:
        for door in doors:
            if door.handle != place._door:
                unlock(door.handle)


@dataclass
class _Door:
    """The way to a device, where one fit at a time may be: others wait until it is settled."""

    site: Site
    handle: int | None
    fits: list[str]  # process numbers

    def has_room(self) -> bool:
        """Say whether as much memory is free as each of those that are there has on average."""
        if not self.fits or str(os.getppid()) in self.fits:  # the parent may wait for this one
            return True
        free, total = self.site.memory()
        return free * len(self.fits) >= total - free


def _entered(site: Site, folder: Path) -> _Door | None:
    """Enter, and see who is there; None while another is at the door."""
    path = folder / f"{site.name}.door"
    with suppress(FileExistsError):
        create(path, 0o600)
    try:
        handle = lock(path, wait=False)
    except BlockingIOError:
        return None
    alive = filter(_is_alive, _files(site, folder))
    return _Door(site, handle, [_process_of(file) for file in alive])


def _files(site: Site, folder: Path) -> list[Path]:
    """List the files of places on a device."""
    return list(folder.glob(f"{site.name}.*.*"))


def _process_of(file: Path) -> str:
    """Return the number of the process that has a place."""
    return file.name.split(".")[-2]


def _is_alive(file: Path) -> bool:
    """Say whether the process of a place still has it; remove what a dead one has left."""
    try:
        handle = lock(file, wait=False)
    except BlockingIOError:
        return True
    file.unlink(missing_ok=True)
    unlock(handle)
    return False
