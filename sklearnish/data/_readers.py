"""Reading fetches: here, in a thread that reads ahead, or in worker processes."""

import itertools
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np

from sklearnish.data._batch import Batch, nbytes
from sklearnish.data._dataset import Dataset
from sklearnish.data._finite import check_finite
from sklearnish.data._memory import Buffers, recent_memory
from sklearnish.data._processes import (
    inside_loky,
    main_can_be_imported,
    n_cores,
    pickles_as_it_is,
    shared_memory,
    start_method,
)
from sklearnish.data._reading import attach, read_stored, transformed
from sklearnish.data._samplers import Fetch
from sklearnish.data._tuning import LoadPlan, Room, Tuner
from sklearnish.data._workers import in_processes


class Cost(NamedTuple):
    """What a fetch took: seconds, bytes of its rows, and the memory of who read it.

    `augment` is the part of `transform` that is spent on ``augment=``.
    """

    read: float
    transform: float
    nbytes: int
    pid: int
    memory: int
    augment: float = 0.0


def cost_of(
    read: float = 0.0, transform: float = 0.0, nbytes: int = 0, augment: float = 0.0
) -> Cost:
    """Say what a fetch took in this process."""
    return Cost(read, transform, nbytes, os.getpid(), recent_memory(), augment)


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
        read, each = time.perf_counter(), list[float]()
        batch = transformed(self._dataset, stored, fetch.positions, address, self._augment, each)
        transform = time.perf_counter() - read if batch is not stored else 0.0
        if self._finite:
            functions = (*self._dataset.transforms, *self._augment)
            check_finite(batch.X, self._dataset, fetch.positions, functions)
        seconds = time.perf_counter() - begun - transform
        augment = sum(each[len(self._dataset.transforms) :])
        return Fetched(batch, cost_of(seconds, transform, nbytes(stored), augment))

    def complete(self, pair: tuple[Fetch, Fetched]) -> tuple[Fetch, Fetched]:
        """Add the labels and weights that are in memory."""
        fetch, (batch, cost) = pair
        return fetch, Fetched(attach(self._whole, batch, fetch.positions), cost)

    def describe(self, fetch: Fetch) -> str:
        """Name the first and the last row of a fetch, in the order of the file."""
        rows = self._dataset.rows[fetch.positions]
        name = self._dataset.source.row_name
        first, last = name(int(rows.min())), name(int(rows.max()))
        return f"{len(rows)} rows from {first} to {last}"

    def __getstate__(self) -> dict[str, Any]:
        """Leave labels and weights at home."""
        return self.__dict__ | {"_whole": self._dataset}


def obstacle(reader: Reads, room: Room) -> str:
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
    n = n_cores()
    if shared_memory() < 2 * n * room.prefetch(n) * room.fetch:
        return "there is too little shared memory, in /dev/shm"
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
        if tuner.plan != plan:
            return


def _read(
    reader: Reads, fetches: Iterator[Fetch], plan: LoadPlan, timeout: float
) -> Generator[tuple[Fetch, Fetched]]:
    """Read fetches by one plan."""
    if plan.mode == "inline":
        return ((f, reader[f]) for f in fetches)
    if plan.mode == "thread":
        return _in_thread(reader, fetches, plan.prefetch)
    return in_processes(reader, fetches, plan, timeout)


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
