"""Reading a fetch: its rows as tensors, functions of rows applied, and what it took."""

import os
import time
from typing import Any, NamedTuple, Protocol

from sklearnish.data._order.samplers import Fetch
from sklearnish.data._reading.clock import Times
from sklearnish.data._reading.finite import check_finite
from sklearnish.data._system.machine import recent_memory
from sklearnish.data._tensors.batch import Batch, nbytes
from sklearnish.data._tensors.buffers import Buffers
from sklearnish.data._views.view import View


class Fetched(NamedTuple):
    """The rows of a fetch, what it took to read them, and the memory of the process that did."""

    batch: Batch
    times: Times
    pid: int
    memory: int

    @classmethod
    def here(cls, batch: Batch, times: Times) -> "Fetched":
        """Return what was read by this process."""
        return cls(batch, times, os.getpid(), recent_memory())


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

    by_address = True
    """Whether the user's Dataset draws anew in each epoch."""

    def __init__(self, dataset: View, augment: tuple[Any, ...], seed: int, finite: bool) -> None:
        self._whole = dataset
        self._dataset = dataset.without_attached()
        self._augment, self._seed = augment, seed
        self._finite = finite
        self._buffers = Buffers()

    def __getitem__(self, fetch: Fetch) -> Fetched:
        """Read the rows of a fetch and apply the functions of rows."""
        begun = time.perf_counter()
        address = (self._seed, fetch.epoch, fetch.places)
        drawn = address if self.by_address else None
        stored = self._dataset._read_stored(fetch.positions, drawn, self._buffers.empty)
        read, each = time.perf_counter(), list[float]()
        batch = self._dataset._transformed(stored, fetch.positions, address, self._augment, each)
        transform = time.perf_counter() - read if batch is not stored else 0.0
        if self._finite:
            source, transforms = self._dataset.source, self._dataset.transforms
            functions = (*source.functions, *transforms, *self._augment)
            check_finite(batch.X, self._dataset, fetch.positions, functions)
        seconds = time.perf_counter() - begun - transform
        augment = sum(each[len(self._dataset.transforms) :])
        size = nbytes(stored)
        times = Times(read=seconds, transform=transform, bytes_read=size, augment=augment)
        return Fetched.here(batch, times)

    def complete(self, pair: tuple[Fetch, Fetched]) -> tuple[Fetch, Fetched]:
        """Add the labels and weights that are in memory."""
        fetch, fetched = pair
        batch = self._whole._attach(fetched.batch, fetch.positions)
        return fetch, fetched._replace(batch=batch)

    def describe(self, fetch: Fetch) -> str:
        """Name the first and the last row of a fetch, in the order of the file."""
        rows = self._dataset.rows[fetch.positions]
        name = self._dataset.source.row_name
        first, last = name(int(rows.min())), name(int(rows.max()))
        return f"{len(rows)} rows from {first} to {last}"

    def __getstate__(self) -> dict[str, Any]:
        """Leave labels and weights at home."""
        return self.__dict__ | {"_whole": self._dataset}


class EvaluationReader(Reader):
    """Reads rows as ``ds[i]`` and ``ds.target`` do, where a Dataset draws them at random."""

    by_address = False
