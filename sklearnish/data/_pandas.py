"""A view in the forms of others: a DataFrame, arrays for NumPy's functions, text."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._arrow.frames import to_frame
from sklearnish.data._html import as_html
from sklearnish.data._tensors.convert import as_numpy
from sklearnish.data._views.view import View

if TYPE_CHECKING:
    import pandas as pd

_ARRAY_CAP = 2**30
"""Bytes above which a Dataset refuses to become an array or a DataFrame."""

_ROWS, _SHOWN = 5, 10
"""Rows and columns that are shown of many."""

_DOTS = "..."
"""The column that stands for those that are not shown."""


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
    target = None if stored else _target(dataset)
    if target is not None:
        wide = target if target.ndim == 2 else target[:, None]
        if not labels:
            many = [f"target{i}" for i in range(wide.shape[1])]
            labels = ["target"] if target.ndim == 1 else many
        for i, label in enumerate(labels):
            frame[label] = wide[:, i]
    return frame


def _target(dataset: View) -> npt.NDArray[Any] | None:
    """Labels that are no columns of a table; those of these rows alone are read."""
    names, array = dataset._target.names, dataset._target.array
    if array is not None or not names:
        return array
    rows, inverse = np.unique(dataset.rows, return_inverse=True)
    labels: npt.NDArray[Any] = as_numpy(dataset.source.read(rows, names)[names[0]])[inverse]
    return labels


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
    frame, facts = _first_look(dataset)
    if frame is not None:
        facts.insert(0, frame.to_string() + "\n..." * (len(dataset) > _ROWS))
    return "\n".join(facts)


def describe_as_html(dataset: View) -> str:
    """Write the same for a notebook, with the kind and the gaps of each column."""
    frame, facts = _first_look(dataset)
    table = [] if frame is None else [_with_kinds(frame, dataset)]
    return as_html(*table, "\n".join(facts))


def _first_look(dataset: View) -> "tuple[pd.DataFrame | None, list[str]]":
    """Read a few rows of a few columns; list size, target, origin, and why nothing can be read.

    No look may fail: a file may be gone, and functions of rows are the user's.
    """
    size, frame, trouble = "", None, []
    try:
        size = _size(dataset)
        if dataset.ndim == 2 and len(dataset):
            frame = _few_columns(dataset[:_ROWS])
    except Exception as error:
        trouble = [f"The rows cannot be shown: {type(error).__name__}: {error}"]
    return frame, [f"[{len(dataset)} rows{size}]", *_origin(dataset), *trouble]


def _few_columns(rows: View) -> "pd.DataFrame":
    """Read rows into a DataFrame; of many columns the first and the last ones."""
    inputs, half = rows._inputs, _SHOWN // 2
    columns = range(rows.row_shape[0]) if inputs.names is None else inputs.names
    if len(columns) > _SHOWN and not rows.transforms and not inputs.constants:
        kept = [*columns[: half + 1], *columns[-half:]]
        frame = to_pandas(rows[:, kept])
        if inputs.names is None:
            frame = frame.rename(columns=dict(enumerate(kept)))
    else:
        frame = to_pandas(rows)
    if frame.shape[1] > _SHOWN:
        first, last = frame.iloc[:, :half], frame.iloc[:, -half:]
        frame = first.assign(**{_DOTS: _DOTS}).join(last)
    return frame


def _with_kinds(frame: "pd.DataFrame", dataset: View) -> "pd.DataFrame":
    """Add to the names how columns are stored, and how many of the values shown are missing."""
    import pandas as pd

    stored = {} if dataset.transforms else dataset.source.schema
    heads = []
    for name, column in frame.items():
        kind = stored[str(name)].dtype if name in stored else str(column.dtype)
        missing = int(column.isna().sum())
        heads.append((name, _DOTS, _DOTS) if name == _DOTS else (name, kind, missing))
    named = pd.MultiIndex.from_tuples(heads, names=["", "kind", "missing here"])
    return frame.set_axis(named, axis=1)


def _origin(dataset: View) -> list[str]:
    """List target and origin."""
    names, array = dataset._target.names, dataset._target.array
    target = []
    if names:
        target = [f"target: {names[0] if len(names) == 1 else names}"]
    elif array is not None:
        target = [f"target: array of shape {array.shape}"]
    return [*target, f"from: {dataset.source.name}"]


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
