"""Sums over rows for each distinct value of a column.

Values are those of pandas, compared as scikit-learn's encoders compare them. (``_encoding.counts``
counts Arrow's, up to a limit, for TableEncoder.)
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from sklearnish.data import IntArray
from sklearnish.preprocessing._streaming.chunk import Values

_MOST = 2**16
"""Values that are held at least before equal ones are sought again."""


class SumsByValue:
    """Adds up numbers for each distinct value; values that differ are held once or twice."""

    def __init__(self) -> None:
        self._parts: list[tuple[Any, Values]] = []
        self._kept = 0

    def add(self, column: Any, sums: Callable[[IntArray, int], Values]) -> None:
        """Take in the values of some rows.

        Parameters
        ----------
        column : Series or ndarray, n rows
            The values.
        sums : callable
            Takes the place of each value among the distinct ones, and how many there are; returns
            what is to be added up, an array with one entry for each distinct value.
        """
        codes, found = _distinct(column)
        self._parts.append((found, sums(codes, len(found))))
        if sum(len(values) for values, _ in self._parts) > 2 * self._kept + _MOST:
            self._merge()

    def merged(self) -> tuple[Any, Values]:
        """Give the distinct values, a pandas Series, and their sums."""
        self._merge()
        return self._parts[0]

    def of(self, values: Values) -> Values:
        """Give the sums of some values; 0 where there was none such."""
        import pandas as pd

        found, sums = self.merged()
        places = pd.Index(found, dtype=found.dtype).get_indexer(
            pd.Index(values, dtype=values.dtype)
        )
        known = (places >= 0).reshape(-1, *[1] * (sums.ndim - 1))
        return np.where(known, sums[places], 0)

    def _merge(self) -> None:
        """Find values that are equal, and add up their sums."""
        if len(self._parts) == 1:
            return
        import pandas as pd

        codes, found = _distinct(pd.concat([values for values, _ in self._parts]))
        order = np.argsort(codes, kind="stable")
        sums = np.concatenate([sums for _, sums in self._parts])[order]
        starts = np.searchsorted(codes[order], np.arange(len(found)))
        self._parts = [(found, np.add.reduceat(sums, starts) if len(found) else sums)]
        self._kept = len(found)


def _distinct(column: Any) -> tuple[IntArray, Any]:
    """Give the place of each value among the distinct ones, and these as a Series."""
    import pandas as pd

    codes, found = pd.factorize(column, use_na_sentinel=False)
    if isinstance(found.dtype, pd.CategoricalDtype) or found.dtype == object:
        found = np.array(found)
        for null in np.flatnonzero(pd.isna(found)):  # pandas makes NaN of None
            found[null] = np.asarray(column)[(codes == null).argmax()]
    return codes.astype(np.int64), pd.Series(found, dtype=found.dtype)
