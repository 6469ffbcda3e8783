"""The ready batches of one whole fit: fetches in, batches on the device out.

    Order -> fetch -> read (inline, in a thread, in worker processes) -> cut -> device

The stream of batches is the same in all modes: a mode only decides where a fetch is read.
"""

import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sklearnish.data._functions.applying import apply_batch
from sklearnish.data._functions.functions import PerBatch
from sklearnish.data._loading.cut import Rows, cut
from sklearnish.data._loading.report import EpochTimes, PipelineReport
from sklearnish.data._loading.tuner import Tuner, start_seconds
from sklearnish.data._order.samplers import Fetch, Order
from sklearnish.data._order.shares import WHOLE, Share
from sklearnish.data._order.sizes import n_batches
from sklearnish.data._reading.ahead import read_ahead
from sklearnish.data._reading.plan import LoadPlan
from sklearnish.data._reading.reader import Fetched, Reads
from sklearnish.data._system.machine import n_cores, recent_memory
from sklearnish.data._tensors.batch import Batch, narrow
from sklearnish.data._tensors.transfer import Transfer


@dataclass(eq=False, repr=False)
class Loader:
    """Batches of a view for all epochs of a fit; :func:`prepare_loader` makes one.

    Each ``iter()`` goes through the next epoch. The last batch of an epoch is kept; one of fewer
    rows than `min_batch_size` joins the one before it.

    Parameters
    ----------
    order : Order
        Which rows are read, when.
    reader : Reads
        Reads one fetch.
    tuner : Tuner
        Says where fetches are read.
    transfer : Transfer
        Puts batches on the device.
    batch_size : int
        Rows per batch.
    epochs : range
        The numbers of the epochs that may be asked for; a continued fit goes on with the next one.
    min_batch_size : int, default=2
        Rows of the last batch of an epoch.
    first_batch : int, default=0
        Number of the first batch in the first epoch: those before it are not delivered, and their
        fetches not read.
    per_batch : tuple of PerBatch, default=()
        Random functions of batches.
    timeout : float, default=300
        Seconds to wait for a worker process.
    share : Share, default=WHOLE
        Which rows of each batch this process reads; all, unless several train together.
    """

    order: Order
    reader: Reads
    tuner: Tuner
    transfer: Transfer
    batch_size: int
    epochs: range
    min_batch_size: int = 2
    first_batch: int = 0
    per_batch: tuple[PerBatch, ...] = ()
    timeout: float = 300
    share: Share = WHOLE

    _times: list[EpochTimes] = field(default_factory=list, init=False)
    _orders: dict[int, int] = field(default_factory=dict, init=False)  # hashes, of each epoch
    _memory: dict[int, int] = field(default_factory=dict, init=False)  # of each reading process
    _total: int = field(default=0, init=False)  # rows of an epoch
    _stream: Iterator[tuple[Fetch, Fetched]] | None = field(default=None, init=False)
    _next: int | None = field(default=None, init=False)  # the epoch that comes next on the stream

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the next epoch."""
        if len(self._times) == len(self.epochs):
            raise RuntimeError(f"This Loader was made for {len(self.epochs)} epochs.")
        epoch, times = self.epochs[len(self._times)], EpochTimes()
        self._times.append(times)
        return self._clocked(self._ready(epoch, times), times)

    def _start(self, epoch: int) -> Iterator[tuple[Fetch, Fetched]]:
        """Read from the beginning of an epoch on."""
        self.close()
        epochs = range(epoch, self.epochs.stop)
        fetches = (self._noted(f) for each in epochs for f in self.order.epoch(each))
        wanted = (self._own(f) for f in fetches if self._skipped(f) < f.n_rows)
        return read_ahead(self.reader, wanted, lambda: self.plan, self.timeout)

    def _noted(self, fetch: Fetch) -> Fetch:
        """Note which rows a fetch has, if others are to have the same."""
        if not self.share.is_whole:
            before = 0 if fetch.start == 0 else self._orders[fetch.epoch]
            self._orders[fetch.epoch] = zlib.crc32(fetch.positions.data, before)
        return fetch

    def _own(self, fetch: Fetch) -> Fetch:
        """Leave out of a fetch what other processes read."""
        dataset, sizes = self.order.dataset, (self.batch_size, self.min_batch_size)
        return fetch if self.share.is_whole else self.share.of(fetch, dataset, *sizes)

    def _skipped(self, fetch: Fetch) -> int:
        """Count the rows of a fetch that come before the first batch."""
        early = self.batch_size * self._batches_skipped(fetch.epoch) - fetch.start
        return min(fetch.n_rows, max(0, early))

    def _batches_skipped(self, epoch: int) -> int:
        """Count the batches of an epoch that are not delivered."""
        return self.first_batch if epoch == self.epochs.start else 0

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
        batches = cut(self._fetched(epoch, times), self.batch_size, self.min_batch_size)
        for number, batch in enumerate(batches, self._batches_skipped(epoch)):
            begun, behind = time.perf_counter(), self.transfer.behind
            batch = self.transfer(batch)
            # Where the device is behind, the host waits for steps, which counts as computing.
            behind = self.transfer.behind - behind
            times.transfer += time.perf_counter() - begun - behind
            times.wait -= behind
            if self.per_batch and len(batch):
                batch = self._augmented(batch, epoch, number, times)
            yield batch

    def _augmented(self, batch: Batch, epoch: int, number: int, times: EpochTimes) -> Batch:
        """Run the per-batch functions, on the clock."""
        begun, number = time.perf_counter(), number * self.share.size + self.share.rank
        X, y = apply_batch(
            self.per_batch, batch.X, batch.y, seed=self.order.seed, epoch=epoch, batch=number
        )
        seconds = time.perf_counter() - begun
        times.per_batch += seconds
        times.transform += seconds
        return Batch(X, y, batch.weight)

    def _fetched(self, epoch: int, times: EpochTimes) -> Iterator[Rows]:
        """Take the fetches of one epoch off the stream."""
        if self._next != epoch:  # the first one, or the one before was left early
            self._stream = self._start(epoch)
        self._next = None
        while self._next is None:
            before = replace(times)
            # No variable for the rows: it would keep a window alive while the next is read.
            yield self._take(epoch, times)
            self.tuner.note(times - before, self._rows_left(times))
        self.tuner.look(self._rows_left(times))
        self.order.dataset.source.check_unchanged()  # rows may be read once, and files be added

    def _take(self, epoch: int, times: EpochTimes) -> Rows:
        """Take the next fetch off the stream."""
        assert self._stream is not None
        fetch, fetched = next(self._stream)
        self._account(fetched, times)
        self._total = fetch.total
        left = fetch.total - fetch.start
        if left == fetch.n_rows:
            self._next = epoch + 1
        rows = Rows(left, fetched.batch, fetch.n_rows)
        if fetch.part is not None:
            used = fetch.part.used
            offsets = fetch.part.read[:used]
            rows = Rows(left, narrow(fetched.batch, 0, used), fetch.n_rows, offsets)
        # Read whole, since a function may draw random numbers for all its rows at once.
        return rows.without(self._skipped(fetch))

    def _account(self, fetched: Fetched, times: EpochTimes) -> None:
        """Note what a fetch took, and who holds how much memory."""
        times += fetched.times
        plan = str(self.plan)
        if not times.plan.endswith(plan):
            times.plan += f", then {plan}" if times.plan else plan
        self._memory[fetched.pid] = fetched.memory
        self._memory[os.getpid()] = recent_memory()
        times.peak_memory = max(times.peak_memory, sum(self._memory.values()))

    def _rows_left(self, times: EpochTimes) -> int:
        """Count the rows that are still to come, in this epoch and later ones."""
        epochs = len(self.epochs) - len(self._times) + 1
        return epochs * self._total // self.share.size - times.rows

    def progress(self) -> EpochTimes:
        """Return the clocks of the epoch that runs, or ran last; they go on."""
        return self._times[-1]

    @property
    def n_rows(self) -> int:
        """Rows of the epoch that runs, or ran last, from its first batch on, whoever reads them."""
        epoch = self.epochs[max(0, len(self._times) - 1)]
        return max(0, self._total - self.batch_size * self._batches_skipped(epoch))

    @property
    def order_hash(self) -> int:
        """A hash of the order of the epoch that runs, or ran last; 0 if all rows are read here."""
        return self._orders.get(self.epochs[max(0, len(self._times) - 1)], 0)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of a whole epoch that draws as many rows as there are."""
        return n_batches(len(self.order.dataset), self.batch_size, self.min_batch_size)

    @property
    def plan(self) -> LoadPlan:
        """How rows are read at present."""
        return self.tuner.plan

    def report(self) -> PipelineReport:
        """Say where the time went.

        Returns
        -------
        PipelineReport
            Of the epochs so far.
        """
        plan, source = self.plan, self.order.dataset.source
        report = PipelineReport(
            plan.mode,
            plan.num_workers,
            plan.reason,
            source.name,
            tuple(self._times),
            cores=n_cores(),
            work=source.work,
            tried=self.tuner.tried,
            start_seconds=start_seconds(),
        )
        # To look for an obstacle takes a while.
        obstacle = self.tuner.obstacle() if report.advises_workers else None
        return replace(report, obstacle=obstacle.what, cure=obstacle.cure) if obstacle else report

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
