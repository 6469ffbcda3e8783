"""Scoring validation rows during a fit, with scikit-learn's scorers."""

from collections.abc import Callable
from typing import Any

from sklearn.base import BaseEstimator
from torch import Tensor


class Outputs(BaseEstimator):  # type: ignore[misc]
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

    def __getattr__(self, name: str) -> Any:
        """Offer `predict` and its like if the estimator has them, on outputs."""
        estimator = self.__dict__.get("estimator")
        if estimator is not None and name in ("predict", "predict_proba", "decision_function"):
            return getattr(estimator, f"_{name}_of")
        if estimator is not None and name == "classes_":
            return estimator.classes_
        raise AttributeError(name)


def make_score(
    estimator: Any, monitor: str, y: Any, weight: Any
) -> Callable[[Tensor], dict[str, float]]:
    """Build the function that scores a whole epoch's outputs for the validation rows."""
    from sklearn.metrics import get_scorer

    scorer = get_scorer(monitor)
    extra = {} if weight is None else {"sample_weight": weight}

    def score(outputs: Tensor) -> dict[str, float]:
        return {f"valid_{monitor}": float(scorer(Outputs(estimator), outputs.cpu(), y, **extra))}

    return score
