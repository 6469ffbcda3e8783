"""How to read: inline, in a thread or in worker processes; first by rule, then by measure.

A plan says where fetches are read, never which there are, so that changing it in the middle
of an epoch does not change the stream of batches.
"""

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch

from sklearnish.data._processes import n_cores, start_method

NumWorkers = int | Literal["auto"]
Mode = Literal["inline", "thread", "processes"]

_IN_USE = 2
"""Fetches besides those read ahead: the one being cut, and copies while another is read."""

_MOST_AHEAD = 4
"""Small fetches that a reader keeps ready, so that one that takes longer is not waited for."""

_TRANSPORT = 1e-9
"""Seconds that a byte from a worker costs: it is written to and read from shared memory."""

_WARM_UP, _LOOK = 2, 3
"""Fetches before the first plan is measured (files are opened, kernels loaded), and for how many
of each reader any plan is."""

_LONG = 0.25
"""Seconds of fetches that tell as much as those many: large ones, or slow ones."""

_MOST_AT_ONCE = 4
"""Processes that are started before anything is measured, at most."""

_WORTH = 0.87
"""A plan is tried if it promises this share of the time, or less."""

_BETTER = 0.95
"""A plan that was measured before is gone back to at this share of the time, or less."""

_START = {"fork": 0.5, "forkserver": 4.0, "spawn": 4.0}
"""Seconds lost by starting workers: a new interpreter imports torch."""


def start_seconds() -> float:
    """Return the seconds lost by starting workers here."""
    return _START.get(start_method(), max(_START.values()))


@dataclass(frozen=True)
class LoadPlan:
    """How fetches are read; it never changes which fetches there are.

    Attributes
    ----------
    mode : str
        "inline", "thread" or "processes".
    num_workers : int
        Number of worker processes, 0 in the other modes.
    reason : str
        Why this mode.
    pin_memory : bool
        Whether batches are put into page-locked memory.
    prefetch : int
        Fetches that each reader keeps ready.
    """

    mode: Mode
    num_workers: int
    reason: str = field(compare=False)
    pin_memory: bool = False
    prefetch: int = 1

    def __str__(self) -> str:
        """Name the mode as the report does."""
        if self.mode != "processes":
            return self.mode
        return f"{self.num_workers} process{'es' * (self.num_workers > 1)}"

    @property
    def ahead(self) -> int:
        """Fetches that all readers together keep ready."""
        return self.prefetch * max(1, self.num_workers)


ON_DEVICE = LoadPlan("inline", 0, "the rows are on the device")


