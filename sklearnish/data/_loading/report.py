"""Where the time went: clocks in the loader, a table and a sentence for the user."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sklearnish.data._html import as_html
from sklearnish.data._reading.clock import Times
from sklearnish.data._reading.plan import LoadPlan, Mode, best_workers, predicted

if TYPE_CHECKING:
    import pandas as pd

_NEVER = 0.05
"""Share of waiting below which reading is not worth a thought."""

_TOLD = 5
"""Rows that were left out and are named when a report is printed."""

_WORTH_TELLING = 1.1
"""Expected gain from which a remedy is named."""


@dataclass
class EpochTimes(Times):
    """One pass over the data: what Times holds, and how it was read.

    Attributes
    ----------
    peak_memory : int
        Most bytes of private and shared memory of this process and its readers, as seen after
        each fetch; 0 where the system does not tell.
    plan : str
        How rows were read.
    """

    peak_memory: int = 0
    plan: str = ""


@dataclass(frozen=True, repr=False)
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
    obstacle, cure : str
        Why there can be no workers, where they would be advised, and what to do about it.
    waits : tuple of float
        Where several processes trained together: how many seconds each of them waited for its
        rows. The rest of the report is that of the first.
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
    cure: str = field(default="", repr=False)
    waits: tuple[float, ...] = field(default=(), repr=False)

    @property
    def plan(self) -> str:
        """How rows were read last, in words."""
        return str(LoadPlan(self.mode, self.num_workers, self.reason))

    @property
    def _total(self) -> Times:
        """The epochs together."""
        total = Times()
        for epoch in self.epochs:
            total += epoch
        return total

    @property
    def wait_share(self) -> float:
        """Share of the time in which the model waited for batches, from 0 to 1."""
        total = self._total
        return total.wait / total.seconds if total.seconds else 0.0

    @property
    def bottleneck(self) -> str:
        """Say what the time went into, and what would save most of it."""
        waited = f"{self.wait_share:.0%} of the time went into waiting for {self._what}."
        if self.wait_share < _NEVER:
            return f"{waited} The training step is the bottleneck."
        return f"{waited} {self._remedy()}"

    @property
    def _what(self) -> str:
        """Name what the model waits for most."""
        total = self._total
        if _waits_for_batch_functions(total):
            return f"per-batch functions on {self.source}"
        if total.in_map + total.augment > total.read:
            where = "augment=" if total.augment > total.in_map else "ds.map or ds.map_batches"
            return f"functions of rows in {where} on {self.source}"
        return f"{self.work} {self.source}"

    def _remedy(self) -> str:
        """Name what would help, and how much: more readers, else rows that are ready."""
        total = self._total
        if _waits_for_batch_functions(total):
            return (
                "They run between reading and the training step, where workers do not help: make "
                "them faster, or do their work row by row in ds.map or augment=, or in the module."
            )
        n, after = best_workers(total, self.cores)
        if self.advises_workers:
            if self.obstacle:
                cure = f": {self.cure}" if self.cure else ""
                return f"Worker processes would help, but {self.obstacle}{cure}."
            gain = total.seconds / after
            return f"num_workers={n} could make the fit about {gain:.1f}x faster."
        if self.work == "copying" and total.in_map + total.augment <= total.read:
            return "Reading is limited by the speed of memory or disk."
        return f"{self._without_workers(total)} ({self._no_workers(total, n, after)}.)"

    @property
    def advises_workers(self) -> bool:
        """Whether more workers would be the remedy, if nothing is in their way."""
        total = self._total
        n, after = best_workers(total, self.cores)
        return (
            self.wait_share >= _NEVER
            and not _waits_for_batch_functions(total)
            and self._more_help(total, n, after)
            and total.seconds - after > self.start_seconds
        )

    def _more_help(self, total: Times, n: int, after: float) -> bool:
        """Say whether so many workers promise to be worth telling of."""
        gain = total.seconds / max(after, 1e-9)
        return n > self.num_workers and gain >= _WORTH_TELLING and not self.tried

    def _no_workers(self, total: Times, n: int, after: float) -> str:
        """Say why more workers are not the remedy."""
        if self._more_help(total, n, after):
            start = f"{self.start_seconds:g} s"
            return (
                f"The fit ({total.seconds:.2g} s) is too short to repay starting workers ({start})"
            )
        return f"More workers would not help on {self.cores} core{'s' * (self.cores > 1)}"

    def _without_workers(self, total: Times) -> str:
        """Name what else would help; what is random cannot be kept for the next epoch."""
        stays = total.augment + (total.read if self.work == "copying" else 0.0)
        if total.augment > total.in_readers - stays:
            return (
                "Functions in augment= run anew in each epoch, so ds.cache does not help: make "
                "them faster, or move what is not random into ds.map."
            )
        readers = 0 if self.mode == "inline" else max(1, self.num_workers)
        cached = replace(total, read=stays, transform=total.per_batch)
        gain = total.seconds / max(predicted(cached, readers, self.cores), 1e-9)
        return (
            f"Caching the rows with ds.cache(folder) could make the fit up to {gain:.1f}x faster."
        )

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
        if not self.epochs:
            return f"{self._where}."
        told = f"{self.bottleneck}\n{self._where}:\n{self._short_table().to_string()}"
        told = f"{told}\n{self.slowest}" if self.waits else told
        return f"{told}\n{self.left_out}" if self.n_skipped else told

    def __repr__(self) -> str:
        """Show what is printed."""
        return str(self)

    def _repr_html_(self) -> str:
        """Show the same in a notebook."""
        if not self.epochs:
            return as_html(f"{self._where}.")
        left_out = [self.left_out] * (self.n_skipped > 0)
        left_out += [self.slowest] if self.waits else []
        return as_html(f"{self.bottleneck}\n{self._where}:", self._short_table(), *left_out)

    @property
    def _where(self) -> str:
        """Say what was read, and how."""
        how = {"inline": "inline", "thread": "by a thread"}.get(self.mode, f"by {self.plan}")
        return f"{self.source}, read {how} ({self.reason})"

    def _short_table(self) -> "pd.DataFrame":
        """Round the table, in megabytes, and leave out what was not used."""
        frame = self.to_frame()
        frame["MB_read"] = frame.pop("bytes_read") / 2**20
        frame["peak_MB"] = frame.pop("peak_memory") / 2**20
        whole = ["rows_per_second", "MB_read", "peak_MB"]
        frame[whole] = frame[whole].round().astype("int64")
        unused = [name for name in ("augment", "per_batch") if not frame[name].any()]
        return frame.drop(columns=unused).round(3)

    @property
    def slowest(self) -> str:
        """Name the process for whose rows the others had to wait most."""
        longest = max(self.waits)
        rank, seconds = self.waits.index(longest), sum(epoch.seconds for epoch in self.epochs)
        return (
            f"Of {len(self.waits)} processes, of which this is the first, process {rank} waited "
            f"longest for its rows: {longest:.3g} of {seconds:.3g} s."
        )

    @property
    def left_out(self) -> str:
        """Say which rows were left out."""
        first = ", ".join(self.skipped[:_TOLD])
        more = ", ..." if len(self.skipped) > _TOLD else ""
        rows, they = ("rows are", "they are") if self.n_skipped > 1 else ("row is", "it is")
        return (
            f"{self.n_skipped:,} {rows} left out because {they} damaged, NaN or infinite: "
            f"{first}{more}."
        )


def _waits_for_batch_functions(total: Times) -> bool:
    """Tell whether they take most of the time in which the model waits."""
    return total.per_batch > total.wait / 2
