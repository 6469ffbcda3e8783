"""OneHotEncoder and OrdinalEncoder: the distinct values of each column, with their counts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from sklearnish.data import IntArray
from sklearnish.preprocessing._streaming.by_value import SumsByValue
from sklearnish.preprocessing._streaming.chunk import Chunk, Values, column
from sklearnish.preprocessing._streaming.learner import Fitted, Learner


def counts(codes: IntArray, n: int) -> Values:
    """Count."""
    return np.bincount(codes, minlength=n)


def distinct_rows(like: Any, columns: Sequence[SumsByValue], least: int = 1) -> Any:
    """Make a table in which each column has its values, repeated as often as the table is long."""
    values = [of_column.merged()[0] for of_column in columns]
    n = max(least, *map(len, values))
    values = [one.iloc[np.arange(n) % len(one)] for one in values]
    if not hasattr(like, "iloc"):
        return np.column_stack([np.asarray(one, dtype=like.dtype) for one in values])
    import pandas as pd

    table = pd.concat([one.reset_index(drop=True) for one in values], axis=1)
    return table.set_axis(like.columns, axis=1)


class OfCounts(Learner):
    """Fits the encoder to the distinct values, and lets it ask for their counts."""

    def __init__(self, encoder: Any, head: Chunk) -> None:
        if np.ndim(head.X) != 2:
            clone(encoder).fit(head.X)  # says what is wrong
        self._encoder, self._like, self._n_rows = clone(encoder), head.X, 0
        self._columns = [SumsByValue() for _ in range(head.X.shape[1])]

    def add(self, chunk: Chunk) -> None:
        """Count."""
        self._n_rows += len(chunk.rows)
        for j, counted in enumerate(self._columns):
            counted.add(column(chunk.X, j), counts)

    def end_pass(self) -> None:
        """Fit; which categories are infrequent is scikit-learn's rule, applied to our counts."""
        encoder = self._encoder
        infrequent = encoder._identify_infrequent

        def identify(few: Values, n_rows: int, j: int) -> Any:
            counted = self._columns[j].of(encoder.categories_[j])
            return infrequent(counted[: len(few)], self._n_rows, j)  # missing, the last, may be out

        encoder._identify_infrequent = identify
        encoder.fit(distinct_rows(self._like, self._columns))
        del encoder._identify_infrequent
        self.fitted = Fitted(encoder)