@dataclass(frozen=True)
class Room:
    """How many fetches may be held at once.

    Attributes
    ----------
    memory : int
        Bytes, ``shuffle_memory``.
    fetch : int
        Bytes of the largest fetch.
    """

    memory: int
    fetch: int

    @property
    def ahead(self) -> int:
        """Fetches that may be read ahead by all workers together."""
        return max(1, self.memory // max(1, self.fetch) - _IN_USE)

    def prefetch(self, num_readers: int) -> int:
        """Count the fetches that one of so many readers keeps ready; one if they are windows."""
        windows = self.memory // 8 // max(1, self.fetch)
        return max(1, min(_MOST_AHEAD, windows, self.ahead // num_readers))


def make_plan(
    num_workers: NumWorkers,
    pin_memory: bool | Literal["auto"],
    device: torch.device,
    *,
    in_memory: bool,
    thread_safe: bool,
    room: Room,
) -> LoadPlan:
    """Choose a mode, without having measured anything.

    Parameters
    ----------
    num_workers : int or "auto"
        0 reads inline, a positive number asks for worker processes; "auto" reads inline what
        is in memory and begins with one thread for what is not.
    pin_memory : bool or "auto"
        "auto" pins for CUDA.
    device : torch.device
        Where batches go.
    in_memory : bool
        Whether a read is only a copy.
    thread_safe : bool
        Whether no function of rows draws from the global random generators.
    room : Room
        Caps what is read ahead.

    Raises
    ------
    ValueError
        If `num_workers` is neither "auto" nor an integer from 0.
    """
    pin = device.type == "cuda" if pin_memory == "auto" else pin_memory and device.type == "cuda"
    inline = LoadPlan("inline", 0, "num_workers=0", pin)
    if num_workers == "auto":
        if in_memory:
            return replace(inline, reason="the rows are in memory")
        if not thread_safe:
            return replace(inline, reason="a function of rows may use global generators")
        return LoadPlan("thread", 0, "one thread reads ahead", pin, room.prefetch(1))
    num_workers = _check_count(num_workers)
    if num_workers == 0:
        return inline
    if multiprocessing.current_process().daemon:
        return replace(inline, reason="a daemonic process may not have workers")
    return workers(num_workers, f"num_workers={num_workers}", pin, room)


def workers(n: int, reason: str, pin_memory: bool, room: Room) -> LoadPlan:
    """Plan for so many processes, or for as many as there is room for."""
    if n > room.ahead:
        reason += f", of which {room.ahead} fit shuffle_memory"
        n = room.ahead
    return LoadPlan("processes", n, reason, pin_memory, room.prefetch(n))


def _check_count(num_workers: Any) -> int:
    """Refuse what is not a number of processes."""
    whole = isinstance(num_workers, int | np.integer) and not isinstance(num_workers, bool)
    if not whole or num_workers < 0:
        raise ValueError(f'num_workers must be "auto" or an integer >= 0, got {num_workers!r}.')
    return int(num_workers)


@dataclass
class Measured:
    """What a plan cost, over some rows.

    Attributes
    ----------
    rows, fetches : int
        How many were delivered.
    seconds, read, step : float
        Time in all, that of the readers, summed, and that of the training step.
    nbytes : int
        Bytes delivered.
    """

    rows: int = 0
    fetches: int = 0
    seconds: float = 0.0
    read: float = 0.0
    step: float = 0.0
    nbytes: int = 0

    @property
    def row_seconds(self) -> float:
        """Time for a row."""
        return self.seconds / max(1, self.rows)

    def predicted(self, num_workers: int, cores: int) -> float:
        """Time for a row with so many processes, 0 for inline."""
        if num_workers == 0:
            return (self.read + self.step) / max(1, self.rows)
        work = self.read + self.step + self.nbytes * _TRANSPORT
        slowest = max(self.step, self.read / num_workers, work / cores)
        return slowest / max(1, self.rows)


@dataclass
class Tuner:
    """Measures the plan it began with, tries what promises more, and keeps what was best.

    Attributes
    ----------
    plan : LoadPlan
        The one in force.
    room : Room
        Caps what is read ahead.
    fixed : bool
        Whether the plan may not be changed.
    obstacle : callable
        Says why there can be no processes, "" if there can; asked only if they would pay.
    """

    plan: LoadPlan
    room: Room
    fixed: bool = True
    obstacle: Callable[[], str] = lambda: ""
    _seen: int = 0  # fetches since the plan was taken up
    _warm_up: int = _WARM_UP
    _looked: bool = False  # at what this plan costs
    _now: Measured = field(default_factory=Measured)
    _known: dict[str, tuple[float, LoadPlan]] = field(default_factory=dict)

    def begin(self, read: float) -> None:
        """Start with processes if what is to be read is known to take so many seconds."""
        n = min(n_cores(), _MOST_AT_ONCE)
        if self.fixed or read * (1 - 1 / n) <= start_seconds() or self.obstacle():
            return
        self.plan = workers(n, "decoding takes long", self.plan.pin_memory, self.room)

    def note(self, fetch: Measured, rows_left: int) -> None:
        """Take in what the time until this fetch was used up was spent on."""
        self._seen += 1
        if self.fixed or self._seen <= self._warm_up:
            return
        now = self._now
        now.rows += fetch.rows
        now.fetches += 1
        now.seconds += fetch.seconds
        now.read += fetch.read
        now.step += fetch.step
        now.nbytes += fetch.nbytes
        if not self._looked:
            self.look(rows_left)

    @property
    def _enough(self) -> bool:
        """Whether the plan was measured: a few rounds of all readers, or for a while."""
        now, n = self._now, max(1, self.plan.num_workers)
        return now.fetches >= _LOOK * n or (now.fetches >= n and now.seconds >= _LONG)

    def look(self, rows_left: int) -> None:
        """Compare, and change the plan if that pays for the rows that are left."""
        if self.fixed or not self._enough:
            return
        self._looked = True
        self._known[str(self.plan)] = self._now.row_seconds, self.plan
        if self.tried:
            self._keep_best()
        else:
            self._try(rows_left)
        self._now = Measured()

    @property
    def tried(self) -> bool:
        """Whether more than one plan was measured."""
        return len(self._known) > 1

    def _keep_best(self) -> None:
        """Go back if what was tried is slower, or has become so."""
        seconds, best = min(self._known.values(), key=lambda known: known[0])
        if best != self.plan and seconds < _BETTER * self._now.row_seconds:
            times = self._now.row_seconds / seconds
            self._take(replace(best, reason=f"measured: {self.plan} took {times:.1f}x as long"))

    def _try(self, rows_left: int) -> None:
        """Take up processes if they promise to be worth their start, what is read already aside."""
        now, cores = self._now, n_cores()
        rows_left -= self.plan.ahead * now.rows // now.fetches
        promised = {n: now.predicted(n, cores) for n in range(1, cores + 1)}
        n = min(n for n in promised if promised[n] <= 1.03 * min(promised.values()))
        saved = (now.row_seconds - promised[n]) * rows_left
        if promised[n] > _WORTH * now.row_seconds or saved < start_seconds():
            return
        reason = self.obstacle()
        if reason:
            self.fixed = True
            self.plan = replace(self.plan, reason=f"{self.plan.reason}; no processes: {reason}")
            return
        gain = now.row_seconds / promised[n]
        self._take(workers(n, f"measured: {gain:.1f}x expected", self.plan.pin_memory, self.room))

    def _take(self, plan: LoadPlan) -> None:
        """Go on with a plan, which shows when what was read ahead is used up."""
        if plan != self.plan:
            self._warm_up = 1 + self.plan.ahead + plan.ahead
            self.plan, self._seen, self._looked = plan, 0, False
