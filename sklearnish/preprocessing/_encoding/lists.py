"""Lists of one length, such as embeddings: plain numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sklearnish.preprocessing._encoding.outputs import Output, missing
from sklearnish.preprocessing._encoding.values import Floats, numbers

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class ListColumn:
    """A column of lists of one length; each item is standardised.

    Attributes
    ----------
    mean, scale : ndarray of shape (length,)
        What is subtracted of each item, and by what it is divided then.
    gaps : bool
        Whether `fit` saw rows without a list, or with missing items, which count as the mean. So
        does infinity.
    """

    mean: Floats
    scale: Floats
    gaps: bool

    kind = "number"
    family = "list"

    @property
    def n_outputs(self) -> int:
        """Count the columns that come out."""
        return self.gaps + len(self.mean)

    def outputs(self, name: str) -> list[Output]:
        """Name the columns that come out."""
        gaps = [missing(name)] if self.gaps else []
        return [*gaps, *(Output(f"{name}:{i}", "indicator") for i in range(len(self.mean)))]

    def encode(self, column: Any, out: npt.NDArray[np.float32]) -> None:
        """Write the columns that come out, one after the other."""
        length = len(self.mean)
        if column.null_count == len(column):
            column = pa.nulls(len(column), pa.list_(pa.float64(), length))
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            column = column.cast(pa.list_(column.type.value_type, length))
        values = items(column)
        if values.shape[1] != length:
            raise ValueError(f"Lists of {length} values are wanted, as in fit.")
        no_value = np.isnan(values)
        if self.gaps:
            out[0] = no_value.any(1)
        out[self.gaps :] = np.where(
            no_value, 0.0, ((values - self.mean) / self.scale).clip(-_LARGEST, _LARGEST)
        ).T


def items(column: Any) -> Floats:
    """Return the lists as rows of a matrix; what is missing or infinite is NaN."""
    length = column.type.list_size
    if column.null_count:
        values = np.full((len(column), length), np.nan)
        known = column.is_valid().to_numpy(zero_copy_only=False)
        values[known] = items(column.drop_null())
        return values
    values = numbers(column.flatten()).reshape(-1, length)
    return np.where(np.abs(values) <= _LARGEST, values, np.nan)


def list_column(sample: Floats, *, gaps: bool) -> ListColumn:
    """Learn mean and deviation of each item from the rows of a sample."""
    sample = np.sort(sample, axis=0)  # so that the order of rows changes no digit
    known = ~np.isnan(sample)
    n = known.sum(0).clip(1)
    mean = np.where(known, sample, 0.0).sum(0) / n
    scale = np.sqrt((np.where(known, sample - mean, 0.0) ** 2).sum(0) / n)
    return ListColumn(mean, np.where(scale > 0, scale, 1.0), gaps)
