"""From what the user passes as X to a Dataset, or to an array that was checked."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.validation import validate_data

from sklearnish.data import (
    Dataset,
    as_dataset,
    check_no_path,
    check_numeric,
    check_rows_alone,
    detached,
    is_no_array,
    whole_frame,
)

_CHANNELS_CURED: dict[Any, str] = {
    (1, 3): "X.repeat(3, axis=1) gives grey images, in an array, three channels.",
    (4, 3): "X[:, :3] leaves transparency out of an array.",
}
"""What to do with images of so many channels where fit was given so many."""


def is_lazy(X: Any) -> bool:
    """Say whether X is read batch by batch, rather than checked as an array first."""
    if isinstance(X, torch.Tensor | np.memmap):
        return True
    return not isinstance(X, np.ndarray | list) and is_no_array(X)


def is_eager_frame(X: Any) -> bool:
    """Say whether X is a DataFrame or an Arrow table, whose rows are there."""
    if isinstance(X, np.ndarray | list | Dataset | torch.Tensor):
        return False
    from narwhals.dependencies import is_into_dataframe

    return bool(is_into_dataframe(X))


def checked_array(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Check an array-like as scikit-learn does; return an array or a CSR matrix.

    A plain array of numbers to predict for is passed on as it is, NaN included: those are found
    batch by batch, while the processor's cache has the rows.
    """
    check_no_path(X)
    if isinstance(X, torch.utils.data.DataLoader):
        raise TypeError(
            "X is a DataLoader; pass its dataset instead, loader.dataset: batches, order and "
            "workers are parameters of the estimator."
        )
    check_rows_alone(X)
    X = detached(X)
    if reset or estimator._any_columns or not _is_plain(estimator, X):
        skips = reset and estimator.on_bad_rows == "skip"  # they are found later
        X = fully_checked(estimator, X, reset=reset, finite=not skips)
    elif hasattr(estimator, "feature_names_in_"):
        validate_data(estimator, X, reset=False, skip_check_array=True)  # warns that X has none
    _check_ndim(estimator, X.ndim, reset=reset)
    return X


def fully_checked(estimator: Any, X: Any, *, reset: bool, finite: bool = True) -> Any:
    """Check an array-like as scikit-learn does, and say where it is not finite."""
    try:
        return validate_data(
            estimator,
            X,
            reset=reset,
            accept_sparse=False if estimator._any_columns else "csr",
            allow_nd=not estimator._any_columns,
            ensure_all_finite="allow-nan" if estimator._any_columns else finite,
            dtype=None if estimator._any_columns else "numeric",
        )
    except ValueError as error:
        told = f"{_without_values(str(error), X)}{_first_not_finite(X)}"
        if not reset and "inhomogeneous" not in told:
            told += _as_images(estimator, np.shape(X))
    raise ValueError(told)  # not from the error, which holds values of X


def _without_values(text: str, X: Any) -> str:
    """Take the array itself out of what scikit-learn says of its shape or type."""
    if "scalar array" in text and not np.isscalar(X):
        return (
            f"Expected 2D array, got scalar array instead: X is a {type(X).__name__}, of which "
            "NumPy makes no rows. Pass an array, a DataFrame, a list of rows or a Dataset."
        )
    if "inhomogeneous shape" in text:
        return f"{text} Rows must be of one shape: resize images, pad sequences."
    if text.startswith("Complex data"):
        return "Complex data not supported. Pass the parts as columns: X.real and X.imag."
    return re.sub(r"(instead|array):\narray=.*\.\n(?=Reshape)", r"\1. ", text, flags=re.DOTALL)


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
    if is_eager_frame(X):
        dataset = (_first_frame if reset else _later_frame)(estimator, X)
    else:
        dataset = (_first_rows if reset else _fitted_columns)(estimator, as_dataset(X))
    _check_rows_of_arrays(dataset)
    _check_ndim(estimator, dataset.ndim, reset=reset)
    return dataset


def _first_rows(estimator: Any, dataset: Dataset) -> Dataset:
    """Remember the columns."""
    _check_some_columns(dataset)
    _check_numeric(estimator, dataset)
    _remember_columns(estimator, dataset)
    return dataset


def _first_frame(estimator: Any, X: Any) -> Dataset:
    """Remember the columns as scikit-learn does, but for an index that was stored among them."""
    dataset = as_dataset(X)
    _check_some_columns(dataset)
    _check_numeric(estimator, dataset)
    without_index = len(dataset.columns) < len(dataset.source.schema)
    seen = _picked(X, dataset.columns) if without_index else X
    validate_data(estimator, _with_names(seen), reset=True, skip_check_array=True)
    return dataset


def _later_frame(estimator: Any, X: Any) -> Dataset:
    """Take the columns of fit, by name where they have names."""
    dataset = _fitted_columns_of_frame(estimator, X, whole_frame(X))
    _check_numeric(estimator, dataset)
    if not _has_names(estimator, dataset):
        validate_data(estimator, _with_names(X), reset=False, skip_check_array=True)
    return dataset


def _picked(X: Any, names: Sequence[str]) -> Any:
    """Pick columns of any DataFrame."""
    import narwhals as nw

    return nw.from_native(X, eager_only=True).select(*names).to_native()


def _with_names(X: Any) -> Any:
    """Show scikit-learn the columns of any DataFrame: 1.8 finds none in those of polars 2."""
    import narwhals as nw

    if nw.dependencies.is_pandas_dataframe(X):
        return X
    return nw.from_native(X, eager_only=True)[:0].to_pandas()


