"""Scoring validation rows during a fit, with scikit-learn's scorers."""

import inspect
from collections.abc import Callable
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if
from torch import Tensor


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
    extra = {} if weight is None else {"sample_weight": weight}
    if extra and "sample_weight" not in inspect.signature(scorer._score_func).parameters:
        raise ValueError(
            f"monitor={monitor!r} takes no sample_weight, but the validation rows have weights; "
            "choose another monitor, or fit without sample_weight."
        )

    def score(outputs: Tensor) -> dict[str, float]:
        return {f"valid_{monitor}": float(scorer(Outputs(estimator), outputs.cpu(), y, **extra))}

    return score
