"""Reading fetches: here, in a thread that reads ahead, or in worker processes."""

import functools
import itertools
import multiprocessing
import os
import pickle
import threading
import time
import traceback
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader

from sklearnish.data._batch import Batch, nbytes
from sklearnish.data._dataset import Dataset
from sklearnish.data._finite import check_finite
from sklearnish.data._memory import Buffers, recent_memory
from sklearnish.data._processes import (
    inside_loky,
    main_can_be_imported,
    pickles_as_it_is,
    start_method,
    worker_context,
)
from sklearnish.data._reading import attach, read_stored, transformed
from sklearnish.data._samplers import Fetch
from sklearnish.data._tuning import LoadPlan, Tuner


class Cost(NamedTuple):
    """What a fetch took: seconds, bytes of its rows, and the memory of who read it."""

    read: float
    transform: float
    nbytes: int
    pid: int
    memory: int


class Fetched(NamedTuple):
    """The rows of a fetch and what it took to read them."""

    batch: Batch
    cost: Cost


class Reads(Protocol):
    """What a reader answers."""

    def __getitem__(self, fetch: Fetch) -> Fetched:
        """Read a fetch, wherever it is asked to."""

    def complete(self, pair: tuple[Fetch, Fetched]) -> tuple[Fetch, Fetched]:
        """Add what only the process that trains has."""


class Reader:
    """Reads a fetch; it travels to the workers.

    Labels and weights that are in memory stay in the process that trains: a worker reads only
    what is stored with the features.
    """

    def __init__(self, dataset: Dataset, augment: tuple[Any, ...], seed: int, finite: bool) -> None:
        self._whole = dataset
        self._dataset = dataset.without_attached()
        self._augment, self._seed = augment, seed
        self._finite = finite
        self._buffers = Buffers()

    def __getitem__(self, fetch: Fetch) -> Fetched:
        """Read the rows of a fetch and apply the functions of rows."""
        begun = time.perf_counter()
        places = np.arange(fetch.start, fetch.start + len(fetch.positions))
        address = (self._seed, fetch.epoch, places)
        stored = read_stored(self._dataset, fetch.positions, address, self._buffers.empty)
        read = time.perf_counter()
        batch = transformed(self._dataset, stored, address, self._augment)
        transform = time.perf_counter() - read if batch is not stored else 0.0
        if self._finite:
            check_finite(batch.X, self._dataset, fetch.positions)
        seconds = time.perf_counter() - begun - transform
        cost = Cost(seconds, transform, nbytes(stored), os.getpid(), recent_memory())
        return Fetched(batch, cost)

    def complete(self, pair: tuple[Fetch, Fetched]) -> tuple[Fetch, Fetched]:
        """Add the labels and weights that are in memory."""
        fetch, (batch, cost) = pair
        return fetch, Fetched(attach(self._whole, batch, fetch.positions), cost)

    def __getstate__(self) -> dict[str, Any]:
        """Leave labels and weights at home."""
        return self.__dict__ | {"_whole": self._dataset}


def obstacle(reader: Reads) -> str:
    """Say why worker processes cannot be started unasked, "" if they can.

    What cannot be pickled, or not as it is, may hold an open file; two forked processes that
    read from one would read each other's bytes.
    """
    if inside_loky() or multiprocessing.current_process().daemon:
        return "this is a worker process itself"
    if threading.current_thread() is not threading.main_thread():
        return "this is not the main thread"
    if not pickles_as_it_is(reader):
        return "the dataset or a function cannot be sent to one"
    if start_method() != "fork" and not main_can_be_imported():
        return "the script lacks `if __name__ == '__main__':`"
    return ""


def read_ahead(
    reader: Reads, fetches: Iterator[Fetch], tuner: Tuner, timeout: float
) -> Iterator[tuple[Fetch, Fetched]]:
    """Read fetches in order, the next one or more while the caller works on the last.

    When the tuner changes its plan, what is under way is delivered first.

    Parameters
    ----------
    reader : Reads
        Reads one fetch.
    fetches : iterator of Fetch
        Of all epochs.
    tuner : Tuner
        Where to read.
    timeout : float
        Seconds to wait for a worker process.

    Yields
    ------
    (Fetch, Fetched)
        In the order of `fetches`. Closing the generator ends thread and workers.
    """
    for fetch in fetches:
        rest = _while_planned(itertools.chain([fetch], fetches), tuner)
        pairs = _read(reader, rest, tuner.plan, timeout)
        try:
            # Through map, since a variable would keep a window alive while the next is read.
            yield from map(reader.complete, pairs)
        finally:
            pairs.close()


