"""A view in the forms of others: a DataFrame, arrays for NumPy's functions, text."""

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._arrow.frames import to_frame
from sklearnish.data._views.view import View

if TYPE_CHECKING:
    import pandas as pd

_ARRAY_CAP = 2**30
"""Bytes above which a Dataset refuses to become an array or a DataFrame."""

_SHOWN = 10
"""Columns that are shown of many."""


def to_array(view: View, dtype: Any = None) -> npt.NDArray[Any]:
    """Read the features of a view, by default in a type that holds what is stored.

    Raises
    ------
    ValueError
        If they are more than a gigabyte.
    TypeError
        If rows are dicts.
    """
    _refuse_large(view, "an array")
    rows = view.without_target()
    wide = view._inputs.asked is None if dtype is None else np.dtype(dtype).itemsize > 4
    if wide and not view.transforms:
        rows = rows._as_stored()
    X = rows.read(np.arange(len(view))).X
    if isinstance(X, dict):
        raise TypeError("Rows that are dicts of tensors cannot become an array.")
    return np.asarray(X.numpy(), dtype=dtype)


def _refuse_large(view: View, what: str) -> None:
    """Raise if the features are too large to be held in memory by accident."""
    nbytes = len(view) * view.row_nbytes if len(view) else 0
    if nbytes > _ARRAY_CAP:
        some = f"ds[:{_ARRAY_CAP // view.row_nbytes}]"
        raise ValueError(
            f"{view.source.name} has {nbytes / 2**30:.1f} GiB of features, too many for "
            f"{what}. Estimators of sklearnish read a Dataset batch by batch; others can be "
            f"given some rows, such as {some}. In front of one of sklearnish, wrap a scaler or "
            "imputer: make_pipeline(sn.preprocessing.Streamed(scaler), model) fits and applies it "
            "as rows are read. (The default module scales its inputs itself.)"
        )


def to_pandas(dataset: View) -> "pd.DataFrame":
    """Read the features as stored, and the target beside them.

    Raises
    ------
    ValueError
        If rows are not one-dimensional.
    """
    if dataset.ndim != 2:
        raise ValueError(
            f"Rows of shape {dataset.row_shape} are not a table. Read tensors with ds.batches()."
        )
    _refuse_large(dataset, "a DataFrame")
    labels = list(dataset._target.names)
    stored = labels if dataset.source.tabular else []
    frame = _features_and(stored, dataset)
    target = None if stored else dataset.target
    if target is not None:
        wide = target if target.ndim == 2 else target[:, None]
        if not labels:
            many = [f"target{i}" for i in range(wide.shape[1])]
            labels = ["target"] if target.ndim == 1 else many
        for i, label in enumerate(labels):
            frame[label] = wide[:, i]
    return frame


def _features_and(labels: list[str], dataset: View) -> "pd.DataFrame":
    """Features and columns of labels as pandas would show them, or what functions made of them."""
    import pandas as pd

    names, constants = dataset._inputs.names, dataset._inputs.constants
    if names is not None and not dataset.transforms:
        frame = _stored([*names, *labels], dataset)
        for name, value in constants.items():
            frame[name] = value
        return frame
    X = to_array(dataset)
    known = getattr(dataset, "columns", range(X.shape[1]))
    features = pd.DataFrame({name: X[:, i] for i, name in enumerate(known)})
    return features.join(_stored(labels, dataset))


def _stored(names: list[str], dataset: View) -> "pd.DataFrame":
    """Columns as they are stored; those of these rows alone are read."""
    import pandas as pd

    if not names:
        return pd.DataFrame(index=range(len(dataset)))
    rows, inverse = np.unique(dataset.rows, return_inverse=True)
    columns = dataset.source.read(rows, tuple(dict.fromkeys(names)))
    frame: pd.DataFrame = to_frame(columns, dataset.source.schema, "pandas")
    return frame.take(inverse).reset_index(drop=True)


def describe(dataset: View) -> str:
    """Write what a DataFrame's repr would show: first rows, size, target, origin."""
    lines = _facts(dataset)
    if _has_table(dataset):
        lines.insert(0, to_pandas(dataset[:5]).to_string(max_cols=_SHOWN))
        lines[0] += "\n..." if len(dataset) > 5 else ""
    return "\n".join(lines)


def describe_as_html(dataset: View) -> str:
    """Write the same for a notebook."""
    table = to_pandas(dataset[:5]).to_html(max_cols=_SHOWN) if _has_table(dataset) else ""
    return f"{table}<p>{'<br>'.join(map(escape, _facts(dataset)))}</p>"


def _has_table(dataset: View) -> bool:
    """Say whether there are rows that a DataFrame can show."""
    return dataset.ndim == 2 and len(dataset) > 0


def _facts(dataset: View) -> list[str]:
    """List size, target and origin."""
    lines = [f"[{len(dataset)} rows{_size(dataset)}]"]
    names, array = dataset._target.names, dataset._target.array
    if names:
        lines.append(f"target: {names[0] if len(names) == 1 else names}")
    elif array is not None:
        lines.append(f"target: array of shape {array.shape}")
    return [*lines, f"from: {dataset.source.name}"]


def _size(dataset: View) -> str:
    """Say what a row is."""
    shape = dataset.row_shape
    if shape:
        return f" x {' x '.join(map(str, shape))}{' columns' * (len(shape) == 1)}"
    first = dataset._first_row
    if not isinstance(first, dict):
        return ", one value each"
    shapes = [f"{name!r} of shape {tuple(x.shape[1:])}" for name, x in first.items()]
    return f", dicts of {', '.join(shapes)}"


def as_arrays(value: Any) -> Any:
    """Replace Datasets by arrays inside the arguments of a numpy function."""
    if isinstance(value, View):
        return to_array(value)
    if isinstance(value, dict):
        return {key: as_arrays(item) for key, item in value.items()}
    return type(value)(map(as_arrays, value)) if isinstance(value, list | tuple) else value
