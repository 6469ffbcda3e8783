"""The clock of all who read and train: what was done, and the seconds it took."""

from dataclasses import dataclass, fields
from typing import Self


@dataclass
class Times:
    """Some work and the seconds it took; of fetches, plans and epochs alike.

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
    transfer : float
        Seconds spent on bringing batches to the device.
    bytes_read : int
        Bytes of the rows as they were read, before functions of rows.
    augment, per_batch : float
        Of `transform`: functions of rows in ``augment=``, and per-batch functions. The latter run
        between reading and the training step, so that the model waits for them.
    """

    rows: int = 0
    batches: int = 0
    seconds: float = 0.0
    wait: float = 0.0
    read: float = 0.0
    transform: float = 0.0
    transfer: float = 0.0
    bytes_read: int = 0
    augment: float = 0.0
    per_batch: float = 0.0

    def __iadd__(self, more: "Times") -> Self:
        """Add what else was done."""
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(more, name))
        return self

    def __sub__(self, before: "Times") -> "Times":
        """Tell what was done since."""
        return Times(*(getattr(self, name) - getattr(before, name) for name in _ADDED))

    @property
    def in_readers(self) -> float:
        """Seconds of what worker processes can do."""
        return self.read + self.transform - self.per_batch

    @property
    def in_map(self) -> float:
        """Seconds of the Dataset's own functions of rows."""
        return self.transform - self.augment - self.per_batch

    @property
    def in_step(self) -> float:
        """Seconds of what is done in this process, batch after batch."""
        return self.seconds - self.wait + self.per_batch

    @property
    def compute(self) -> float:
        """Seconds of the training step, and of all else that was done between batches."""
        return self.seconds - self.wait - self.transfer


_ADDED = tuple(field.name for field in fields(Times))
