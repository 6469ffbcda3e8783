"""Reading in worker processes, and going on when one of them dies.

A DataLoader's workers read fetches. One that dies takes its fetches with it: those that were
posted and have not come back are read again, one at a time, so that it shows which of them
kills, and then all goes on as before.
"""

import pickle
import signal
import time
import traceback
import warnings
from collections import Counter, deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import connection
from typing import Any

import torch
from torch.utils.data import DataLoader

from sklearnish.data._processes import main_can_be_imported, start_method, worker_context
from sklearnish.data._samplers import Fetch
from sklearnish.data._tuning import LoadPlan

_POLL = 1.0
"""Seconds between two looks at whether the workers are alive."""

_DEATHS = 3
"""Of workers, on one fetch, after which it is not tried again."""

Pair = tuple[Fetch, Any]


class DataWorkerError(RuntimeError):
    """A worker process died again and again on the same rows, or did not answer.

    The message names the rows, their file, and how the process ended.

    Examples
    --------
    >>> import os
    >>> import warnings
    >>> import torch
    >>> import sklearnish as sn
    >>> class Crashes(torch.utils.data.Dataset):
    ...     def __len__(self):
    ...         return 8
    ...
    ...     def __getitem__(self, i):
    ...         if torch.utils.data.get_worker_info() is not None:
    ...             os._exit(3)
    ...         return torch.zeros(2), 0
    >>> warnings.simplefilter("ignore", RuntimeWarning)  # of the first death
    >>> try:
    ...     list(sn.as_dataset(Crashes()).batches(4, num_workers=1))
    ... except sn.DataWorkerError as error:
    ...     print("exit code 3" in str(error), "num_workers=0" in str(error))
    True True
    """


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
            warnings.warn(
                f"A worker process that was reading {reader.describe(posted[0])}, or rows after "
                f"it, {death}; they are read again.",
                RuntimeWarning,
                stacklevel=2,
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
    loader = _Loader(
        _Guarded(reader),  # type: ignore[arg-type]
        sampler=_Remembered(fetches, posted),
        batch_size=None,
        num_workers=plan.num_workers,
        collate_fn=_as_it_is,
        prefetch_factor=plan.prefetch,
        timeout=_POLL,
        generator=torch.Generator().manual_seed(0),
        multiprocessing_context=worker_context(),
    )
    iterator: Any = iter(loader)
    _quiet(iterator)
    try:
        while True:
            try:
                result = _wait(iterator, reader, posted, timeout)
            except StopIteration:
                return
            pair = _paired(posted, result)
            del result
            yield pair
            del pair  # it would keep the rows alive while the next are read
    finally:
        _end(iterator)


def _wait(iterator: Any, reader: Any, posted: deque[Fetch], timeout: float) -> Any:
    """Wait for the next result, looking after the workers from time to time."""
    begun = time.monotonic()
    while True:
        try:
            return next(iterator)
        except StopIteration:
            raise
        except Exception as error:
            waited = "timed out after" in str(error)
            how = _death(iterator, patience=0.0 if waited else 1.0)
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


def _death(iterator: Any, patience: float) -> str:
    """Say how a worker ended, "" if all live; a broken pipe may be seen before the death is."""
    workers = iterator._workers
    connection.wait([worker.sentinel for worker in workers], patience)
    for worker in workers:
        if worker.exitcode is not None:
            return f"(process {worker.pid}) {_ended(worker.exitcode)}"
    return ""


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


def _quiet(iterator: Any) -> None:
    """Let nobody but `_wait` find out about a death: torch would raise it in the middle of a step.

    It does so in a handler of SIGCHLD, for the processes on its list.
    """
    if getattr(iterator, "_worker_pids_set", False):
        signal_handling: Any = torch.utils.data._utils.signal_handling
        signal_handling._remove_worker_pids(id(iterator))
        iterator._worker_pids_set = False


def _end(iterator: Any) -> None:
    """End the workers at once, whatever they are doing: they only read."""
    for worker in iterator._workers:
        worker.terminate()
    for worker in iterator._workers:
        worker.join(_POLL)
        if worker.exitcode is None:
            worker.kill()
    iterator._shutdown_workers()


def _paired(posted: deque[Fetch], result: "Any | Failure") -> Pair:
    """Join rows with their fetch, the oldest: the loader keeps the order; raise what failed."""
    if isinstance(result, Failure):
        raise result.error("In a worker process")
    return posted.popleft(), result


class _Loader(DataLoader[Any]):
    """A DataLoader that does not warn of more workers than cores: the user's number counts."""

    def check_worker_number_rationality(self) -> None:
        """Say nothing; to silence `warnings` would concern other threads, too."""


class _Remembered:
    """Fetches on their way to the workers, kept until their rows come back."""

    def __init__(self, fetches: Iterator[Fetch], posted: deque[Fetch]) -> None:
        self._fetches, self._posted = fetches, posted

    def __iter__(self) -> Iterator[Fetch]:
        """Keep what is handed out."""
        for fetch in self._fetches:
            self._posted.append(fetch)
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


@dataclass(frozen=True)
class Failure:
    """An exception of another process, as something that can always be sent."""

    pickled: bytes | None
    text: str
    traceback: str

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """Pickle the exception if that gives it back whole."""
        text = f"{type(error).__name__}: {error}"
        try:
            pickled = pickle.dumps(error)
            whole = str(pickle.loads(pickled)) == str(error)
        except Exception:
            whole, pickled = False, b""
        return cls(pickled if whole else None, text, traceback.format_exc())

    def error(self, where: str) -> Exception:
        """Give the exception back, with the traceback of that process as a note."""
        error: Exception = RuntimeError(self.text)
        if self.pickled:
            # A class of the script itself has another name in a spawned worker.
            with suppress(Exception):
                error = pickle.loads(self.pickled)
        error.add_note(f"{where}:\n{self.traceback}")
        return error


def _as_it_is(fetched: Any) -> Any:
    """Keep what the reader made; a lambda could not be sent to spawned workers."""
    return fetched
