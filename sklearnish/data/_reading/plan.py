"""How to read: inline, in a thread or in worker processes, and what each of them promises.

A plan says where fetches are read, never which there are, so that changing it in the middle
of an epoch does not change the stream of batches.
"""

import multiprocessing
import socket
import threading
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from sklearnish.data._reading import messages, processes
from sklearnish.data._reading.clock import Times
from sklearnish.data._system.machine import n_cores
from sklearnish.data._whole import is_whole

NumWorkers = int | Literal["auto"]
Mode = Literal["inline", "thread", "processes"]

_IN_USE = 2
"""Fetches besides those read ahead: the one being cut, and copies while another is read."""

_MOST_AHEAD = 4
"""Small fetches that a reader keeps ready, so that one that takes longer is not waited for."""

_TRANSPORT = 1e-9
"""Seconds that a byte from a worker costs: it is written to and read from memory that is shared."""

_AS_GOOD = 1.03
"""Fewer workers are preferred that take at most so many times as long."""


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
    prefetch : int
        Fetches that each reader keeps ready.
    """

    mode: Mode
    num_workers: int
    reason: str = field(compare=False)
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
    num_workers: NumWorkers, room: Room, *, in_memory: bool, thread_safe: bool
) -> LoadPlan:
    """Choose a mode, without having measured anything.

    Parameters
    ----------
    num_workers : int or "auto"
        0 reads inline, a positive number asks for worker processes; "auto" reads inline what
        is in memory and begins with one thread for what is not, and so does a process that may
        not have workers, such as one of Dask's.
    room : Room
        Caps what is read ahead.
    in_memory : bool
        Whether a read is only a copy.
    thread_safe : bool
        Whether no function of rows draws from the global random generators.
    """
    inline = LoadPlan("inline", 0, "num_workers=0")
    auto = LoadPlan("thread", 0, "one thread reads ahead", room.prefetch(1))
    if in_memory:
        auto = replace(inline, reason="the rows are in memory")
    elif not thread_safe:
        auto = replace(inline, reason="a function of rows may use global generators")
    if num_workers == "auto":
        return auto
    num_workers = int(num_workers)
    if num_workers == 0:
        return inline
    if not hasattr(socket, "send_fds"):
        return replace(inline, reason="this system cannot pass open files to other processes")
    if multiprocessing.current_process().daemon:
        return replace(auto, reason="a daemonic process may not have workers")
    return workers(num_workers, f"num_workers={num_workers}", room)


def workers(n: int, reason: str, room: Room) -> LoadPlan:
    """Plan for so many processes, or for as many as there is room for."""
    if n > room.ahead:
        reason += f", of which {room.ahead} fit shuffle_memory"
        n = room.ahead
    return LoadPlan("processes", n, reason, room.prefetch(n))


def check_num_workers(num_workers: Any) -> None:
    """Raise a ValueError for what is neither "auto" nor a number of processes."""
    if isinstance(num_workers, str) and num_workers == "auto":
        return
    if not is_whole(num_workers, 0):
        raise ValueError(f'num_workers must be "auto" or an integer >= 0, got {num_workers!r}.')


class Obstacle(NamedTuple):
    """What is in the way of worker processes, and what removes it.

    Attributes
    ----------
    what : str
        A clause: "this is not the main thread".
    cure : str
        What to do, an imperative clause; "" if nothing can be done.
    """

    what: str
    cure: str = ""


def obstacle(reader: Any, room: Room) -> Obstacle | None:
    """Find out why worker processes cannot be started unasked; None if they can.

    What cannot be pickled, or not as it is, may hold an open file; two forked processes that
    read from one would read each other's bytes.
    """
    if processes.inside_loky() or multiprocessing.current_process().daemon:
        return Obstacle("this is a worker process itself")
    if threading.current_thread() is not threading.main_thread():
        return Obstacle("this is not the main thread", "call fit in the main thread")
    if not processes.pickles_as_it_is(reader):
        return Obstacle(
            "the dataset or a function cannot safely be sent to them",
            "define the function at the top level of a module",
        )
    n = n_cores()
    if messages.room() < 2 * n * room.prefetch(n) * room.fetch:
        return Obstacle(
            f"there is too little space for what they send, in {messages.place()}",
            "make it larger, or shuffle_memory smaller",
        )
    if processes.start_method() != "fork" and not processes.main_can_be_imported():
        return Obstacle("the script lacks `if __name__ == '__main__':`", "put the fit below it")
    return None


def predicted(times: Times, num_workers: int, cores: int) -> float:
    """Seconds that the same work would take with so many processes, 0 for inline."""
    if num_workers == 0:
        return times.in_readers + times.in_step
    work = times.in_readers + times.in_step + times.bytes_read * _TRANSPORT
    return max(times.in_step, times.in_readers / num_workers, work / cores)


def best_workers(times: Times, cores: int) -> tuple[int, float]:
    """Return how many processes are enough, and the seconds that the same work would take."""
    promised = {n: predicted(times, n, cores) for n in range(1, cores + 1)}
    n = min(n for n in promised if promised[n] <= _AS_GOOD * min(promised.values()))
    return n, promised[n]
