"""Rows that come with their labels, where rows alone are wanted: a label must not be a feature."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor


def check_rows_alone(X: Any) -> None:
    """Refuse a pair of arrays, and a list of the items of a torch Dataset.

    scikit-learn's tools make such a list of a torch Dataset. Where the two parts of its items
    have one shape, NumPy makes an array of rows and labels of it.

    Raises
    ------
    ValueError
        Naming what to pass instead.
    """
    if _is_pair_of_arrays(X):
        rows, y = (tuple(getattr(x, "shape", ())) for x in X)
        raise ValueError(
            f"X is a pair of arrays, of shapes {rows} and {y}; wanted the rows alone. Pass the two "
            "one by one: fit(X, y) or as_dataset(X, y), and validation rows as "
            "fit(X, y, X_val=X_val, y_val=y_val)."
        )
    item = _first(X)
    if not _is_item(item):
        return
    raise ValueError(
        f"X is a list of ({', '.join(type(part).__name__ for part in item)}), such as a torch "
        "Dataset gives: rows with their labels, which would become features. scikit-learn's tools "
        "make such a list of a torch Dataset; pass a view, which they can index: "
        "ds = sn.as_dataset(dataset), then for example cross_val_score(model, ds, ds.target) or "
        "fit(ds[rows]). If all parts are features, pass one array of them, np.stack(X)."
    )


def _is_pair_of_arrays(X: Any) -> bool:
    """Tell a tuple of features and labels from two rows."""
    if not isinstance(X, tuple | list) or len(X) != 2:
        return False
    rows, y = (tuple(getattr(x, "shape", ())) for x in X)
    return len(rows) > 1 and rows[:1] == y[:1] and rows != y


def _first(X: Any) -> Any:
    """Take the first element of a list, or of an array of objects."""
    if isinstance(X, np.ndarray):
        return X[0] if X.dtype == object and X.ndim and len(X) else None
    return X[0] if isinstance(X, list | tuple) and X else None


def _is_item(item: Any) -> bool:
    """Tell an item of a torch Dataset from a row: its first part is itself a row.

    A row is a flat list of numbers, or a nested list of arrays of one shape.
    """
    if isinstance(item, np.ndarray) and item.dtype == object:
        item = tuple(item) if item.ndim == 1 else ()
    if not isinstance(item, tuple | list) or not item:
        return False
    x, *others = item
    if isinstance(x, Tensor):
        return len(item) == 2 or any(np.ndim(part) for part in item if _is_array(part))
    if isinstance(x, Mapping):  # (x, y) or (x, y, weight): a longer row has a stray dict in it
        return 0 < len(others) < 3
    if not others or not (_is_array(x) or isinstance(x, list | tuple)):
        return False
    if isinstance(item, tuple) and _is_array(x) and np.ndim(x):
        return True
    return _shape(x) != () and any(_shape(part) == () for part in others)


def _is_array(part: Any) -> bool:
    """Tell arrays, tensors and images."""
    return isinstance(part, Tensor | np.ndarray) or hasattr(part, "__array_interface__")


def _shape(part: Any) -> tuple[int, ...]:
    """Say how large a part is; a list as long as it is."""
    if isinstance(part, list | tuple):
        return (len(part),)
    return tuple(getattr(part, "shape", ()))
