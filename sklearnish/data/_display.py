"""A Dataset as people see it: its repr, a DataFrame, arrays."""

from typing import TYPE_CHECKING, Any

import numpy as np

from sklearnish.data._matrix import as_numpy

if TYPE_CHECKING:
    import pandas as pd

    from sklearnish.data._dataset import Dataset


def to_pandas(dataset: "Dataset") -> "pd.DataFrame":
    """Read the features as stored, and the target beside them.

    Raises
    ------
    ValueError
        If rows are not one-dimensional.
    """
    import pandas as pd

    if dataset.ndim != 2:
        raise ValueError(
            f"Rows of shape {dataset.row_shape} are not a table. Read tensors with ds.batches()."
        )
    frame = pd.DataFrame(_stored_columns(dataset))
    names, target = dataset._target, dataset.target
    if target is not None:
        labels = [names] if isinstance(names, str) else names
        wide = target if target.ndim == 2 else target[:, None]
        if not isinstance(labels, list | tuple):
            many = [f"target{i}" for i in range(wide.shape[1])]
            labels = ["target"] if target.ndim == 1 else many
        for i, label in enumerate(labels):
            frame[label] = wide[:, i]
    return frame


def _stored_columns(dataset: "Dataset") -> dict[Any, Any]:
    """Features by name, as stored unless functions have changed them."""
    names, source = dataset._names, dataset.source
    if names is None or dataset.transforms or dataset._constants:
        X = np.asarray(dataset)
        names_of_X = names if names and len(names) == X.shape[1] else range(X.shape[1])
        return {name: X[:, i] for i, name in enumerate(names_of_X)}
    rows, inverse = np.unique(dataset.rows, return_inverse=True)
    columns = source.read(rows, names)
    arrays = {name: as_numpy(columns[name])[inverse] for name in names}
    return {name: list(a) if a.ndim > 1 else a for name, a in arrays.items()}


def describe(dataset: "Dataset") -> str:
    """Write what a DataFrame's repr would show: first rows, size, target, origin."""
    size = " x ".join(map(str, dataset.row_shape)) or "one value or dict each"
    lines = [f"[{len(dataset)} rows x {size}{' columns' if dataset.ndim == 2 else ''}]"]
    if dataset.ndim == 2 and len(dataset):
        lines.insert(0, dataset.head().to_string(max_cols=10))
        lines[0] += "\n..." if len(dataset) > 5 else ""
    if isinstance(dataset._target, str | tuple):
        lines.append(f"target: {dataset._target}")
    elif dataset._target is not None:
        lines.append(f"target: array of shape {dataset._target.shape}")
    lines.append(f"from: {dataset.source.name}")
    return "\n".join(lines)


def as_arrays(value: Any) -> Any:
    """Replace Datasets by arrays inside the arguments of a numpy function."""
    from sklearnish.data._dataset import Dataset

    if isinstance(value, Dataset):
        return np.asarray(value)
    if isinstance(value, dict):
        return {key: as_arrays(item) for key, item in value.items()}
    return type(value)(map(as_arrays, value)) if isinstance(value, list | tuple) else value
