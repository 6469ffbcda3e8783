"""Scores of rows while they are predicted: one batch of predictions is held, not all."""

from collections.abc import Iterable

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_array

from sklearnish.data import warn
from sklearnish.estimators._predicting.answers import Array, Piece


def accuracy(y: Array, pieces: Iterable[Piece], weight: Array | None) -> float:
    """Compute scikit-learn's accuracy score, holding one batch of predictions at a time."""
    right = 0.0
    for rows, answers in pieces:
        same = (y[rows] == answers).reshape(len(answers), -1).all(axis=1)
        right += float(same.sum() if weight is None else same @ weight[rows])
    return right / (len(y) if weight is None else float(weight.sum()))


def r2(y: Array, pieces: Iterable[Piece], weight: Array | None) -> float:
    """Compute scikit-learn's R2 score, holding one batch of predictions at a time."""
    y = check_array(y, ensure_2d=False, input_name="y_true").reshape(len(y), -1)
    if len(y) < 2:
        for _ in pieces:  # X is checked all the same
            pass
        message = "R^2 score is not well-defined with less than two samples."
        warn(message, UndefinedMetricWarning)
        return float("nan")
    mean = y.mean(0, np.float64) if weight is None else np.average(y, axis=0, weights=weight)
    residual, total = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    for rows, answers in pieces:
        values = answers.reshape(len(answers), -1).astype(np.float64)
        if values.shape[1] != y.shape[1]:
            raise ValueError(f"y has {y.shape[1]} targets, but fit saw {values.shape[1]}.")
        w = np.ones(len(values)) if weight is None else weight[rows]
        residual += w @ (y[rows] - values) ** 2
        total += w @ (y[rows] - mean) ** 2
    # A target that never changes is explained wholly or not at all.
    constant = np.where(residual == 0, 1.0, 0.0)
    scores = np.where(total == 0, constant, 1 - residual / np.where(total == 0, 1, total))
    return float(scores.mean())
