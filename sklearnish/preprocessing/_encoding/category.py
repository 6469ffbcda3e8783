"""Categories: a code for each level, one for what is unknown, one for what is missing."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.preprocessing._encoding.counts import Counts
from sklearnish.preprocessing._encoding.outputs import Output
from sklearnish.preprocessing._encoding.values import comparable


@dataclass(frozen=True)
class CategoryColumn:
    """A column of few values.

    Attributes
    ----------
    levels : tuple
        Values that have a code of their own: 1 for the first.
    gaps : bool
        Whether missing values have a code, the last one; otherwise they are unknown.
    family : str
        Family of the values, "text" or "number".
    """

    levels: tuple[Any, ...]
    gaps: bool
    family: str

    kind = "category"
    n_outputs = 1

    def outputs(self, name: str) -> list[Output]:
        """Name the column that comes out, and its codes."""
        return [Output(name, "category", labels_of(name, self.levels, missing=self.gaps))]

    def encode(self, column: Any, out: npt.NDArray[np.float32]) -> None:
        """Write the codes."""
        out[0] = codes_of(column, self.levels)
        if self.gaps and (column.null_count or pa.types.is_floating(column.type)):
            no_value = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
            out[0, no_value] = len(self.levels) + 1


def category_column(counts: Counts, *, most: int, gaps: bool, family: str) -> CategoryColumn:
    """Give a code to each of the most frequent values."""
    values, _ = counts
    levels = sorted(values[:most].to_pylist())
    return CategoryColumn(tuple(levels), gaps, family)


def labels_of(name: str, levels: tuple[Any, ...], *, missing: bool) -> tuple[str, ...]:
    """Name the codes of a column."""
    last = [f"{name}:missing"] if missing else []
    return (f"{name}:unknown", *(f"{name}={_shown(level)}" for level in levels), *last)


def _shown(level: Any) -> str:
    """Write a level; whole numbers without a fraction."""
    return str(int(level)) if isinstance(level, float) and level.is_integer() else str(level)


def codes_of(column: Any, levels: tuple[Any, ...]) -> npt.NDArray[np.int32]:
    """Return 1 for the first level and so on, 0 for anything else."""
    values, known = comparable(column), pa.array(levels)
    if pa.types.is_dictionary(values.type):
        of_dictionary = np.append(_found(values.dictionary, known), np.int32(0))
        codes: npt.NDArray[np.int32] = of_dictionary[_ints(values.indices)]
        return codes
    return _found(values, known)


def _found(values: Any, known: Any) -> npt.NDArray[np.int32]:
    """Look values up."""
    if pa.types.is_null(values.type):
        return np.zeros(len(values), np.int32)
    if values.type != known.type:
        common = pa.large_string() if pa.types.is_string(known.type) else pa.float64()
        values, known = values.cast(common, safe=False), known.cast(common, safe=False)
    return _ints(pc.index_in(values, value_set=known)) + np.int32(1)


def _ints(indices: Any) -> npt.NDArray[np.int32]:
    """Return indices as NumPy's, -1 for null."""
    if indices.null_count:
        indices = indices.cast(pa.int32()).fill_null(-1)
    return np.asarray(indices.to_numpy(zero_copy_only=False))
