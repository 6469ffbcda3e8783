"""From what the user passes as X to a Dataset, or to an array that was checked."""

from os import PathLike
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.validation import validate_data

from sklearnish.data import Dataset, _columns, as_dataset


def is_lazy(X: Any) -> bool:
    """Say whether X is read batch by batch, rather than checked as an array first."""
    kinds = (Dataset, torch.utils.data.Dataset, torch.Tensor, np.memmap)
    return isinstance(X, kinds) or is_frame(X)


def is_frame(X: Any) -> bool:
    """Say whether X is a DataFrame or an Arrow table."""
    if isinstance(X, np.ndarray | list | Dataset | torch.Tensor):
        return False
    from narwhals.dependencies import is_into_dataframe

    return bool(is_into_dataframe(X))


def checked_array(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Check an array-like as scikit-learn does; return an array or a CSR matrix.

    A plain array of numbers to predict for is passed on as it is, NaN included: those are found
    batch by batch, while the processor's cache has the rows.
    """
    if isinstance(X, str | PathLike):
        raise TypeError(
            f"X is the name of a file, {str(X)!r}, not its rows. Scan it first: "
            "ds = sn.scan_parquet(path, target=...), then pass ds; scan_csv, scan_npy and "
            "scan_images work alike."
        )
    if isinstance(X, torch.utils.data.DataLoader):
        raise TypeError(
            "X is a DataLoader; pass its dataset instead, loader.dataset: batches, order and "
            "workers are parameters of the estimator."
        )
    _check_no_pair(X)
    if reset or not _is_plain(estimator, X):
        skips = reset and estimator.on_bad_rows == "skip"  # they are found later
        X = fully_checked(estimator, X, reset=reset, finite=not skips)
    elif hasattr(estimator, "feature_names_in_"):
        validate_data(estimator, X, reset=False, skip_check_array=True)  # warns that X has none
    _check_ndim(estimator, X.ndim, reset=reset)
    return X


def _check_no_pair(X: Any) -> None:
    """Refuse rows and targets in one."""
    if not isinstance(X, tuple | list) or len(X) != 2:
        return
    rows, y = (tuple(getattr(x, "shape", ())) for x in X)
    if len(rows) > 1 and rows[:1] == y[:1] and rows != y:
        raise ValueError(
            f"X is a pair of arrays, of shapes {rows} and {y}; wanted the rows alone. Pass the two "
            "one by one: fit(X, y), and validation rows as fit(X, y, X_val=X_val, y_val=y_val)."
        )


def fully_checked(estimator: Any, X: Any, *, reset: bool, finite: bool = True) -> Any:
    """Check an array-like as scikit-learn does, and say where it is not finite."""
    try:
        return validate_data(
            estimator,
            X,
            reset=reset,
            accept_sparse="csr",
            allow_nd=True,
            ensure_all_finite=finite,
        )
    except ValueError as error:
        raise ValueError(f"{error}{_first_not_finite(X)}") from error


def _is_plain(estimator: Any, X: Any) -> bool:
    """Tell an array of numbers of the right width: the whole check takes 200 us."""
    if type(X) is not np.ndarray or X.dtype not in (np.float32, np.float64) or X.ndim < 2:
        return False
    return X.shape[1] == estimator.n_features_in_ and X.size > 0


def _first_not_finite(X: Any) -> str:
    """Say where an array-like has NaN or infinity, if it has any."""
    try:
        if sparse.issparse(X):
            entries = X.tocoo()  # type: ignore[attr-defined]
            bad = np.flatnonzero(~np.isfinite(entries.data))[:1]
            place = [int(i[0]) for i in (entries.row[bad], entries.col[bad]) if len(i)]
        else:
            values = np.asarray(X)
            values = values if values.dtype.kind in "fc" else values.astype(np.float64)
            bad = np.argwhere(~np.isfinite(values))[:1]
            place = bad.ravel().tolist()
    except (TypeError, ValueError):
        return ""
    if len(place) < 2:
        return ""
    column = f"column {place[1]}" if len(place) == 2 else f"position {tuple(place[1:])}"
    return f"\nThe first is in row {place[0]}, {column}."


def to_dataset(estimator: Any, X: Any, *, reset: bool) -> Dataset:
    """Make a Dataset of X, and remember its columns, or compare them with those of fit."""
    if not is_lazy(X):
        return as_dataset(checked_array(estimator, X, reset=reset))
    dataset = X if isinstance(X, Dataset) else as_dataset(X)
    if reset:
        _check_some_columns(dataset)
    if is_frame(X):
        check_numeric(dataset)
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    elif reset:
        check_numeric(dataset)
        _remember_columns(estimator, dataset)
    else:
        dataset = _fitted_columns(estimator, dataset)
    _check_ndim(estimator, dataset.ndim, reset=reset)
    return dataset


def _check_some_columns(dataset: Dataset) -> None:
    """Refuse rows without features, in the words of scikit-learn."""
    if not dataset.transforms and 0 in dataset.row_shape:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={dataset.shape}) while a minimum of 1 is "
            f"required: the view of {dataset.source.name} has no columns. Select at least one."
        )


def _check_ndim(estimator: Any, ndim: int, *, reset: bool) -> None:
    """Note the dimensions of X, or refuse others than in fit; lengths, some modules take any."""
    fitted = getattr(estimator, "_ndim", ndim)  # an estimator saved before it was noted
    if reset:
        estimator._ndim = ndim
    elif ndim != fitted:
        raise ValueError(
            f"X has {ndim} dimensions, but {type(estimator).__name__} was fitted on X of {fitted}; "
            "reshape it, for example with X.reshape(len(X), -1) to two."
        )


def check_numeric(dataset: Dataset) -> None:
    """Refuse columns that are not numbers before anything is read."""
    if dataset.transforms or not hasattr(dataset, "columns"):
        return
    _columns.check_numeric(dataset.source, dataset.columns)


def _remember_columns(estimator: Any, dataset: Dataset) -> None:
    """Set n_features_in_ and feature_names_in_."""
    shape = dataset.row_shape
    if hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    estimator.n_features_in_ = shape[0] if shape else 1
    if hasattr(dataset, "columns"):
        estimator.feature_names_in_ = np.asarray(dataset.columns, dtype=object)


def _fitted_columns(estimator: Any, dataset: Dataset) -> Dataset:
    """Take the columns of fit by name; compare numbers where there are no names."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and hasattr(dataset, "columns"):
        missing = [name for name in names if name not in dataset.source.schema]
        if missing:
            raise ValueError(_missing_message(dataset, missing))
        dataset = dataset.select(list(names))
        check_numeric(dataset)
        return dataset
    check_numeric(dataset)
    found = dataset.row_shape[0] if dataset.row_shape else 1
    if found != estimator.n_features_in_:
        raise ValueError(
            f"X has {found} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input."
        )
    return dataset


def _missing_message(dataset: Dataset, missing: list[str]) -> str:
    """Word the error as scikit-learn does."""
    listed = "".join(f"- {name}\n" for name in missing[:10])
    more = f"- ... and {len(missing) - 10} more\n" if len(missing) > 10 else ""
    return (
        "The feature names should match those that were passed during fit.\n"
        f"Feature names seen at fit time, yet now missing in {dataset.source.name}:\n"
        f"{listed}{more}"
    )
