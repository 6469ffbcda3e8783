"""Where the time went: clocks in the loader, a table and a sentence for the user."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sklearnish.data._tuning import LoadPlan, Measured, Mode

if TYPE_CHECKING:
    import pandas as pd

_NEVER = 0.05
"""Share of waiting below which reading is not worth a thought."""

_TOLD = 5
"""Rows that were left out and are named when a report is printed."""

_WORTH_TELLING = 1.1
"""Expected gain from which a remedy is named."""

_CURES = {
    "sent to one": ": define the function at the top level of a module",
    "main thread": ": call fit in the main thread",
    "shared memory": ": make it larger, or shuffle_memory smaller",
    "__name__": ": put the fit below it",
}
"""What to do, by words of what is in the way of worker processes."""


@dataclass
class EpochTimes:
    """One pass over the data.

    Attributes
    ----------
    rows, batches : int
        How many were delivered.
    seconds : float
        From the first batch asked for to the last one used.
    wait : float
        Seconds in which the model had no batch to work on.
    read, transform : float
        Seconds spent on reading rows and on functions of rows, summed over the readers, beside
        training unless the mode is "inline"; and on per-batch functions.
    augment, per_batch : float
        Of `transform`: functions of rows in ``augment=``, and per-batch functions. The latter run
        between reading and the training step, so that the model waits for them.
    transfer : float
        Seconds spent on bringing batches to the device.
    bytes_read : int
        Bytes of the rows as they were read, before functions of rows.
    peak_memory : int
        Most bytes of private and shared memory of this process and its readers, as seen after
        each fetch; 0 where the system does not tell.
    plan : str
        How rows were read.
    """

    rows: int = 0
    batches: int = 0
    seconds: float = 0.0
    wait: float = 0.0
    read: float = 0.0
    transform: float = 0.0
    transfer: float = 0.0
    bytes_read: int = 0
    peak_memory: int = 0
    plan: str = ""
    augment: float = 0.0
    per_batch: float = 0.0

    @property
    def in_readers(self) -> float:
        """Seconds of what worker processes can do."""
        return self.read + self.transform - self.per_batch

    @property
    def in_step(self) -> float:
        """Seconds of what is done in this process, batch after batch."""
        return self.seconds - self.wait + self.per_batch

    @property
    def compute(self) -> float:
        """Seconds of the training step, and of all else that was done between batches."""
        return self.seconds - self.wait - self.transfer


@dataclass(frozen=True)
class PipelineReport:
    """Where the time of a fit went, as far as batches are concerned.

    Printed, it is a sentence that names the bottleneck, and a table with a line per epoch.

    Attributes
    ----------
    mode : str
        "inline", "thread" or "processes", as chosen last.
    num_workers : int
        Number of worker processes.
    reason : str
        Why this mode.
    source : str
        What was read.
    epochs : tuple of EpochTimes
        One entry per epoch.
    cores : int
        Cores that the process may use.
    work : str
        What reading consists of: "reading", "reading and decoding" or "copying".
    tried: bool
        Whether more than one plan was measured, and the best taken.
    skipped : tuple of str
        The rows that were left out because they are damaged, NaN or infinite, neighbours
        together, in at most a thousand entries; only with ``on_bad_rows="skip"``.
    n_skipped : int
        How many they are.
    start_seconds : float
        What starting workers takes.
    obstacle : str
        Why there can be no workers, where they would be advised.
    """

    mode: Mode
    num_workers: int
    reason: str
    source: str
    epochs: tuple[EpochTimes, ...] = field(repr=False)
    cores: int = 1
    work: str = "reading"
    tried: bool = False
    skipped: tuple[str, ...] = field(default=(), repr=False)
    n_skipped: int = 0
    start_seconds: float = field(default=0.0, repr=False)
    obstacle: str = field(default="", repr=False)

    @property
    def plan(self) -> str:
        """How rows were read last, in words."""
        return str(LoadPlan(self.mode, self.num_workers, self.reason))

    @property
    def wait_share(self) -> float:
        """Share of the time in which the model waited for batches, from 0 to 1."""
        seconds = self._sum("seconds")
        return self._sum("wait") / seconds if seconds else 0.0

    @property
    def bottleneck(self) -> str:
        """Say in a sentence what the time went into, and what would save most of it."""
        share = f"{self.wait_share:.0%} of the time the model waited"
        if self.wait_share < _NEVER:
            return f"{share}: the training step is the bottleneck, not {self._what}."
        return f"{share} for {self._what}; {self._remedy()}."

    @property
    def _what(self) -> str:
        """Name what the model waits for most."""
        if self._waits_for_batch_functions:
            return f"per-batch functions, over {self.source}"
        if self._map + self._augment > self._sum("read"):
            where = " in augment=" * (self._augment > self._map)
            return f"functions of rows{where}, over {self.source}"
        return f"{self.work} {self.source}"

    def _remedy(self) -> str:
        """Name what would help, and how much: more readers, else rows that are ready."""
        if self._waits_for_batch_functions:
            return (
                "they run between reading and the training step, where workers do not help: make "
                "them faster, or do their work row by row in ds.map or augment=, or in the module"
            )
        n, after = self._best_workers()
        now = self._sum("seconds")
        if self.advises_workers:
            return self._hindered or f"num_workers={n} would be about {now / after:.1f}x as fast"
        if self.work == "copying" and self._map + self._augment <= self._sum("read"):
            return "they are copied as fast as memory, or the disk, gives them"
        cores = f"{self.cores} core{'s' * (self.cores > 1)}"
        no_help = f"more workers would not help on {cores}"
        if self._more_help(n, after):
            no_help = (
                f"{now:.2g} s are too few for workers, which take {self.start_seconds:g} s to start"
            )
        return f"{no_help}; {self._without_workers(now)}"

    @property
    def advises_workers(self) -> bool:
        """Whether more workers would be the remedy, if nothing is in their way."""
        n, after = self._best_workers()
        return (
            self.wait_share >= _NEVER
            and not self._waits_for_batch_functions
            and self._more_help(n, after)
            and self._sum("seconds") - after > self.start_seconds
        )

    def _more_help(self, n: int, after: float) -> bool:
        """Say whether so many workers promise to be worth telling of."""
        gain = self._sum("seconds") / max(after, 1e-9)
        return n > self.num_workers and gain >= _WORTH_TELLING and not self.tried

    @property
    def _hindered(self) -> str:
        """Say what is in the way of workers, and how to remove it; "" if nothing is."""
        if not self.obstacle:
            return ""
        cures = [cure for words, cure in _CURES.items() if words in self.obstacle]
        return f"worker processes would help, but {self.obstacle}{''.join(cures)}"

    def _best_workers(self) -> tuple[int, float]:
        """Return how many workers are enough, and the seconds that the fit would take."""
        measured = self._measured(self._sum("in_readers"))
        after = {n: measured.predicted(n, self.cores) for n in range(1, self.cores + 1)}
        n = min(n for n in after if after[n] <= min(after.values()) / 0.97)
        return n, after[n]

    def _without_workers(self, now: float) -> str:
        """Name what else would help; what is random cannot be kept for the next epoch."""
        stays = self._augment + (self._sum("read") if self.work == "copying" else 0.0)
        if self._augment > self._sum("in_readers") - stays:
            return (
                "functions in augment= are applied anew in each epoch, so that no ds.cache helps: "
                "make them faster, or move what is not random into ds.map"
            )
        readers = 0 if self.mode == "inline" else max(1, self.num_workers)
        gain = now / max(self._measured(stays).predicted(readers, self.cores), 1e-9)
        return f"rows that are ready, by ds.cache(path), would be up to {gain:.1f}x as fast"

    def _measured(self, read: float) -> Measured:
        """Say what the fit took, with so many seconds in the readers."""
        nbytes = int(self._sum("bytes_read"))
        return Measured(rows=1, read=read, step=self._sum("in_step"), nbytes=nbytes)

    @property
    def _waits_for_batch_functions(self) -> bool:
        """Whether they take most of the time in which the model waits."""
        return self._sum("per_batch") > self._sum("wait") / 2

    @property
    def _augment(self) -> float:
        """Seconds of functions of rows in ``augment=``."""
        return self._sum("augment")

    @property
    def _map(self) -> float:
        """Seconds of the Dataset's own functions of rows."""
        return self._sum("transform") - self._sum("per_batch") - self._augment

    def _sum(self, name: str) -> float:
        """Add up a column."""
        return float(sum(getattr(epoch, name) for epoch in self.epochs))

    def to_frame(self) -> "pd.DataFrame":
        """Return the table.

        Returns
        -------
        pandas.DataFrame
            A row per epoch: the fields of EpochTimes, compute and rows_per_second.
        """
        import pandas as pd

        columns = [*vars(EpochTimes()), "compute"]
        rows = [[getattr(epoch, name) for name in columns] for epoch in self.epochs]
        frame = pd.DataFrame(rows, columns=columns)
        frame.index = pd.RangeIndex(1, len(frame) + 1, name="epoch")
        frame.insert(
            3, "rows_per_second", (frame["rows"] / frame["seconds"].clip(lower=1e-9)).round()
        )
        return frame[[*(name for name in frame if name != "plan"), "plan"]]

    def __str__(self) -> str:
        """Write the sentence, the plan and a short table."""
        plan = f"{self.source}, read {self.plan} ({self.reason})"
        if not self.epochs:
            return plan + "."
        frame = self.to_frame()
        frame["MB_read"] = frame.pop("bytes_read") / 2**20
        frame["peak_MB"] = frame.pop("peak_memory") / 2**20
        whole = ["rows_per_second", "MB_read", "peak_MB"]
        frame[whole] = frame[whole].round().astype("int64")
        unused = [name for name in ("augment", "per_batch") if not frame[name].any()]
        frame = frame.drop(columns=unused)
        told = f"{self.bottleneck}\n{plan}:\n{frame.round(3).to_string()}"
        return f"{told}\n{self.left_out}" if self.n_skipped else told

    @property
    def left_out(self) -> str:
        """Say which rows were left out."""
        first = ", ".join(self.skipped[:_TOLD])
        more = ", ..." if len(self.skipped) > _TOLD else ""
        return (
            f"{self.n_skipped:,} row{'s are' if self.n_skipped > 1 else ' is'} left out, damaged, "
            f"NaN or infinite: {first}{more}."
        )
