"""From the columns of a table to the numbers that its network takes."""

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from sklearnish.data import Dataset, as_dataset, mixed_as_objects, read_frames
from sklearnish.estimators._fitting.inputs import checked_array, is_lazy, to_dataset
from sklearnish.preprocessing import TableEncoder, with_names

Array = npt.NDArray[Any]


def table_rows(estimator: Any, X: Any, *, reset: bool) -> Dataset:
    """Make a Dataset of columns of any kind; those of an array are named x0, x1 and so on."""
    X = X.detach().cpu().numpy() if isinstance(X, torch.Tensor) else X
    if isinstance(X, np.ndarray) or not is_lazy(X):
        return with_names(checked_array(estimator, mixed_as_objects(X), reset=reset))
    dataset = to_dataset(estimator, X, reset=reset)
    if not hasattr(dataset, "columns"):
        raise TypeError(
            f"{type(estimator).__name__} takes tables, and {dataset.source.name} has no columns "
            "that could be named. Pass a DataFrame, an array in memory, or a Dataset of Parquet or "
            "CSV files; for rows of other kinds there are TorchClassifier and TorchRegressor."
        )
    return dataset


def takes_codes(module: Any) -> bool:
    """Say whether a module is told which columns are categories."""
    if module is None:
        return True
    return isinstance(module, type) and "categories" in inspect.signature(module).parameters


def encoder_of(estimator: Any, data: Dataset) -> TableEncoder:
    """Fit the encoder on training rows; it knows names of columns also where the user has none."""
    encoder = TableEncoder(kinds=estimator.kinds, one_hot=not takes_codes(estimator.module))
    encoder.fit(data).feature_names_in_ = np.array(data.columns, dtype=object)
    return encoder


def encoded(encoder: TableEncoder, data: Dataset, most: int) -> Dataset:
    """Encode rows: once, if the numbers fit into `most` bytes, else whenever they are read.

    Columns of other names than in fit, such as those of an array, are taken by position. Rows that
    are encoded once are the same, and in the same order, whatever file they came from.
    """
    encode: Any = encoder.transform if encoder.one_hot else encoder.encode
    names = encoder.feature_names_in_.tolist()
    if list(data.columns) != names:
        encode = partial(_by_position, encode=encode, names=names)
        encode.draws = False  # no random numbers
    shape = len(data), _width(encoder)
    if 4 * math.prod(shape) > most:
        return data.map_frames(encode, frame="arrow")
    X = np.empty(shape, np.float32)
    for table, rows in read_frames(data):
        found = encode(table)
        X[rows] = np.column_stack(found.columns) if encoder.one_hot else found
    return as_dataset(torch.from_numpy(X)).with_target(data.target).with_weight(data.weight)


def _width(encoder: TableEncoder) -> int:
    """Count the encoded columns."""
    layout = encoder.layout_
    codes = sum(n for _, n in layout.categories) if encoder.one_hot else len(layout.categories)
    return len(layout.numbers) + len(layout.indicators) + codes


def _by_position(table: pa.Table, *, encode: Callable[..., Any], names: list[str]) -> Any:
    """Encode columns that are those of fit under other names."""
    return encode(table.rename_columns(names))
