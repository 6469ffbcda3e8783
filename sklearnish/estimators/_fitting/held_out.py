"""The rows on which every epoch is evaluated: passed or held out, read once, and scored."""

import difflib
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from torch import Tensor

from sklearnish.data import (
    Batch,
    Dataset,
    check_rows_alone,
    narrow,
    read_finite,
    to_device,
    with_codes,
)
from sklearnish.estimators._fitting.labels import targets
from sklearnish.estimators._fitting.rows import weighed
from sklearnish.estimators._fitting.sizes import batch_rows
from sklearnish.training import EarlyStopping, Net

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]


def check_validation(estimator: Any, X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
    """Refuse parts of validation rows, and warn of a fraction that holds nothing out."""
    if X_val is None and (y_val is not None or sample_weight_val is not None):
        raise ValueError("y_val and sample_weight_val need X_val, their rows; it is None.")
    check_rows_alone(X_val)
    required = get_tags(estimator).target_tags.required
    without = required and not isinstance(X_val, torch.utils.data.Dataset)
    if required and isinstance(X_val, Dataset):
        without = X_val.target is None
    if X_val is not None and y_val is None and without:
        raise ValueError(
            "X_val has no targets: y_val is None. Pass both, fit(X, y, X_val=X_val, y_val=y_val), "
            "or as X_val a Dataset that has a target."
        )
    _check_monitor(estimator.monitor)
    name = estimator._called.get("validation_fraction", "validation_fraction")
    default = getattr(type(estimator), name)
    fraction = estimator.validation_fraction
    if fraction != default and not (estimator.early_stopping and X_val is None):
        why = "X_val is given" if X_val is not None else "early_stopping=False"
        cure = "leave out X_val" if X_val is not None else "set early_stopping=True"
        warnings.warn(
            f"validation_fraction={fraction} has no effect, since {why}: no rows are held out. To "
            f"hold that share of the rows out, {cure}.",
            UserWarning,
            stacklevel=4,
        )


def _check_monitor(monitor: str) -> None:
    """Refuse what is neither the loss nor a scorer, also where nothing is monitored yet."""
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


def hold_out(
    n_rows: int, fraction: float, labels: npt.NDArray[np.int64] | None, seed: int
) -> tuple[IntArray, IntArray]:
    """Split positions into training and held-out ones, ascending; by class if labels are given.

    Each class gives its share of the held-out rows and keeps at least one.
    """
    if n_rows < 2:
        raise ValueError(
            "early_stopping holds rows out, but there is one sample (row) to train on; "
            "pass X_val and y_val, or early_stopping=False."
        )
    rng = np.random.default_rng(seed)
    held = np.zeros(n_rows, dtype=bool)
    if labels is None:
        held[_some(np.arange(n_rows), fraction, rng)] = True
    else:
        order = np.argsort(labels, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
            held[_some(rows, fraction, rng)] = True
    if not held.any():  # classes so small that none gives a row
        held[rng.integers(n_rows)] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _some(rows: IntArray, fraction: float, rng: np.random.Generator) -> IntArray:
    """Draw a share of rows, all but one at most."""
    n = min(round(fraction * len(rows)), len(rows) - 1)
    return rng.choice(rows, n, replace=False)


def validation_options(estimator: Any, valid: Dataset, net: Net) -> dict[str, Any]:
    """Say how the net evaluates itself on these rows, and when it stops."""
    valid, weight = weighed(estimator, valid, training=False)
    size = batch_rows(valid.row_nbytes, estimator.predict_batch_size)
    to_loss = with_codes(valid, estimator._to_loss(targets(valid)))
    options: dict[str, Any] = {"valid": _validation_rows(to_loss, size, torch.device(net.device))}
    loss = estimator.monitor == "loss"
    if not loss:
        y = estimator._from_codes(targets(valid))
        options["score"] = make_score(estimator, estimator.monitor, y, weight)
    if estimator.early_stopping:
        options["stopping"] = EarlyStopping(
            patience=estimator._patience(), tol=estimator.tol, greater_is_better=not loss
        )
        options["monitor"] = f"valid_{estimator.monitor}"
    return options


def _validation_rows(dataset: Dataset, size: int, device: torch.device) -> list[Batch]:
    """Read the rows to the device, so that an epoch reads its blocks for training alone."""
    whole = to_device(read_finite(dataset, np.arange(len(dataset))), device)
    starts = range(0, len(dataset), size)
    return [narrow(whole, start, min(start + size, len(dataset))) for start in starts]


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
        f"monitor={monitor!r} cannot score predictions of {kind} against targets of type "
        f'{y.dtype} and shape {y.shape}{why}. Use monitor="loss", {good} or another scorer of '
        f"{kind}."
    )
