"""What connects torch's DataLoader to its workers: no lock, so none that a dead worker keeps.

The queues of multiprocessing share locks among processes, and a process that is killed while it
holds one leaves the others waiting for ever. Here each worker has a socket of its own, which one
side alone writes to and one side alone reads.
"""

import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import connection, context, get_context, util
from multiprocessing.process import BaseProcess
from typing import Any

from sklearnish.data._errors import Failure
from sklearnish.data._reading.messages import receive, send
from sklearnish.data._system.interrupts import uninterrupted

_MOMENT = 0.2
"""Seconds for workers to end by themselves. Those that wait for work take milliseconds."""

_PATIENCE = 5.0
"""Seconds to wait for what takes no time, unless a process is stopped or the system is stuck."""


class Channels(context.BaseContext):
    """The context from which a DataLoader gets its workers, its queues and its event.

    Parameters
    ----------
    method : str or None
        How processes are started, None for the usual way.

    Attributes
    ----------
    workers : list of Process
        Those that were made.
    end : callable
        Ends the workers, whatever they are doing, and closes the sockets; it takes seconds at
        most. It is called by itself when this object or the interpreter goes, and does nothing
        in a process that was forked.
    """

    def __init__(self, method: str | None = None) -> None:
        self._context: Any = get_context(method)
        self.workers: list[BaseProcess] = []
        self._links: list[_Link] = []
        self.end = util.Finalize(self, _end, (self.workers, self._links), exitpriority=10)

    def Queue(self, maxsize: int = 0) -> Any:
        """Make a queue for the workers that will get it among their arguments."""
        return Queue()

    def Event(self) -> Any:
        """Make what tells the workers that all is over."""
        return Flag()

    def Process(self, *, target: Callable[..., None], args: Sequence[Any]) -> BaseProcess:
        """Make a worker; the queues among its arguments are connected with it."""
        link = _Link()
        worker: BaseProcess = self._context.Process(target=_work, args=(link, target, args))
        for each in args:
            if isinstance(each, Queue):
                each.links.append(link)
                each.workers.append(worker)
        self._links.append(link)
        self.workers.append(worker)
        return worker

    def started(self) -> None:
        """Close what the workers have got."""
        for link in self._links:
            link.theirs.close()


class _Link:
    """The two ends of a worker's socket; the worker's travels to it."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.settimeout(_PATIENCE)

    def __getstate__(self) -> dict[str, Any]:
        """Send the worker's end to a new interpreter; a forked process has both."""
        return {"theirs": self.theirs}

    def close(self) -> None:
        """Close both ends."""
        self.ours.close()
        self.theirs.close()


class Shared:
    """What torch hands to its workers. In a worker, its end of the socket takes the place."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Travel as a mark of the place."""
        return Shared, ()

    def cancel_join_thread(self) -> None:
        """Do nothing: there is no thread."""

    def close(self) -> None:
        """Do nothing: the sockets belong to all queues of a worker, and end with it."""


class Queue(Shared):
    """In the process that trains: fetches for one worker, or results of all."""

    def __init__(self) -> None:
        self.links: list[_Link] = []
        self.workers: list[BaseProcess] = []

    def put(self, item: Any) -> None:
        """Send to the worker; that it is dead is found out by who waits for its results."""
        (link,) = self.links
        if link.ours.fileno() != -1:
            with uninterrupted(), suppress(BrokenPipeError, ConnectionResetError):
                send(link.ours, item)

    def get(self, timeout: float | None = None) -> Any:
        """Receive from any worker.

        Raises
        ------
        queue.Empty
            If none has sent anything in time, or before it ended.
        """
        sockets = [link.ours for link in self.links]
        ready = connection.wait([*sockets, *(w.sentinel for w in self.workers)], timeout)
        for link in sockets:
            if link in ready:
                with uninterrupted():
                    return receive(link)
        raise queue.Empty


class Flag(Shared, threading.Event):
    """In the process that trains: whether all is over; a worker is told by what is put last."""


def _work(link: _Link, target: Callable[..., None], args: Sequence[Any]) -> None:
    """Run torch's loop in a worker."""
    for each in args:
        for other in each.links if isinstance(each, Queue) else []:  # a forked process has them
            other.ours.close()
            if other is not link:
                other.theirs.close()
    end = _WorkersEnd(link.theirs)
    target(*(end if isinstance(each, Shared) else each for each in args))


class _WorkersEnd(Shared):
    """In a worker: its fetches, its results, and whether all is over."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._waiting: deque[Any] = deque()
        self._over = False

    def get(self, timeout: float | None = None) -> Any:
        """Return the next fetch, None once all is over, whatever else is waiting."""
        while connection.wait([self._link], 0 if self._waiting else timeout):
            self._take()
            if self._over:
                return None
        if not self._waiting:
            raise queue.Empty
        return self._waiting.popleft()

    def _take(self) -> None:
        """Receive one fetch; that there is no process left that wants it ends all, too."""
        try:
            item = receive(self._link)
        except EOFError:
            item = None
        self._over = item is None
        self._waiting.append(item)

    def is_set(self) -> bool:
        """Tell whether all is over."""
        return self._over

    def put(self, item: tuple[int, Any]) -> None:
        """Send the number of a fetch with its rows, or with the reason why they cannot be sent."""
        number, _ = item
        with suppress(BrokenPipeError, ConnectionResetError):  # nobody is left to read them
            try:
                send(self._link, item)
            except (BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:
                send(self._link, (number, Failure.of(error)))


def _end(workers: list[BaseProcess], links: list[_Link]) -> None:
    """Let workers end by themselves if they do so at once; end the others."""
    started = [worker for worker in workers if worker.pid is not None]
    with uninterrupted():
        for link in links:
            with suppress(OSError):  # it is dead, or there is no descriptor left
                send(link.ours, None)
        _wait(started, _MOMENT)
        for worker in started:
            worker.terminate()
        _wait(started, _MOMENT)
        for worker in started:
            worker.kill()
        for worker in started:
            worker.join(_PATIENCE)
        for link in links:
            link.close()


def _wait(workers: list[BaseProcess], seconds: float) -> None:
    """Wait until all workers have ended, or for some time."""
    alive = {worker.sentinel for worker in workers}
    until = time.monotonic() + seconds
    while alive and (left := until - time.monotonic()) > 0:
        alive -= set(connection.wait(alive, left))
