"""SimpleImputer and MissingIndicator: what stands for missing values, and where there are some."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from sklearnish.preprocessing._streaming.by_value import SumsByValue
from sklearnish.preprocessing._streaming.chunk import Chunk, column, pick, stack
from sklearnish.preprocessing._streaming.encoders import counts
from sklearnish.preprocessing._streaming.learner import Fitted, Learner

Mask = npt.NDArray[np.bool_]


class OfGaps(Learner):
    """Fits to a few rows that have a gap, and a value, in every column that has some at all.

    Means and most frequent values of all rows then take the place of those of these rows.
    """

    def __init__(self, imputer: Any, head: Chunk) -> None:
        self._imputer = clone(imputer).fit(head.X)  # it says what is wrong
        n = head.X.shape[1]
        self._seen = np.zeros((2, n), dtype=bool)
        self._witnesses: list[Any] = []
        kinds = {"mean": _Means, "most_frequent": _Modes}
        self._statistics = kinds.get(getattr(imputer, "strategy", ""), _Nothing)(n)

    def add(self, chunk: Chunk) -> None:
        """Look for gaps."""
        gaps = _gaps(chunk.X, self._imputer.missing_values)
        found = np.stack([gaps, ~gaps])
        new = found.any(axis=1) & ~self._seen
        if new.any():
            first = found.argmax(axis=1)[new]
            self._witnesses.append(pick(chunk.X, np.unique(first)))
            self._seen |= new
        self._statistics.add(chunk.X, ~gaps)

    def end_pass(self) -> None:
        """Fit."""
        imputer = self._imputer.fit(stack(self._witnesses))
        for j, value in self._statistics.values().items():
            imputer.statistics_[j] = value
        self.fitted = Fitted(imputer)


class _Nothing:
    """A constant, or no value at all, is learned from no row."""

    def __init__(self, n: int) -> None:
        self.n = n

    def add(self, X: Any, there: Mask) -> None:
        """Look at values that are there."""

    def values(self) -> dict[int, Any]:
        """Give the value of each column that has any."""
        return {}


class _Means(_Nothing):
    """Means of columns."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self._sums, self._counts = np.zeros(n), np.zeros(n, np.int64)

    def add(self, X: Any, there: Mask) -> None:
        """Sum up."""
        self._sums += np.sum(np.asarray(X, dtype=np.float64), axis=0, where=there)
        self._counts += there.sum(axis=0)

    def values(self) -> dict[int, Any]:
        """Divide."""
        return {int(j): self._sums[j] / self._counts[j] for j in np.flatnonzero(self._counts)}


class _Modes(_Nothing):
    """Most frequent values of columns; of several, the smallest."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self._columns = [SumsByValue() for _ in range(n)]

    def add(self, X: Any, there: Mask) -> None:
        """Count."""
        for j, counted in enumerate(self._columns):
            counted.add(pick(column(X, j), there[:, j]), counts)

    def values(self) -> dict[int, Any]:
        """Find the largest counts."""
        merged = enumerate(counted.merged() for counted in self._columns)
        return {j: min(values[n == n.max()]) for j, (values, n) in merged if len(n)}


def _gaps(X: Any, missing: Any) -> Mask:
    """Find missing values."""
    import pandas as pd

    gaps = pd.isna(X) if pd.isna(missing) else missing == X
    return np.asarray(gaps, dtype=bool)
