"""Distinct values and how often they come, chunk by chunk."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Counts = tuple[Any, npt.NDArray[np.int64]]
"""Distinct values as an Arrow array, and their counts; the most frequent first."""

_MOST_BYTES = 2**26


class Counter:
    """Counts values exactly, until more than so many are distinct.

    Whether they are too many depends on the set of all values, so the order of rows and chunks
    changes nothing.

    Parameters
    ----------
    most : int
        Distinct values from which no more are counted.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._table: Any = None
        self.too_many = False

    def add(self, values: Any) -> None:
        """Count the values of an Arrow array, of which none is null."""
        if not self.too_many and len(values):
            self.take_in(*counted(values))

    def take_in(self, values: Any, counts: Any) -> None:
        """Take in distinct values and their counts."""
        if self.too_many:
            return
        table = pa.table({"value": values, "count": counts})
        self._table = table if self._table is None else _merged(self._table, table)
        if self._table.num_rows > self._most or self._table.nbytes > _MOST_BYTES:
            self._table, self.too_many = None, True

    def counts(self) -> Counts | None:
        """Return what was counted, in an order of its own; None if it was too much."""
        if self.too_many:
            return None
        if self._table is None:
            return pa.array([], pa.string()), np.empty(0, np.int64)
        order = [("count", "descending"), ("value", "ascending")]
        table = self._table.sort_by(order)
        return table["value"].combine_chunks(), table["count"].to_numpy()


def counted(values: Any) -> tuple[Any, Any]:
    """Return the distinct values of an array, none as a dictionary, and their counts."""
    found = pc.value_counts(values)
    distinct = found.field("values")
    if pa.types.is_dictionary(distinct.type):
        distinct = distinct.cast(distinct.type.value_type)
    return distinct, found.field("counts")


def _merged(one: Any, other: Any) -> Any:
    """Add the counts of two tables."""
    both = pa.concat_tables([one, other]).group_by("value", use_threads=False)
    return both.aggregate([("count", "sum")]).rename_columns(["value", "count"])
