"""TargetEncoder: means of the labels for each value, and without the labels of each fold."""

import copy
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils.multiclass import type_of_target

from sklearnish.data import IntArray
from sklearnish.preprocessing._streaming.by_value import SumsByValue
from sklearnish.preprocessing._streaming.chunk import Chunk, Values, column
from sklearnish.preprocessing._streaming.encoders import distinct_rows
from sklearnish.preprocessing._streaming.learner import Fitted, Learner, folds_of


class OfTargets(Learner):
    """Sums up labels by column, value and fold.

    The sums of a value and a fold are, of numbers, ``[n, sum(d), sum(d^2)]``, where ``d`` is the
    distance to the mean of all; of labels, how often there is each.
    """

    def __init__(self, encoder: Any, head: Chunk) -> None:
        if head.all_y is None or head.all_y.ndim != 1 or np.ndim(head.X) != 2:
            clone(encoder).fit(head.X, head.y)  # says what is wrong
        y = np.asarray(head.all_y)
        self._encoder, self._like, self._y = clone(encoder), head.X, y
        chosen = encoder.target_type
        self._type = type_of_target(y, input_name="y") if chosen == "auto" else chosen
        self._classes = None if self._type == "continuous" else np.unique(y)
        self._center = y.mean() if self._classes is None else 0.0
        self._n_folds = check_cv(encoder.cv).get_n_splits()
        self._columns = [SumsByValue() for _ in range(head.X.shape[1])]

    def add(self, chunk: Chunk) -> None:
        """Sum up."""
        folds = folds_of(chunk.rows, self._n_folds)
        for j, sums in enumerate(self._columns):
            sums.add(column(chunk.X, j), partial(self._sums, folds, chunk.y))

    def _sums(self, folds: IntArray, y: Any, codes: IntArray, n: int) -> Values:
        """Sum up the labels of each value and fold."""
        groups, n = codes * self._n_folds + folds, n * self._n_folds
        if self._classes is not None:
            width = len(self._classes)
            labels = groups * width + np.searchsorted(self._classes, y)
            sums = np.bincount(labels, minlength=n * width)
        else:
            d = y - self._center
            each = [np.bincount(groups, weights, minlength=n) for weights in (None, d, d * d)]
            sums = np.stack(each, axis=-1)
        return sums.reshape(n // self._n_folds, self._n_folds, -1)

    def end_pass(self) -> None:
        """Fit to the distinct values, then set the means."""
        encoder, chosen = self._encoder, self._encoder.target_type
        encoder.target_type = self._type
        labels = self._y[:2] if self._classes is None else self._classes
        X = distinct_rows(self._like, self._columns, least=2 * len(labels))
        encoder.fit(X, np.resize(labels, len(X)))
        encoder.target_type = chosen
        sums = [
            of_column.of(categories)
            for of_column, categories in zip(self._columns, encoder.categories_, strict=True)
        ]
        every = self._columns[0].merged()[1].sum(axis=0)
        whole = self._with_means(every.sum(axis=0), [one.sum(axis=1) for one in sums])
        without = [
            self._with_means(
                np.delete(every, k, axis=0).sum(axis=0),
                [np.delete(one, k, axis=1).sum(axis=1) for one in sums],
            )
            for k in range(self._n_folds)
        ]
        self.fitted = Fitted(whole, tuple(without))

    def _with_means(self, every: Values, columns: list[Values]) -> Any:
        """Copy the encoder with the means that sums give: of all rows, and by column and value."""
        encoder = copy.copy(self._encoder)
        n, total, squares = self._moments(every[None])
        mean, variance = total / n, squares / n - (total / n) ** 2
        encoder.encodings_ = []
        for sums in columns:
            encodings = _shrunk(*self._moments(sums), mean, variance, encoder.smooth)
            encoder.encodings_ += list((encodings + self._center).T)
        mean = (mean + self._center).ravel()
        encoder.target_mean_ = mean if self._type == "multiclass" else mean[0]
        return encoder

    def _moments(self, sums: Values) -> tuple[Values, Values, Values]:
        """Give number, sum and sum of squares; of labels as zeros and ones, for each class."""
        if self._classes is None:
            return sums[:, :1], sums[:, 1:2], sums[:, 2:]
        n, ones = sums.sum(axis=1, keepdims=True), sums
        if self._type == "binary":
            ones = sums[:, 1:]
        return n, ones, ones


def _shrunk(
    n: Values, total: Values, squares: Values, mean: Values, variance: Values, smooth: Any
) -> Values:
    """Draw the mean of each value to that of all, by Micci-Barreca (2001)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = total / n
        if smooth == "auto":
            spread = squares - total * means
            share = variance * n / (variance * n + spread / n)
        else:
            share = n / (n + smooth)
        return np.where(np.isnan(share) | (n == 0), mean, share * means + (1 - share) * mean)
