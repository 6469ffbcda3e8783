"""What is watched on held-out rows: a scorer of scikit-learn, or a function of the user's."""

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils.metaestimators import available_if
from torch import Tensor

Array = npt.NDArray[Any]


def check_monitor(monitor: Any) -> None:
    """Refuse what is not the loss, a scorer or a metric, also where nothing is monitored yet."""
    if not isinstance(monitor, str):
        _check_metric(monitor)
        return
    if monitor == "loss":
        return
    from sklearn.metrics import get_scorer_names

    if monitor not in (names := get_scorer_names()):
        told = ', the loss on the validation rows (history_ has it as "valid_loss")'
        close = difflib.get_close_matches(monitor, names, 1)
        raise ValueError(
            f'monitor={monitor!r} is neither "loss"{told * ("loss" in monitor)} nor the name of a '
            f"scorer of scikit-learn{f', such as {close[0]!r}' if close else ''}. "
            "sklearn.metrics.get_scorer_names() lists them."
        )


def _check_metric(monitor: Any) -> None:
    """Refuse a callable that does not take true values and predictions, or of which less is better.

    What its name says is what scikit-learn's names say: errors, losses and deviances.
    """
    if _is_scorer(monitor):
        return
    if (name := _spelled(monitor)).endswith(("error", "loss", "deviance")):
        raise ValueError(
            f"monitor={name}: of an error, a loss or a deviance less is better, and of a monitor "
            f"more is. Pass make_scorer({name}, greater_is_better=False)."
        )
    try:
        inspect.signature(monitor).bind(None, None)
    except TypeError as error:
        raise ValueError(
            f"monitor={_shown(monitor)} cannot be called as monitor(y_true, y_pred): {error}. Pass "
            "a function of true values and predictions, or make a scorer, such as "
            "make_scorer(f, response_method='predict_proba', greater_is_better=False)."
        ) from None
    except ValueError:  # some builtins do not tell
        pass


def _is_scorer(monitor: Any) -> bool:
    """Tell what make_scorer made."""
    from sklearn.metrics._scorer import _BaseScorer

    return isinstance(monitor, _BaseScorer)


def name_of(monitor: Any) -> str:
    """Name what is watched, as `history_` does behind "valid_"."""
    if isinstance(monitor, str):
        return monitor
    name = _spelled(getattr(monitor, "_score_func", monitor))
    return name if name.isidentifier() and not name.startswith("loss") else "score"


def _spelled(function: Any) -> str:
    """Name a function, or what a partial calls."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def _shown(monitor: Any) -> str:
    """Show it in an error."""
    return repr(monitor) if isinstance(monitor, str) or _is_scorer(monitor) else name_of(monitor)


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
    estimator: Any, monitor: Any, y: Any, weight: Any
) -> Callable[[Tensor], dict[str, float]]:
    """Build the function that scores a whole epoch's outputs for the validation rows."""
    scorer = _scorer_of(monitor)
    metrics = str(getattr(scorer._score_func, "__module__", ""))  # refused now, not after an epoch
    text = "regression" in metrics and y.dtype.kind in "OUS"
    wrong = text or ("classification" in metrics and is_regressor(estimator))
    if wrong and metrics.startswith("sklearn."):
        raise _not_scored(estimator, monitor, y)
    extra = {} if weight is None else {"sample_weight": weight}
    if extra and "sample_weight" not in inspect.signature(scorer._score_func).parameters:
        raise ValueError(
            f"monitor={_shown(monitor)} takes no sample_weight, but the validation rows have "
            "weights; choose another monitor, or fit without sample_weight."
        )

    def score(outputs: Tensor) -> dict[str, float]:
        try:
            value = scorer(Outputs(estimator), outputs.cpu(), y, **extra)
        except (AttributeError, TypeError, ValueError) as error:
            if metrics.startswith("sklearn."):
                raise _not_scored(estimator, monitor, y, f" ({error})") from error
            error.add_note(f"raised by monitor={_shown(monitor)}")
            raise
        return {f"valid_{name_of(monitor)}": _number(value, monitor)}

    return score


def _scorer_of(monitor: Any) -> Any:
    """Return a scorer: by name, as it is, or of a function of true values and predictions."""
    from sklearn.metrics import get_scorer, make_scorer

    if isinstance(monitor, str):
        return get_scorer(monitor)
    return monitor if _is_scorer(monitor) else make_scorer(monitor)


def _number(value: Any, monitor: Any) -> float:
    """Take one number."""
    if np.size(value) != 1 or np.asarray(value).dtype.kind not in "biuf":
        kind = type(value).__name__
        raise TypeError(f"monitor={_shown(monitor)} returned a {kind}; wanted one number.")
    return float(value)


def _not_scored(estimator: Any, monitor: Any, y: Array, why: str = "") -> ValueError:
    """Make the error for a monitor that is none for these targets."""
    kind = "a regressor" if is_regressor(estimator) else "a classifier"
    good = '"r2", "neg_mean_squared_error"' if is_regressor(estimator) else '"accuracy", "f1_macro"'
    return ValueError(
        f"monitor={_shown(monitor)} cannot score predictions of {kind} against targets of type "
        f'{y.dtype} and shape {y.shape}{why}. Use monitor="loss", {good} or another scorer of '
        f"{kind}."
    )
