"""Where the time went: clocks in the loader, a table and a sentence for the user."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


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
    read : float
        Seconds spent on reading and transforming, summed over the readers; beside training
        unless the mode is "inline".
    """

    rows: int = 0
    batches: int = 0
    seconds: float = 0.0
    wait: float = 0.0
    read: float = 0.0


@dataclass(frozen=True)
class PipelineReport:
    """Where the time of a fit went, as far as batches are concerned.

    Printed, it is a table with a line per epoch and one sentence on top.

    Attributes
    ----------
    mode : str
        "inline", "thread" or "processes".
    num_workers : int
        Number of worker processes.
    reason : str
        Why this mode.
    source : str
        What was read.
    epochs : tuple of EpochTimes
        One entry per epoch.
    """

    mode: str
    num_workers: int
    reason: str
    source: str
    epochs: tuple[EpochTimes, ...]

    @property
    def wait_share(self) -> float:
        """Share of the time in which the model waited for batches, from 0 to 1."""
        seconds = sum(e.seconds for e in self.epochs)
        return sum(e.wait for e in self.epochs) / seconds if seconds else 0.0

    def to_frame(self) -> "pd.DataFrame":
        """Return the table.

        Returns
        -------
        pandas.DataFrame
            A row per epoch: rows, batches, seconds, wait, read, rows_per_second.
        """
        import pandas as pd

        frame = pd.DataFrame([vars(e) for e in self.epochs], columns=list(vars(EpochTimes())))
        frame.index = pd.RangeIndex(1, len(frame) + 1, name="epoch")
        frame["rows_per_second"] = (frame["rows"] / frame["seconds"]).round()
        return frame

    def __str__(self) -> str:
        """Write the sentence and the table."""
        workers = f" with {self.num_workers} workers" if self.num_workers else ""
        sentence = (
            f"{self.wait_share:.0%} of the time the model waited for batches of {self.source}, "
            f"read {self.mode}{workers} ({self.reason})."
        )
        return sentence + "\n" + self.to_frame().round(3).to_string() if self.epochs else sentence
