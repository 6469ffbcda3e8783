"""The first rows of a Dataset in the order of training, and their labels as text."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data import Dataset, at_random

_SHARE = 0.05
"""Of a class in a mixed label, from which it is named."""


def first_batch(
    dataset: Dataset,
    n_rows: int,
    *,
    augment: Any = None,
    sampler: Any = "shuffle",
    batch_size: int | None = None,
    random_state: int = 0,
    encode: bool = False,
) -> tuple[Any, list[str] | None]:
    """Return rows as an array of images or a DataFrame, and their labels.

    Rows of a table that nothing changes are drawn at random, and are as they are stored, text too.
    With `encode` functions of batches see the numbers of the classes, as in the fit of a
    classifier.
    """
    if not isinstance(n_rows, int | np.integer) or n_rows < 1:
        raise ValueError(f"n_rows must be an integer of at least 1, got {n_rows!r}.")
    if dataset.ndim == 2 and augment is None:
        picked = dataset[at_random(len(dataset), n_rows, random_state)]
        return picked.without_target().to_pandas(), _as_text(picked.target)
    dataset, classes = _with_codes(dataset, encode)
    X, y, *_ = next(
        dataset.batches(
            batch_size or n_rows,
            sampler=sampler,
            augment=augment,
            num_workers=0,
            random_state=random_state,
        )
    )
    if isinstance(X, dict):
        raise ValueError("Rows that are dicts of tensors are neither images nor a table.")
    labels = None if y is None else _named(y[:n_rows].numpy(), classes)
    return _rows(X[:n_rows].numpy(), dataset), labels


def _with_codes(dataset: Dataset, encode: bool) -> tuple[Dataset, Any]:
    """Return the Dataset as a fit takes it, and what its labels stand for, None for numbers."""
    some = dataset[:1].target
    if some is None or some.ndim > 1:
        return dataset, None
    if encode:
        classes, codes = np.unique(np.asarray(dataset.target), return_inverse=True)
        return dataset.with_target(codes), classes
    return dataset, None if some.dtype.kind in "biuf" else dataset.classes


def _rows(X: npt.NDArray[Any], dataset: Dataset) -> Any:
    """Make a DataFrame of rows that are numbers beside each other."""
    import pandas as pd

    if X.ndim != 2:
        return X
    names = getattr(dataset, "columns", ())
    return pd.DataFrame(X, columns=names if len(names) == X.shape[1] else None)


def _named(y: npt.NDArray[Any], classes: Any) -> list[str] | None:
    """Write what codes stand for, and of what labels are mixed that are shares of the classes."""
    if classes is None:
        return _as_text(y)
    if y.ndim == 1:
        return _as_text(classes[y.astype(np.int64)])
    return [
        " + ".join(f"{100 * row[i]:.0f}% {classes[i]}" for i in np.argsort(-row) if row[i] > _SHARE)
        for row in y
    ]


def _as_text(y: Any) -> list[str] | None:
    """Write one label, or several, for each row."""
    if y is None:
        return None
    wide = np.asarray(y).reshape(len(y), -1)
    return [", ".join(map(_written, row)) for row in wide]


def _written(value: Any) -> str:
    """Write one label in one line."""
    return (
        f"{value:.4g}" if isinstance(value, float | np.floating) else " ".join(str(value).split())
    )
