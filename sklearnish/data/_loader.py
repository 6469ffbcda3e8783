"""The ready batches of one whole fit: fetches in, batches on the device out.

    Order -> fetch -> read (inline, in a thread, in worker processes) -> cut -> device

The stream of batches is the same in all modes: a mode only decides where a fetch is read.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from sklearnish.data._batch import Batch, concat, copied, narrow
from sklearnish.data._blocks import suitable_blocks
from sklearnish.data._dataset import Dataset
from sklearnish.data._memory import recent_memory
from sklearnish.data._processes import inside_loky, n_cores
from sklearnish.data._readers import Cost, Fetched, Reader, Reads, obstacle, read_ahead
from sklearnish.data._reading import hold_labels
from sklearnish.data._report import EpochTimes, PipelineReport
from sklearnish.data._resident import ResidentReader, fits
from sklearnish.data._samplers import Fetch, Order, Sampler, check_sampler
from sklearnish.data._transfer import Transfer
from sklearnish.data._transforms import (
    apply_batch,
    check_picklable,
    split_augment,
    uses_global_generators,
)
from sklearnish.data._tuning import (
    ON_DEVICE,
    LoadPlan,
    Measured,
    NumWorkers,
    Room,
    Tuner,
    make_plan,
    start_seconds,
)

_WINDOW_SHARE = 8
"""Fetches of this share of ``shuffle_memory``: in use, read ahead, and copies while reading."""

_SMALL_FETCH, _LARGE_FETCH = 2**22, 2**26
"""Bytes gathered at once where any row is as cheap as any: on the host, and on a device."""


class Loader:
    """Batches of a Dataset for all epochs of a fit.

    Each ``iter()`` goes through the next epoch. The last batch of an epoch is kept; one of a
    single row joins the one before it, since normalisation needs two.

    Parameters
    ----------
    dataset : Dataset
        The rows.
    batch_size : int
        Rows per batch.
    epochs : int
        How many epochs may be asked for.
    sampler : str or callable
        Order of the rows, see :class:`Order`.
    seed : int
        Seed of order and augmentation.
    first_epoch : int
        Number of the first epoch, so that a continued fit goes on with the next order.
    first_batch : int
        Number of the first batch in the first epoch: those before it are not delivered, and their
        fetches not read.
    augment : callable, sequence of callables or PerBatch, or None
        Random functions of rows or batches.
    shuffle_memory : int or str
        Bytes, or a text such as "256MB".
    num_workers, pin_memory : int or "auto", bool or "auto"
        See :func:`make_plan`.
    device : torch.device
        Where batches are put.
    timeout : float
        Seconds to wait for a worker process.
    finite : bool
        Whether NaN and infinity raise.
    reader : type
        What reads a fetch.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int,
        epochs: int = 1,
        sampler: Sampler = "shuffle",
        seed: int = 0,
        first_epoch: int = 0,
        first_batch: int = 0,
        augment: Any = None,
        shuffle_memory: int | str = "256MB",
        num_workers: NumWorkers = "auto",
        pin_memory: bool | Literal["auto"] = "auto",
        device: torch.device | None = None,
        timeout: float = 300,
        finite: bool = True,
        reader: type[Reader] = Reader,
    ) -> None:
        if len(dataset) == 0:
            raise ValueError(f"{dataset.source.name} has 0 rows; at least one is needed.")
        if not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(f"batch_size must be an integer of at least 1, got {batch_size!r}.")
        check_sampler(sampler)
        self._name, self.batch_size, self.seed = dataset.source.name, int(batch_size), seed
        self.device = device or torch.device("cpu")
        shuffled = sampler != "sequential" and not callable(sampler)
        dataset.source.check_unchanged()
        dataset = hold_labels(dataset)
        memory = parse_bytes(shuffle_memory)
        rows, self._per_batch = split_augment(augment)
        resident = epochs > 1 and fits(dataset, self.device, rows)
        window = fetch_rows(dataset, batch_size, memory, _LARGE_FETCH if resident else _SMALL_FETCH)
        dataset = suitable_blocks(dataset, window, shuffled=shuffled)
        self._check_unchanged = dataset.source.check_unchanged
        functions = (*dataset.transforms, *rows)
        self._order = Order(dataset, sampler, seed, window)
        room = Room(memory, window * dataset.row_nbytes)
        thread_safe = not (
            uses_global_generators(functions) or dataset.source.uses_global_generators
        )
        in_memory = dataset.in_memory and not rows
        plan = make_plan(
            num_workers,
            pin_memory,
            self.device,
            in_memory=in_memory,
            thread_safe=thread_safe,
            room=room,
        )
        if plan.mode == "processes" and not inside_loky():
            check_picklable(functions)
        if resident:
            plan = replace(ON_DEVICE, pin_memory=plan.pin_memory)
            self._reader: Reads = ResidentReader(dataset, self.device, finite=finite)
        else:
            self._reader = reader(dataset, rows, seed, finite)
        fixed = in_memory or num_workers != "auto"
        self._tuner = Tuner(plan, room, fixed=fixed, obstacle=partial(obstacle, self._reader, room))
        self._tuner.begin(dataset.source.row_seconds * len(dataset) * epochs)
        self._transfer = Transfer(self.device, pin=plan.pin_memory)
        self._epochs = range(first_epoch, first_epoch + epochs)
        self._skipped = {first_epoch: first_batch}  # batches, by epoch
        self._times: list[EpochTimes] = []
        self._memory: dict[int, int] = {}  # the last of each process that reads
        self._work = dataset.source.work
        self._total = 0  # rows of an epoch
        self._timeout = timeout
        self._stream: Iterator[tuple[Fetch, Fetched]] | None = None
        self._next: int | None = None  # the epoch whose fetches come next on the stream

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the next epoch."""
        if len(self._times) == len(self._epochs):
            raise RuntimeError(f"This Loader was made for {len(self._epochs)} epochs.")
        epoch, times = self._epochs[len(self._times)], EpochTimes()
        self._times.append(times)
        return self._clocked(self._ready(epoch, times), times)

    def _start(self, epoch: int) -> Iterator[tuple[Fetch, Fetched]]:
        """Read from the beginning of an epoch on."""
        self.close()
        epochs = range(epoch, self._epochs.stop)
        fetches = (f for each in epochs for f in self._order.epoch(each))
        return read_ahead(self._reader, self._wanted(fetches), self._tuner, self._timeout)

    def _wanted(self, fetches: Iterator[Fetch]) -> Iterator[Fetch]:
        """Leave out what comes before the first batch."""
        for fetch in fetches:
            if fetch.start + len(fetch.positions) > self._rows_skipped(fetch.epoch):
                yield fetch

    def _rows_skipped(self, epoch: int) -> int:
        """Count the rows of an epoch that are not delivered."""
        return self.batch_size * self._skipped.get(epoch, 0)

    def _clocked(self, batches: Iterator[Batch], times: EpochTimes) -> Iterator[Batch]:
        """Time how long the model waits for each batch."""
        clock = time.perf_counter
        begun = asked = clock()
        moved = 0.0
        try:
            for batch in batches:
                # What was spent on the way to the device is not waited for twice.
                times.wait += clock() - asked - (times.transfer - moved)
                moved = times.transfer
                times.batches += 1
                times.rows += len(batch)
                yield batch
                asked = clock()
                times.seconds = asked - begun
        finally:
            times.seconds = clock() - begun

    def _ready(self, epoch: int, times: EpochTimes) -> Iterator[Batch]:
        """Cut the fetches of one epoch into batches, on the device and augmented."""
        batches = cut(self._fetched(epoch, times), self.batch_size)
        for number, batch in enumerate(batches, self._skipped.get(epoch, 0)):
            begun, behind = time.perf_counter(), self._transfer.behind
            batch = self._transfer(batch)
            # Where the device is behind, the host waits for steps, which counts as computing.
            behind = self._transfer.behind - behind
            times.transfer += time.perf_counter() - begun - behind
            times.wait -= behind
            if self._per_batch:
                batch = self._augmented(batch, epoch, number, times)
            yield batch

    def _augmented(self, batch: Batch, epoch: int, number: int, times: EpochTimes) -> Batch:
        """Run the per-batch functions, on the clock."""
        begun = time.perf_counter()
        X, y = apply_batch(
            self._per_batch, batch.X, batch.y, seed=self.seed, epoch=epoch, batch=number
        )
        seconds = time.perf_counter() - begun
        times.per_batch += seconds
        times.transform += seconds
        return Batch(X, y, batch.weight)

    def _fetched(self, epoch: int, times: EpochTimes) -> Iterator[tuple[int, Batch]]:
        """Take the fetches of one epoch off the stream, with the number of rows left."""
        if self._next != epoch:  # the first one, or the one before was left early
            self._stream = self._start(epoch)
        self._next = None
        while self._next is None:
            before = replace(times)
            # No variable for the rows: it would keep a window alive while the next is read.
            yield self._take(epoch, times)
            self._tune(before, times)
        self._tuner.look(self._rows_left(times))
        self._check_unchanged()  # rows may be read once, and files be added

    def _take(self, epoch: int, times: EpochTimes) -> tuple[int, Batch]:
        """Take the next fetch off the stream."""
        assert self._stream is not None
        fetch, fetched = next(self._stream)
        self._account(fetched.cost, times)
        self._total = fetch.total
        left = fetch.total - fetch.start
        if left == len(fetch.positions):
            self._next = epoch + 1
        # Read whole, since a function may draw random numbers for all its rows at once.
        early = max(0, self._rows_skipped(epoch) - fetch.start)
        return left - early, narrow(fetched.batch, early, len(fetched.batch))

    def _account(self, cost: Cost, times: EpochTimes) -> None:
        """Note what a fetch took, and who holds how much memory."""
        times.read += cost.read
        times.transform += cost.transform
        times.augment += cost.augment
        times.bytes_read += cost.nbytes
        plan = str(self.plan)
        if not times.plan.endswith(plan):
            times.plan += f", then {plan}" if times.plan else plan
        self._memory[cost.pid] = cost.memory
        self._memory[os.getpid()] = recent_memory()
        times.peak_memory = max(times.peak_memory, sum(self._memory.values()))

    def _tune(self, before: EpochTimes, times: EpochTimes) -> None:
        """Let the tuner know what the time since the last fetch went into."""
        seconds = times.seconds - before.seconds
        fetch = Measured(
            rows=times.rows - before.rows,
            seconds=seconds,
            read=times.in_readers - before.in_readers,
            step=times.in_step - before.in_step,
            nbytes=times.bytes_read - before.bytes_read,
        )
        self._tuner.note(fetch, self._rows_left(times))

    def _rows_left(self, times: EpochTimes) -> int:
        """Count the rows that are still to come, in this epoch and later ones."""
        epochs = len(self._epochs) - len(self._times) + 1
        return epochs * self._total - times.rows

    def progress(self) -> EpochTimes:
        """Return the clocks of the epoch that runs, or ran last; they go on."""
        return self._times[-1]

    @property
    def plan(self) -> LoadPlan:
        """How rows are read at present."""
        return self._tuner.plan

    def report(self) -> PipelineReport:
        """Say where the time went.

        Returns
        -------
        PipelineReport
            Of the epochs so far.
        """
        plan = self.plan
        report = PipelineReport(
            plan.mode,
            plan.num_workers,
            plan.reason,
            self._name,
            tuple(self._times),
            cores=n_cores(),
            work=self._work,
            tried=self._tuner.tried,
            start_seconds=start_seconds(),
        )
        advised = report.advises_workers  # to look for an obstacle takes a while
        return replace(report, obstacle=self._tuner.obstacle()) if advised else report

    def close(self) -> None:
        """Stop reading; workers and threads end."""
        if self._stream is not None:
            self._stream.close()  # type: ignore[attr-defined]
        self._stream = self._next = None

    def __enter__(self) -> "Loader":
        """Use as a context that closes."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop reading."""
        self.close()


