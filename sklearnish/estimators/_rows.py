"""Checks of rows, targets and weights, with errors that name the row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from torch import Tensor

from sklearnish.data import Dataset
from sklearnish.data._columns import check_no_name

Array = npt.NDArray[Any]

_NEGLIGIBLE = 1e-30
"""Weights of less, against the largest, vanish in float32 and would leave 0 / 0."""


def check_some_rows(dataset: Dataset) -> None:
    """Refuse a view of no rows, in the words of scikit-learn."""
    if len(dataset) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={dataset.shape}) while a minimum of 1 is "
            f"required: the view of {dataset.source.name} has no rows."
        )


def targets(data: Dataset) -> Array:
    """Return the encoded targets, which `fit` has attached."""
    y = data.target
    assert y is not None
    return y


def with_labels(sampler: Any, labelled: Callable[[], Dataset]) -> Any:
    """Show a callable the user's labels, rather than what the criterion takes."""
    if not callable(sampler):
        return sampler

    def order(_: Dataset, **options: Any) -> Any:
        return sampler(labelled(), **options)

    order.__wrapped__ = sampler  # type: ignore[attr-defined]  # says whether it takes rng
    return order


def array_of_targets(y: Any, estimator: Any) -> Array:
    """Turn targets of any kind into an array."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            "is None."
        )
    check_no_name(y)
    if sparse.issparse(y):
        return np.asarray(y.toarray())  # type: ignore[attr-defined]
    return np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)


def check_no_missing(y: Array, dataset: Dataset) -> None:
    """Name the first row whose target is NaN or null, in the words of scikit-learn."""
    if y.dtype.kind not in "fO":
        return
    # Only NaN and its like differ from themselves; pandas.NA answers neither yes nor no.
    missing = np.array([_is_missing(v) for v in y.ravel()]).reshape(len(y), -1).any(1)
    if missing.any():
        row = dataset.source.row_name(int(dataset.rows[missing.argmax()]))
        raise ValueError(
            f"Input y contains NaN: the target of {row} is missing, and {missing.sum()} in all. "
            "Leave such rows out, or fill the targets in."
        )


def _is_missing(value: Any) -> bool:
    """Tell None, NaN, NaT and pandas.NA from a value."""
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def relative_weights(weight: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Scale weights to at most 1, which changes no weighted mean; say which rows matter."""
    if not weight.any():
        raise ValueError("All rows weigh zero by their sample_weight and class_weight.")
    scaled: Array = weight / weight.max()
    kept = np.flatnonzero(scaled > _NEGLIGIBLE)
    return scaled[kept], kept
