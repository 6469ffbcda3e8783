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
        Seconds spent on reading rows and on functions of rows, summed over the readers; beside
        training unless the mode is "inline".
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
        """Name what readers spend most of their time on."""
        if self._sum("transform") > self._sum("read"):
            return f"functions of rows, over {self.source}"
        return f"{self.work} {self.source}"

    def _remedy(self) -> str:
        """Name what would help, and how much: more readers, else rows that are ready."""
        measured = Measured(
            rows=1,
            read=self._sum("read") + self._sum("transform"),
            step=self._sum("compute") + self._sum("transfer"),
            nbytes=int(self._sum("bytes_read")),
        )
        now = self._sum("seconds")
        gains = {n: now / measured.predicted(n, self.cores) for n in range(1, self.cores + 1)}
        n = min(n for n in gains if gains[n] >= 0.97 * max(gains.values()))
        if n > self.num_workers and gains[n] >= _WORTH_TELLING and not self.tried:
            return f"num_workers={n} would be about {gains[n]:.1f}x as fast"
        if self.work == "copying":
            return "they are copied as fast as memory, or the disk, gives them"
        most = now / max(measured.step, 1e-9)
        return (
            f"more workers would not help on {self.cores} core{'s' * (self.cores > 1)}; rows that "
            f"are ready, by ds.cache(path), would be up to {most:.1f}x as fast"
        )

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