def _check_rows_of_arrays(dataset: Dataset) -> None:
    """Refuse rows that are single numbers, as scikit-learn does: no module takes a row of none."""
    if dataset.ndim == 1 and not isinstance(dataset._first_row, dict):
        raise ValueError(
            f"Expected 2D array, got 1D array instead: rows of {dataset.source.name} are single "
            "numbers. Reshape your data, if it has a single feature: X.reshape(-1, 1) of an array "
            "or tensor, x.reshape(1) in a Dataset's __getitem__, and of a file "
            "ds.map_batches(lambda X: X.reshape(-1, 1))."
        )


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
        cure = {2: "reshape it: X.reshape(len(X), -1)", ndim + 1: "one row is X[None]"}
        raise ValueError(
            f"X has {ndim} dimensions, but {type(estimator).__name__} was fitted on X of {fitted}; "
            f"{cure.get(fitted, 'reshape it')}."
        )


def check_some_rows(dataset: Dataset) -> None:
    """Refuse a view of no rows, in the words of scikit-learn."""
    if len(dataset) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={dataset.shape}) while a minimum of 1 is "
            f"required: the view of {dataset.source.name} has no rows."
        )


def _check_numeric(estimator: Any, dataset: Dataset) -> None:
    """Refuse columns that are not numbers before anything is read."""
    if estimator._any_columns or dataset.transforms or not hasattr(dataset, "columns"):
        return
    check_numeric(dataset.source, dataset.columns)


def _remember_columns(estimator: Any, dataset: Dataset) -> None:
    """Set n_features_in_ and feature_names_in_."""
    shape = dataset.row_shape
    if hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    estimator.n_features_in_ = shape[0] if shape else 1
    if hasattr(dataset, "columns"):
        estimator.feature_names_in_ = np.asarray(dataset.columns, dtype=object)
        estimator.n_features_in_ = len(dataset.columns)  # one of lists counts once, as in a frame


def _fitted_columns(estimator: Any, dataset: Dataset) -> Dataset:
    """Take the columns of fit by name; compare numbers where there are no names."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and hasattr(dataset, "columns"):
        # What a function of frames does not return is not taken from the file behind its back.
        known = dataset.columns if dataset.source.functions else dataset.source.schema
        missing = [name for name in names if name not in known]
        if missing:
            raise ValueError(_missing_message(dataset, missing))
        dataset = dataset.select(list(names))
        _check_numeric(estimator, dataset)
        return dataset
    _check_numeric(estimator, dataset)
    found = dataset.row_shape[0] if dataset.row_shape else 1
    if found != estimator.n_features_in_:
        raise ValueError(
            f"X has {found} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input."
            f"{_as_images(estimator, (len(dataset), *dataset.row_shape))}"
        )
    return dataset


def _as_images(estimator: Any, shape: tuple[int, ...]) -> str:
    """Say what to do with X of such a shape where fit was given images, channels first."""
    channels = getattr(estimator, "n_features_in_", None)
    if getattr(estimator, "_ndim", None) != 4 or shape[1:2] == (channels,):
        return ""
    if len(shape) != 4:
        return (
            f" fit was given images, X of shape (n_images, {channels}, height, width), and this X "
            f"has {len(shape)} dimensions. One image is X[None]; images without an axis of "
            "channels are X[:, None]."
        )
    if shape[3] == channels:
        return (
            f" fit was given images of {channels} channels x height x width, and these look like "
            "height x width x channels: move the axes, X.transpose(0, 3, 1, 2) for an array."
        )
    cure = _CHANNELS_CURED.get((shape[1], channels), "Convert them as those of fit were.")
    return f" Number of channels of these images: {shape[1]}, of those in fit: {channels}. {cure}"


def _has_names(estimator: Any, dataset: Dataset) -> bool:
    """Say whether columns are found by name: both those of fit and these have names of text."""
    source = dataset.source
    return hasattr(estimator, "feature_names_in_") and getattr(source, "columns_are_strings", True)


def _fitted_columns_of_frame(estimator: Any, X: Any, dataset: Dataset) -> Dataset:
    """Take the columns of fit, in its order, and ignore others; scikit-learn words the errors."""
    if not _has_names(estimator, dataset):
        return dataset
    names = estimator.feature_names_in_.tolist()
    kept = [name for name in dataset.columns if name in set(names)]
    if kept != names:
        seen = _picked(X, kept)
        some = X if len(kept) < len(names) else seen  # are missing; in another order
        validate_data(estimator, _with_names(some), reset=False, skip_check_array=True)
    return dataset.select(names)


def small_array(estimator: Any, X: Any, most: int) -> Any:
    """Make an array of numbers of a DataFrame of few rows; None where that is no plain matter.

    A Dataset of one row costs ten times as much as its prediction.
    """
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or not (hasattr(X, "to_numpy") and hasattr(X, "columns")) or len(X) > most:
        return None
    wanted, columns = names.tolist(), list(X.columns)
    if columns != wanted:
        if [name for name in columns if name in set(wanted)] != wanted:
            return None
        X = X[wanted]
    values = X.to_numpy()
    return values if values.dtype.kind in "fiub" and values.size else None


def _missing_message(dataset: Dataset, missing: list[str]) -> str:
    """Word the error as scikit-learn does."""
    listed = "".join(f"- {name}\n" for name in missing[:10])
    more = f"- ... and {len(missing) - 10} more\n" if len(missing) > 10 else ""
    return (
        "The feature names should match those that were passed during fit.\n"
        f"Feature names seen at fit time, yet now missing in {dataset.source.name}:\n"
        f"{listed}{more}"
    )
