"""Reading in worker processes, and going on when one of them dies.

A DataLoader's workers read fetches. One that dies takes its fetches with it: those that were
posted and have not come back are read again, one at a time, so that it shows which of them
kills, and then all goes on as before.
"""

import signal
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing import connection
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from sklearnish.data._errors import DataWorkerError, Failure
from sklearnish.data._order.samplers import Fetch
from sklearnish.data._reading.channels import Channels
from sklearnish.data._reading.plan import LoadPlan
from sklearnish.data._reading.processes import main_can_be_imported, start_method, worker_context
from sklearnish.data._system.interrupts import uninterrupted
from sklearnish.data._system.warn import warn

_POLL = 1.0
"""Seconds between two looks at whether the workers are alive."""

_DEATHS = 3
"""Of workers, on one fetch, after which it is not tried again."""

Pair = tuple[Fetch, Any]


class _Died(Exception):
    """A worker process is gone; the text says how."""


def in_processes(
    reader: Any, fetches: Iterator[Fetch], plan: LoadPlan, timeout: float
) -> Generator[Pair]:
    """Read fetches in worker processes, and anew what a worker that died was to read.

    Parameters
    ----------
    reader : Reader
        Reads one fetch; it is sent to the workers. Its ``describe`` names the rows of one.
    fetches : iterator of Fetch
        In the order in which they are wanted.
    plan : LoadPlan
        How many workers, and how far they read ahead.
    timeout : float
        Seconds to wait for a fetch, 0 for any time.

    Yields
    ------
    (Fetch, Fetched)
        In the order of `fetches`. Closing the generator ends the workers.

    Raises
    ------
    DataWorkerError
        At the third death on a fetch, if one does not come in time, or if no worker can start
        since the script lacks a guard.
    """
    while True:
        posted: deque[Fetch] = deque()
        try:
            yield from _pool(reader, fetches, posted, plan, timeout)
            return
        except _Died as death:
            _check_guard(death)
            warn(
                f"A worker process that was reading {reader.describe(posted[0])}, or rows after "
                f"it, {death}; they are read again.",
                RuntimeWarning,
            )
        yield from _one_by_one(reader, posted, replace(plan, num_workers=1, prefetch=1), timeout)


def _one_by_one(reader: Any, lost: deque[Fetch], plan: LoadPlan, timeout: float) -> Generator[Pair]:
    """Read fetches again, of which one has killed a worker: with a single one it shows which."""
    deaths: Counter[int] = Counter()
    while lost:
        try:
            # A copy, since those that come back are taken off the original.
            for pair in _pool(reader, iter(list(lost)), deque(), plan, timeout):
                lost.popleft()
                yield pair
                del pair  # it would keep the rows alive while the next are read
        except _Died as death:
            deaths[lost[0].start] += 1
            if deaths[lost[0].start] == _DEATHS - 1:  # it was there when the first one died
                raise DataWorkerError(
                    f"The worker process that was reading {reader.describe(lost[0])} {death}, "
                    f"for the {_DEATHS}rd time on these rows. Read them with num_workers=0 to see "
                    "what happens."
                ) from death.__cause__


def _pool(
    reader: Any, fetches: Iterator[Fetch], posted: deque[Fetch], plan: LoadPlan, timeout: float
) -> Generator[Pair]:
    """Read in the workers of one DataLoader; `posted` holds what has not come back."""
    channels = Channels(worker_context())
    loader = _Loader(
        _Guarded(reader),  # type: ignore[arg-type]
        sampler=_remembered(fetches, posted),
        batch_size=None,
        num_workers=plan.num_workers,
        collate_fn=torch.nn.Identity(),  # which can be sent to spawned workers
        prefetch_factor=plan.prefetch,
        timeout=_POLL,
        generator=torch.Generator().manual_seed(0),
        multiprocessing_context=channels,
    )
    try:
        iterator = _started(loader, channels)
        while (result := _wait(iterator, channels, reader, posted, timeout)) is not None:
            if isinstance(result, Failure):
                raise result.error("In a worker process")
            yield posted.popleft(), result  # the loader keeps the order
            del result  # it would keep the rows alive while the next are read
    finally:
        channels.end()


