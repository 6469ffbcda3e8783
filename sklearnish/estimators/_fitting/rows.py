"""The rows of a fit: a view with encoded targets, and the weights that enter the loss."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import _check_sample_weight

from sklearnish.data import Dataset, find_bad_rows, name_rows, with_codes
from sklearnish.estimators._fitting import labels
from sklearnish.estimators._fitting.inputs import check_some_rows
from sklearnish.training import weight_dtype

Array = npt.NDArray[Any]

STEP = "a transformer of sklearnish"
"""Name of all functions that are ours."""

_NEGLIGIBLE = 1e-30
"""Weights of less, against the largest, vanish in float32 and would leave 0 / 0."""


def rows_to_fit(estimator: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Dataset:
    """Make a Dataset with encoded targets and weights; bad rows and those of weight 0 go.

    Labels of weight 0 are checked, and are classes, as in scikit-learn.
    """
    dataset = estimator._rows(X, reset=reset)
    check_some_rows(dataset)
    if reset:
        estimator._functions = _names_of_functions(dataset)
    attach = with_codes if labels.are_own_labels(dataset, y) else Dataset.with_target
    y = labels.array_of_targets(dataset.target if y is None else y, estimator, X)
    check_consistent_length(dataset, y)
    weight = dataset.weight if sample_weight is None else sample_weight
    if weight is not None:
        weight = _check_sample_weight(weight, dataset, dtype=np.float64, ensure_non_negative=True)
        if not weight.any():  # scikit-learn 1.8 lets them pass
            raise ValueError("Sample weights must contain at least one non-zero number.")
    dataset = dataset.with_weight(weight)._for_module(weight_dtype(estimator.precision))
    if estimator.on_bad_rows == "skip" and len(bad := _note_bad_rows(estimator, dataset)):
        kept = np.delete(np.arange(len(dataset)), bad)
        dataset, y = dataset[kept], y[kept]
    try:
        codes = estimator._check_y(y, reset=reset)
    except (TypeError, ValueError):
        labels.check_no_missing(y, dataset)
        raise
    return rows_that_train(attach(dataset, codes))


def rows_that_train(data: Dataset) -> Dataset:
    """Leave out rows of weight 0."""
    weight = data.weight
    return data if weight is None or weight.all() else data[np.flatnonzero(weight)]


def weighed(estimator: Any, data: Dataset, *, training: bool) -> tuple[Dataset, Array | None]:
    """Multiply in what the classes weigh; also return the user's weights of the rows left."""
    weight = estimator._weigh_rows(labels.targets(data), data.weight, training=training)
    if weight is None:
        return data, None
    weight, kept = _relative(weight)
    data = data if len(kept) == len(data) else data[kept]
    return data.with_weight(weight), data.weight


def _note_bad_rows(estimator: Any, data: Dataset) -> npt.NDArray[np.int64]:
    """Find rows that would train and cannot be used, and remember which."""
    used, weight = rows_that_train(data), data.weight
    bad = find_bad_rows(used, **estimator._pipeline())
    if len(bad) == len(used):
        raise ValueError(
            f"All {len(used)} rows of {data.source.name} are damaged, NaN or infinite; "
            "on_bad_rows='raise' says how."
        )
    names, count = estimator._left_out
    estimator._left_out = (*names, *name_rows(used, bad)), count + len(bad)
    return bad if weight is None else np.flatnonzero(weight)[bad]


def _names_of_functions(data: Dataset) -> tuple[str, ...]:
    """Name the functions that rows pass through; those of ours are applied by steps."""
    functions = (*data.source.functions, *data.transforms)
    ours = [str(function.f.__module__).startswith("sklearnish.") for function in functions]
    return tuple(STEP if own else f.name for own, f in zip(ours, functions, strict=True))


def _relative(weight: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Scale weights to at most 1, which changes no weighted mean; say which rows matter."""
    if not weight.any():
        raise ValueError("sample_weight and class_weight give all rows weight zero.")
    scaled: Array = weight / weight.max()
    kept = np.flatnonzero(scaled > _NEGLIGIBLE)
    return scaled[kept], kept