def cut(fetches: Iterable[tuple[int, Batch]], batch_size: int) -> Iterator[Batch]:
    """Cut batches across the borders of fetches.

    Parameters
    ----------
    fetches : iterable of (int, Batch)
        Rows of the epoch that are left, this fetch included, and the rows.
    batch_size : int
        Rows per batch.

    Yields
    ------
    Batch
        Views where a batch lies in one fetch. The last batch may be smaller; it is not of one
        row unless the epoch is.
    """
    pending: list[Batch] = []
    missing = 0
    for left, rows in fetches:
        start = 0
        while start < len(rows):
            if not pending:
                missing = next_size(left - start, batch_size)
            stop = min(len(rows), start + missing)
            pending.append(narrow(rows, start, stop))
            missing -= stop - start
            start = stop
            if missing == 0:
                yield concat(pending)
                pending = []
        # What is left over is copied, so that it does not keep all rows of the fetch alive.
        pending = [*pending[:-1], *map(copied, pending[-1:])]
        del rows


def next_size(left: int, batch_size: int) -> int:
    """Size of the next batch of an epoch that has so many rows left."""
    return left if left <= batch_size + 1 and (left <= batch_size or batch_size > 1) else batch_size


def fetch_rows(dataset: Dataset, batch_size: int, memory: int, small: int = _SMALL_FETCH) -> int:
    """Rows of one fetch: whole batches where rows are equally cheap, a window where not."""
    most = max(1, memory // _WINDOW_SHARE // dataset.row_nbytes)
    if dataset.source.blocks is not None:
        return most
    batches = max(1, small // (dataset.row_nbytes * batch_size))
    return min(most, batch_size * batches)


def parse_bytes(size: int | str) -> int:
    """Read a number of bytes: 268435456, "256MB" or "1.5 GB", in powers of 1024.

    Raises
    ------
    ValueError
        If it is not a positive number with a unit of B, KB, MB, GB or TB.
    """
    text = str(size).strip().upper().removesuffix("B").removesuffix("I")
    factor = 1
    for power, unit in enumerate("KMGT", start=1):
        if text.endswith(unit):
            text, factor = text[:-1], 1024**power
    try:
        number = int(float(text) * factor)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError(f'shuffle_memory must be bytes or a text such as "256MB", got {size!r}.')
    return number