def _wait(
    iterator: Any, channels: Channels, reader: Any, posted: deque[Fetch], timeout: float
) -> Any:
    """Wait for the next result, looking after the workers from time to time; None at the end."""
    begun = time.monotonic()
    while True:
        try:
            return next(iterator, None)
        except Exception as error:
            waited = "timed out after" in str(error)
            how = _death(channels, patience=0.0 if waited else 1.0)
            if how:
                raise _Died(how) from error
            if not waited:
                raise
        if timeout and time.monotonic() - begun > timeout:
            raise DataWorkerError(
                f"No worker process has delivered {reader.describe(posted[0])} within "
                f"{timeout:g} s. If reading may take that long, raise worker_timeout; if not, "
                "num_workers=0 shows where it hangs."
            )


def _death(channels: Channels, patience: float) -> str:
    """Say how a worker ended, "" if all live; a broken pipe may be seen before the death is."""
    workers = [worker for worker in channels.workers if worker.pid is not None]
    gone = connection.wait([worker.sentinel for worker in workers], patience)
    # A process lets go of what it holds a moment before it can be asked for its exit code.
    until = time.monotonic() + (_POLL if gone else 0.0)
    while True:
        for worker in workers:
            if worker.exitcode is not None:
                return f"(process {worker.pid}) {_ended(worker.exitcode)}"
        if time.monotonic() > until:
            return ""
        time.sleep(0.001)


def _ended(exitcode: int) -> str:
    """Put an exit code into words."""
    if exitcode < 0:
        with suppress(ValueError):
            return f"was killed by signal {-exitcode} ({signal.Signals(-exitcode).name})"
    return f"ended with exit code {exitcode}"


def _check_guard(death: _Died) -> None:
    """Raise if a worker ended because it ran the script once more, up to where it starts workers.

    Nothing else that is likely ends one with code 1: what reading raises is sent back.
    """
    method = start_method()
    if method == "fork" or not str(death).endswith(_ended(1)) or main_can_be_imported():
        return
    raise DataWorkerError(
        f"A worker process {death} before it could read. With the start method {method!r} it is a "
        "new interpreter, which imports the script, and so runs it once more: the script lacks "
        "`if __name__ == '__main__':`. Put what trains under it, or read with num_workers=0."
    ) from death.__cause__


def _started(loader: "_Loader", channels: Channels) -> Any:
    """Start the workers; say so if one dies at once, of which torch may tell in its own way."""
    try:
        with uninterrupted():
            iterator: Any = iter(loader)
            channels.started()
    except RuntimeError as error:
        how = _death(channels, patience=0.0)
        if how:
            raise _Died(how) from error
        raise
    return iterator


class _Loader(DataLoader[Any]):
    """A DataLoader that leaves the end of its workers, and how many there are, to others."""

    def check_worker_number_rationality(self) -> None:
        """Say nothing of more workers than cores; to silence `warnings` concerns all threads."""

    def _get_iterator(self) -> "_Iterator":
        return _Iterator(self)


class _Iterator(_MultiProcessingDataLoaderIter):
    """Torch's own waits for workers that do not end, and raises a death in the middle of a step.

    The latter in a handler of SIGCHLD, for the processes on a list.
    """

    def __init__(self, loader: _Loader) -> None:
        self._channels: Any = loader.multiprocessing_context
        super().__init__(loader)
        signal_handling: Any = torch.utils.data._utils.signal_handling
        signal_handling._remove_worker_pids(id(self))

    def _shutdown_workers(self) -> None:
        self._channels.end()


def _remembered(fetches: Iterator[Fetch], posted: deque[Fetch]) -> Iterator[Fetch]:
    """Keep fetches on their way to the workers until their rows come back."""
    for fetch in fetches:
        posted.append(fetch)
        yield fetch


class _Guarded:
    """A reader whose errors come back as plain records: some exceptions cannot be pickled."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def __getitem__(self, fetch: Fetch) -> Any:
        """Read, or say what went wrong."""
        try:
            return self._reader[fetch]
        except Exception as error:
            return Failure.of(error)