def _while_planned(fetches: Iterator[Fetch], tuner: Tuner) -> Iterator[Fetch]:
    """Yield fetches until the plan is another."""
    plan = tuner.plan
    for fetch in fetches:
        yield fetch
        if tuner.plan is not plan:
            return


def _read(
    reader: Reads, fetches: Iterator[Fetch], plan: LoadPlan, timeout: float
) -> Generator[tuple[Fetch, Fetched]]:
    """Read fetches by one plan."""
    if plan.mode == "inline":
        return ((f, reader[f]) for f in fetches)
    if plan.mode == "thread":
        return _in_thread(reader, fetches, plan.prefetch)
    return _in_processes(reader, fetches, plan, timeout)


def _in_thread(
    reader: Reads, fetches: Iterator[Fetch], prefetch: int
) -> Generator[tuple[Fetch, Fetched]]:
    """Read so many fetches ahead."""
    with ThreadPoolExecutor(1, "sklearnish-reader") as pool:
        ahead: deque[tuple[Fetch, Future[Fetched]]] = deque()
        try:
            for fetch in fetches:
                ahead.append((fetch, pool.submit(reader.__getitem__, fetch)))
                if len(ahead) > prefetch:
                    yield _result(ahead)
            while ahead:
                yield _result(ahead)
        finally:
            pool.shutdown(cancel_futures=True)


def _result(ahead: deque[tuple[Fetch, Future[Fetched]]]) -> tuple[Fetch, Fetched]:
    """Wait for the oldest fetch."""
    fetch, future = ahead.popleft()
    return fetch, future.result()


def _in_processes(
    reader: Reads, fetches: Iterator[Fetch], plan: LoadPlan, timeout: float
) -> Generator[tuple[Fetch, Fetched]]:
    """Read in the worker processes of a DataLoader that lives as long as the fit."""
    posted: deque[Fetch] = deque()
    loader: DataLoader[Any] = DataLoader(
        _Guarded(reader),  # type: ignore[arg-type]
        sampler=_Remembered(fetches, posted),
        batch_size=None,
        num_workers=plan.num_workers,
        collate_fn=_as_it_is,
        prefetch_factor=plan.prefetch,
        timeout=timeout,
        generator=torch.Generator().manual_seed(0),
        multiprocessing_context=worker_context(),
    )
    yield from map(functools.partial(_paired, posted), loader)


def _paired(posted: deque[Fetch], result: "Fetched | _Failure") -> tuple[Fetch, Fetched]:
    """Join rows with their fetch, the oldest: the loader keeps the order; raise what failed."""
    if isinstance(result, _Failure):
        raise result.error()
    return posted.popleft(), result


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

    def __init__(self, reader: Reads) -> None:
        self._reader = reader

    def __getitem__(self, fetch: Fetch) -> "Fetched | _Failure":
        """Read, or say what went wrong."""
        try:
            return self._reader[fetch]
        except Exception as error:
            return _Failure.of(error)


@dataclass(frozen=True)
class _Failure:
    """An exception of a worker, as something that can always be sent."""

    pickled: bytes | None
    text: str
    traceback: str

    @classmethod
    def of(cls, error: Exception) -> "_Failure":
        """Pickle the exception if that gives it back whole."""
        text = f"{type(error).__name__}: {error}"
        try:
            pickled = pickle.dumps(error)
            whole = str(pickle.loads(pickled)) == str(error)
        except Exception:
            whole, pickled = False, b""
        return cls(pickled if whole else None, text, traceback.format_exc())

    def error(self) -> Exception:
        """Give the exception back, with the worker's traceback as a note."""
        error: Exception = RuntimeError(self.text)
        if self.pickled:
            # A class of the script itself has another name in a spawned worker.
            with suppress(Exception):
                error = pickle.loads(self.pickled)
        error.add_note(f"In a worker process:\n{self.traceback}")
        return error


def _as_it_is(fetched: Any) -> Any:
    """Keep what the reader made; a lambda could not be sent to spawned workers."""
    return fetched
