"""Scores: of rows as they are answered, and of validation rows during a fit."""

import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_regressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_array
from sklearn.utils.metaestimators import available_if
from torch import Tensor

from sklearnish.estimators._predicting import Array, Piece


def accuracy(y: Array, pieces: Iterable[Piece], weight: Array | None) -> float:
    """Compute scikit-learn's accuracy score, holding one batch of answers at a time."""
    right = 0.0
    for rows, answers in pieces:
        same = (y[rows] == answers).reshape(len(answers), -1).all(axis=1)
        right += float(same.sum() if weight is None else same @ weight[rows])
    return right / (len(y) if weight is None else float(weight.sum()))


def r2(y: Array, pieces: Iterable[Piece], weight: Array | None) -> float:
    """Compute scikit-learn's R2 score, holding one batch of answers at a time."""
    y = check_array(y, ensure_2d=False, input_name="y_true").reshape(len(y), -1)
    if len(y) < 2:
        for _ in pieces:  # X is checked all the same
            pass
        message = "R^2 score is not well-defined with less than two samples."
        warnings.warn(message, UndefinedMetricWarning, stacklevel=3)
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


class Outputs(BaseEstimator):
    """Stands for an estimator before a scorer: its X is what the module has put out."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any) -> "Outputs":
        """Do nothing: scorers ask that it exists."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        return self.estimator.__sklearn_tags__()

    @property
    def classes_(self) -> Any:
        """Classes of the estimator."""
        return self.estimator.classes_

    def predict(self, outputs: Tensor) -> Any:
        """Decide."""
        return self.estimator._predict_of(outputs)

    @available_if(lambda self: hasattr(self.estimator, "predict_proba"))
    def predict_proba(self, outputs: Tensor) -> Any:
        """Turn outputs into probabilities."""
        return self.estimator._predict_proba_of(outputs)

    @available_if(lambda self: hasattr(self.estimator, "decision_function"))
    def decision_function(self, outputs: Tensor) -> Any:
        """Turn outputs into decisions."""
        return self.estimator._decision_function_of(outputs)


def make_score(
    estimator: Any, monitor: str, y: Any, weight: Any
) -> Callable[[Tensor], dict[str, float]]:
    """Build the function that scores a whole epoch's outputs for the validation rows."""
    from sklearn.metrics import get_scorer

    scorer = get_scorer(monitor)
    metrics = scorer._score_func.__module__  # refused now, not after an epoch
    text = "regression" in metrics and y.dtype.kind in "OUS"
    if text or ("classification" in metrics and is_regressor(estimator)):
        raise _not_scored(estimator, monitor, y)
    extra = {} if weight is None else {"sample_weight": weight}
    if extra and "sample_weight" not in inspect.signature(scorer._score_func).parameters:
        raise ValueError(
            f"monitor={monitor!r} takes no sample_weight, but the validation rows have weights; "
            "choose another monitor, or fit without sample_weight."
        )

    def score(outputs: Tensor) -> dict[str, float]:
        try:
            value = float(scorer(Outputs(estimator), outputs.cpu(), y, **extra))
        except (AttributeError, TypeError, ValueError) as error:
            raise _not_scored(estimator, monitor, y, f" ({error})") from error
        return {f"valid_{monitor}": value}

    return score


def _not_scored(estimator: Any, monitor: str, y: Array, why: str = "") -> ValueError:
    """Make the error for a monitor that is none for these targets."""
    kind = "a regressor" if is_regressor(estimator) else "a classifier"
    good = '"r2", "neg_mean_squared_error"' if is_regressor(estimator) else '"accuracy", "f1_macro"'
    return ValueError(
        f"monitor={monitor!r} cannot score the answers of {kind} to targets such as "
        f'{y[:3].tolist()}{why}. Use monitor="loss", {good} or another scorer of {kind}.'
    )
