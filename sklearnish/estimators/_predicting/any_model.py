"""Predictions of any fitted model, written to a file as they are computed."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from sklearnish.data import Dataset, IntArray, PipelineReport, as_dataset, pieces, storage_order
from sklearnish.estimators._fitting.inputs import check_some_rows
from sklearnish.estimators._predicting.answers import Array, Piece
from sklearnish.estimators._predicting.methods import AnswerMixin
from sklearnish.estimators._predicting.to_file import (
    check_columns,
    check_order,
    check_path,
    text_type,
    write,
)

Take = Callable[[Any], Any]

_CHUNK = 2**24
"""Bytes of the rows that a model is given at a time, unless a block of the file has more."""

_PREFIXES = {
    "predict": "prediction",
    "predict_proba": "probability",
    "predict_log_proba": "log_probability",
    "decision_function": "decision",
}


def predict_to(
    model: Any, path: Any, X: Any, *, method: str = "predict", columns: Any = None
) -> PipelineReport | None:
    """Write predictions of any fitted scikit-learn model to a file while they are computed.

    The model is given some rows at a time, so neither the rows nor the predictions need to fit
    into memory. They are written in the order of the rows of X. The file appears under its name
    when it is complete; an older file of that name is replaced then.

    Parameters
    ----------
    model : estimator
        A fitted Pipeline, search or other model of scikit-learn, whose method predicts
        each row independently. Estimators of sklearnish use their own ``predict_to``.
    path : path-like
        The file to write. ``.parquet``: one column `prediction` for ``predict`` (several targets:
        `prediction_0`, ...), `probability_<class>` for ``predict_proba``, `decision_<class>` for
        ``decision_function``. ``.npy``: the array that the method returns.
    X : Dataset, DataFrame, array-like or torch Dataset
        Rows. A model that was fitted on named columns gets a DataFrame of these columns; other
        models get an array of the features.
    method : str, default="predict"
        Name of the method whose results are written.
    columns : sequence of str, default=None
        Columns of X to write before the predictions, for example an identifier or the target,
        features or not. ``"row"``, if no column has that name, is the number of the row in the
        file.

    Returns
    -------
    PipelineReport or None
        Where the time went, for an estimator of sklearnish; None for other models.

    Raises
    ------
    ValueError
        If path, method or columns cannot be used.
    TypeError
        If path is not the name of a file, or columns is not a list of names.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> import sklearnish as sn
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> frame = pd.DataFrame({"id": ["a", "b", "c", "d"], "x": [0.0, 1.0, 2.0, 3.0]})
    >>> model = make_pipeline(StandardScaler(), LogisticRegression())
    >>> _ = model.fit(frame[["x"]], [0, 0, 1, 1])
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> frame.to_parquet(folder / "rows.parquet")
    >>> ds = sn.scan_parquet(folder / "rows.parquet")
    >>> sn.predict_to(model, folder / "predictions.parquet", ds, columns=["id"])
    >>> pd.read_parquet(folder / "predictions.parquet")["prediction"].tolist()
    [0, 0, 1, 1]
    """
    check_order(path, "sn.predict_to(model, 'predictions.parquet', X)")
    own = getattr(model, "best_estimator_", model)
    if isinstance(own, AnswerMixin):
        return own.predict_to(path, X, method=method, columns=columns)
    check_is_fitted(model)
    if not callable(getattr(model, method, None)):
        known = ", ".join(name for name in (*_PREFIXES, "transform") if hasattr(model, name))
        raise ValueError(f"{type(model).__name__} has no method={method!r}; it has {known}.")
    dataset = as_dataset(X)
    check_some_rows(dataset)
    carried = check_columns(columns, (), dataset.source)
    path = check_path(path, carried, X, dataset.source)
    found = _results(getattr(model, method), _taker(model, X, dataset), dataset)
    first = next(found)
    names = _names(model, method, first[1])
    check_columns(columns, names, dataset.source)
    write(path, dataset, chain([first], found), names, carried, text_type(model, method))
    return None


def _taker(model: Any, X: Any, dataset: Dataset) -> Take:
    """Build what takes rows at some positions in the form in which the model knows them."""
    names = getattr(model, "feature_names_in_", None)
    view = dataset.without_target()
    if names is not None and view._inputs.names is not None:
        view = view if view.transforms else view.select(list(names))  # says what is missing
        frame = X[list(names)] if hasattr(X, "iloc") else None  # pandas: its types are kept
        return lambda rows: view[rows].to_pandas() if frame is None else frame.iloc[rows]
    if hasattr(X, "iloc"):
        return lambda rows: X.iloc[rows]
    plain = view._inputs.names is not None and not view.transforms
    dicts = not plain and isinstance(view[:1].read([0]).X, dict)
    return lambda rows: view[rows] if dicts else np.asarray(view[rows])


def results(predict: Callable[[Any], Any], dataset: Dataset) -> Iterator[Piece]:
    """Predict for the features of some rows at a time, as arrays."""
    view = dataset.without_target()
    return _results(predict, lambda rows: np.asarray(view[rows]), view)


def _results(predict: Callable[[Any], Any], take: Take, dataset: Dataset) -> Iterator[Piece]:
    """Predict for some rows at a time."""
    for rows, n_rows in parts(dataset):
        yield rows, _as_array(predict(take(rows)), n_rows)


def parts(dataset: Dataset) -> Iterator[tuple[slice | IntArray, int]]:
    """Cut the rows into parts that fit into memory, so that each block of a file is read once."""
    order = storage_order(dataset)
    for start, stop in _spans(dataset, order):
        yield slice(start, stop) if order is None else order[start:stop], stop - start


def _spans(dataset: Dataset, order: IntArray | None) -> Iterator[tuple[int, int]]:
    """Cut the rows, in the order in which they are stored, at borders of blocks."""
    n_rows, blocks = len(dataset), dataset.source.blocks
    least = max(1, _CHUNK // dataset.row_nbytes)
    if blocks is None:
        return ((start, min(start + least, n_rows)) for start in range(0, n_rows, least))
    rows = dataset.rows if order is None else dataset.rows[order]
    return pieces(rows.astype(np.int64, copy=False), blocks, least)


def _as_array(values: Any, n_rows: int) -> Array:
    """Make one array of what a method returned: several outputs are set side by side."""
    values = values.toarray() if sparse.issparse(values) else values  # type: ignore[attr-defined]
    array = np.hstack(values) if isinstance(values, list) else np.asarray(values)
    if array.ndim == 0 or len(array) != n_rows:
        raise ValueError(
            f"The method returned {array.shape} for {n_rows} rows; wanted one result a row. Write "
            "methods such as predict, predict_proba or transform."
        )
    return array


def _names(model: Any, method: str, values: Array) -> list[str]:
    """Name the columns of the results in a file."""
    prefix = _PREFIXES.get(method, method)
    width = int(np.prod(values.shape[1:], dtype=np.int64))
    if values.ndim == 1 or width == 1:
        return [prefix]
    if method == "transform" and hasattr(model, "get_feature_names_out"):
        return [str(name) for name in model.get_feature_names_out()]
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list):  # of several outputs
        classes = [f"{i}_{label}" for i, each in enumerate(classes) for label in each]
    if method == "predict" or classes is None or len(classes) != width:
        classes = range(width)
    return [f"{prefix}_{label}" for label in classes]
