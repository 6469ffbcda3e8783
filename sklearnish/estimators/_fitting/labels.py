"""Targets: found, checked, and if they are labels numbered and weighed."""

import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from sklearn.base import is_regressor
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from torch import Tensor, nn

from sklearnish.data import Dataset, check_no_name, find_classes, is_missing, shown, warn

Array = npt.NDArray[Any]

_PIECE = 2**20

_SHORT = 16
"""Classes up to which torch's softmax over them is slow on a CPU."""


# Targets of all kinds


def are_own_labels(dataset: Dataset, y: Any) -> bool:
    """Say whether targets are those that the rows bring with them: by default, or by their values.

    Raises
    ------
    ValueError
        If a torch Dataset draws its labels at random, and these are others: they belong to no row.
    """
    source = dataset.source
    if y is None:
        return True
    if not (source.makes_labels and len(dataset._target.names) == 1 and source.draws_labels):
        return False
    if np.array_equal(np.asarray(y), np.asarray(dataset.target)):
        return True
    raise ValueError(
        f"{source.name} draws the labels of its items at random, each together with its row, so "
        "labels from another draw, passed as y, do not belong to the rows. Do not pass y, or "
        "pass ds.target of ds = sn.as_dataset(dataset); or let the items be rows without labels."
    )


def targets(data: Dataset) -> Array:
    """Return the encoded targets, which `fit` has attached."""
    y = data.target
    assert y is not None
    return y


def array_of_targets(y: Any, estimator: Any, X: Any) -> Array:
    """Turn targets of any kind into an array; where there are none, say what X lacks."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            f"is None. {_how_to_pass(X)}"
        )
    check_no_name(y)
    if sparse.issparse(y):
        return np.asarray(y.toarray())  # type: ignore[attr-defined]
    array = np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)
    _check_no_dates(array, estimator)
    if is_regressor(estimator):
        _check_no_text(array, estimator)
    return array


def _check_no_text(y: Array, estimator: Any) -> None:
    """Refuse words that are to be numbers; texts that are written as numbers are."""
    try:
        if y.dtype.kind in "OUS":
            y.astype(np.float64)
    except ValueError:
        raise ValueError(
            f"y holds text, and {type(estimator).__name__} learns numbers. Convert it, or use "
            "TorchClassifier, if each text is a class."
        ) from None
    except TypeError:
        return  # is no text, and scikit-learn says what


def _how_to_pass(X: Any) -> str:
    """Say how targets come to rows of this kind."""
    if isinstance(X, Dataset):
        return (
            f"The Dataset of {X.source.name} has no target. Name its column when you make it, as "
            'in scan_parquet(path, target="label"), or pass labels: fit(ds, y).'
        )
    if isinstance(X, torch.utils.data.Dataset):
        return (
            f"The items of {type(X).__name__} are rows without labels. Let its __getitem__ return "
            "(x, y), or pass labels: fit(dataset, y)."
        )
    return (
        "Pass it with the rows, as in fit(X, y). If you passed a Dataset with a target, a step "
        "before this one (of a Pipeline, or a tool of scikit-learn) has made an array of its "
        "features: pass the target too, fit(ds, ds.target) or score(ds, ds.target)."
    )


def _check_no_dates(y: Array, estimator: Any) -> None:
    """Refuse dates and durations that are to be numbers, and those of Python as labels."""
    first = next((v for v in y.flat if not is_missing(v)), None) if y.dtype == object else None
    objects = isinstance(first, datetime.date | datetime.timedelta)
    if objects and (missing := [i for i, v in enumerate(y) if is_missing(v)]):
        raise ValueError(
            f"Input y contains NaN: the target of row {missing[0]} is missing, and {len(missing)} "
            "in all. Leave such rows out, or fill the targets in."
        )
    if not objects and (y.dtype.kind not in "mM" or not is_regressor(estimator)):
        return
    duration = y.dtype.kind == "m" or isinstance(first, datetime.timedelta)
    what, number = (
        ("durations", 'y / np.timedelta64(1, "D")')
        if duration
        else ("dates", '(y - y.min()) / np.timedelta64(1, "D")')
    )
    cure = f"as numbers, for example of days: {number}"
    if not is_regressor(estimator):
        cure = "as text, if each is a class: y.astype(str)"
    raise ValueError(f"y holds {what}, which cannot be fitted as they are. Pass them {cure}.")


def check_no_missing(y: Array, dataset: Dataset) -> None:
    """Name the first row whose target is NaN or null, in the words of scikit-learn."""
    if y.dtype.kind not in "fOmM":
        return
    # Only NaN and its like differ from themselves; pandas.NA answers neither yes nor no.
    missing = np.array([is_missing(v) for v in y.ravel()]).reshape(len(y), -1).any(1)
    if missing.any():
        source, row = dataset.source, int(dataset.rows[missing.argmax()])
        raise ValueError(
            f"Input y contains NaN: the target of {source.row_name(row)} is missing, and "
            f"{missing.sum()} in all. {source.why_missing(row, dataset._target.names)}"
            "Leave such rows out, or fill the targets in."
        )


# Labels


def check_labels(y: Array) -> tuple[Array, bool, Array]:
    """Check labels; say whether they are a 0/1 indicator of several per row, and which there are.

    What scikit-learn asks of labels, in a pass over all of them for each question, the distinct
    ones answer.
    """
    distinct = find_classes(y, "y")
    assert_all_finite(distinct, input_name="y")
    some = _some_of_each(distinct, y)
    kind = type_of_target(some, input_name="y", raise_unknown=True)
    check_classification_targets(some)
    if kind == "multiclass-multioutput":
        raise ValueError(
            "y has several columns of more than two labels; wanted one label per row, or a 0/1 "
            "indicator of shape (n_rows, n_labels). Fit one column at a time, for example with "
            "sklearn.multioutput.MultiOutputClassifier."
        )
    if kind == "multilabel-indicator":
        _check_indicator(distinct)
        return y.astype(np.int64), True, distinct
    return column_or_1d(y, warn=True), False, distinct


def _some_of_each(distinct: Array, y: Array) -> Array:
    """Shape a few of each label like `y`; all of them if most rows have one of their own."""
    n = 3 * len(distinct)
    return y if n > len(y) else np.resize(distinct, (n, *y.shape[1:]))


def _check_indicator(values: Array) -> None:
    """Refuse an indicator of two values other than 0 and 1, which losses do not understand."""
    if not np.isin(values, [0, 1]).all():
        raise ValueError(
            f"y has several columns of labels {shown(values.tolist())}; wanted a 0/1 indicator of "
            f"shape (n_rows, n_labels). Convert it: (y == {values[-1]}).astype(int)."
        )


def warn_of_one_hot(y: Array) -> None:
    """Warn if labels in columns look like classes, of which each row has exactly one."""
    if len(y) > 1 and y.shape[1] > 1 and (y.sum(1) == 1).all():
        warn(
            f"Each row of y has exactly one 1 in its {y.shape[1]} columns, which are taken for "
            "labels that do not exclude each other. If they are classes, pass their numbers: "
            "y.argmax(axis=1).",
            UserWarning,
        )


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


def class_shares(y: Array, weight: Array | None, n: int) -> Array:
    """Return the shares of classes, by number or in columns, as if a row of each were added."""
    weight = np.ones(len(y)) if weight is None else weight
    if y.ndim == 2:
        shares: Array = (weight @ y + 1) / (weight.sum() + 2)
        return shares
    counts = np.bincount(y, weight, minlength=n) + 1
    return counts / counts.sum()


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
