"""Labels: checked, numbered, weighed."""

from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_y
from torch import Tensor, nn

from sklearnish.data._reading import find_classes

Array = npt.NDArray[Any]

_PIECE = 2**20

_SHORT = 16
"""Classes up to which torch's softmax over them is slow on a CPU."""


def check_labels(y: Array, estimator: Any) -> tuple[Array, bool]:
    """Check labels; say whether they are a 0/1 indicator of several per row."""
    assert_all_finite(y, input_name="y")
    _check_one_type(y)
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    check_classification_targets(y)
    if kind == "multiclass-multioutput":
        raise ValueError(
            "y has several columns of more than two labels; TorchClassifier takes one label per "
            "row, or a 0/1 indicator of shape (n_rows, n_labels). Fit one column at a time, for "
            "example with sklearn.multioutput.MultiOutputClassifier."
        )
    if kind == "multilabel-indicator":
        return _indicator(y), True
    return _check_y(y, multi_output=False, estimator=estimator), False


def _check_one_type(y: Array) -> None:
    """Refuse text beside numbers, which have no order."""
    kinds = set(map(type, y.flat)) if y.dtype == object else set()
    if len([one for one in (str, Number) if any(issubclass(kind, one) for kind in kinds)]) > 1:
        names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(
            f"y has labels of several types, {names}; wanted text alone or numbers alone. Convert "
            "them, for example to text: [str(label) for label in y]."
        )


def _indicator(y: Array) -> Array:
    """Refuse an indicator of two values other than 0 and 1, which losses do not understand."""
    values = np.unique(y)
    if not np.isin(values, [0, 1]).all():
        raise ValueError(
            f"y has several columns of labels {values.tolist()}; wanted a 0/1 indicator of shape "
            f"(n_rows, n_labels). Convert it: (y == {values[-1]}).astype(int)."
        )
    return y.astype(np.int64)


def check_width(y: Array, multilabel: bool, n_labels: int | None) -> None:
    """Refuse labels of another kind than those of fit: `n_labels` is None for one per row."""
    found = y.shape[1] if multilabel else None
    if found != n_labels:
        saw = "one label per row" if n_labels is None else f"{n_labels} columns of labels"
        raise ValueError(f"y has shape {y.shape}, but fit saw {saw}.")


def check_same_kind(y: Array, classes: Array) -> None:
    """Refuse text to be compared with numbers, as scikit-learn does: no answer would be right."""
    if (y.dtype.kind in "OUS") != (classes.dtype.kind in "OUS"):
        raise ValueError(
            f"y has labels of type {y.dtype}, but fit saw {classes.dtype}: {classes[:5].tolist()}."
        )


def number_labels(y: Array, classes: Array) -> Array:
    """Turn labels into numbers, by their place among the classes.

    The numbers are as narrow as they can be and made piece by piece: of a billion rows, every
    byte counts.
    """
    codes = np.empty(len(y), np.min_scalar_type(-len(classes)))
    for start in range(0, len(y), _PIECE):
        piece = y[start : start + _PIECE]
        found = _places(piece, classes)
        known = classes[found] == piece
        if not np.all(known):
            unseen = find_classes(piece[~known], "y")[:5].tolist()
            raise ValueError(
                f"y has labels {unseen} that are not among the classes {classes[:10].tolist()}."
            )
        codes[start : start + _PIECE] = found
    return codes


def _places(y: Array, classes: Array) -> Array:
    """Look labels up among the classes; for those that are not there, any place."""
    if y.dtype != object:
        return np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    places = {label: i for i, label in enumerate(classes.tolist())}
    return np.fromiter((places.get(label, 0) for label in y), np.int64, len(y))


def weigh_classes(class_weight: Any, classes: Array, codes: Array, rows: Array) -> Array:
    """Compute a weight per class."""
    if isinstance(class_weight, str):
        sums = np.bincount(codes, rows, minlength=len(classes))
        weights: Array = sums.sum() / (len(classes) * np.where(sums > 0, sums, 1.0))
        return weights
    labels = classes.tolist()
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        raise ValueError(f"class_weight names {unknown}, which are not classes of y: {labels}.")
    given = np.array([float(class_weight.get(label, 1.0)) for label in labels])
    if not np.isfinite(given).all() or (given < 0).any():
        raise ValueError(
            f"class_weight={class_weight} must be finite and not negative; 0 leaves a class out."
        )
    return given


def _softmax(outputs: Tensor) -> Tensor:
    """Softmax over axis 1; where that is short, torch's own takes 4 to 7 times as long as this."""
    if outputs.shape[1] > _SHORT:
        return outputs.softmax(1)
    powers = outputs.sub(outputs.amax(1, keepdim=True)).exp_()
    return powers.div_(powers.sum(1, keepdim=True))


def probabilities(
    outputs: Tensor, loss: type | None, *, multilabel: bool, one_logit: bool
) -> Tensor:
    """Turn outputs into what the criterion takes them for: logits but for BCELoss, NLLLoss."""
    if multilabel:
        return outputs if loss is nn.BCELoss else torch.sigmoid(outputs)
    if one_logit:
        p = outputs.reshape(-1)
        p = p if loss is nn.BCELoss else torch.sigmoid(p)
        return torch.stack([1 - p, p], 1)
    return outputs.exp() if loss is nn.NLLLoss else _softmax(outputs)
