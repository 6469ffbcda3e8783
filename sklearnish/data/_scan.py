"""From a path or an object to a Dataset."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import torch

from sklearnish.data._columns import column_names
from sklearnish.data._dataset import Dataset
from sklearnish.data._source import Source
from sklearnish.data._sources.arrays import ArraySource
from sklearnish.data._sources.parquet import ParquetSource

Path = str | PathLike[str]
Paths = Path | Sequence[Path]
Columns = str | Sequence[str] | None


def as_dataset(X: Any, y: Any = None, *, sample_weight: Any = None) -> Dataset:
    """Make a Dataset of something in memory or of a torch Dataset.

    Parameters
    ----------
    X : array-like, sparse matrix, torch.Tensor, DataFrame, torch Dataset or Dataset
        Arrays of any rank, pandas or polars DataFrames, Arrow tables; or any map-style torch
        ``Dataset`` of ``(x, y)`` pairs. Nothing is copied but lists.
    y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
        Labels.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the rows.

    Returns
    -------
    Dataset
        A view of all rows.

    Raises
    ------
    ValueError
        If lengths differ or X is not made of numbers.
    TypeError
        If X is a torch ``IterableDataset``, whose rows have no numbers to be asked by.

    Examples
    --------
    >>> import sklearnish as sn
    >>> sn.as_dataset([[1.0, 2.0], [3.0, 4.0]], y=["a", "b"]).target
    array(['a', 'b'], dtype='<U1')
    """
    dataset = X if isinstance(X, Dataset) else _dataset_of(X)
    if y is not None:
        dataset = dataset.with_target(y)
    return dataset if sample_weight is None else dataset.with_weight(sample_weight)


def _dataset_of(X: Any) -> Dataset:
    """Wrap an object in the source of its kind."""
    from sklearnish.data._sources.frames import FrameSource, is_frame
    from sklearnish.data._sources.torch_datasets import TorchDatasetSource

    if isinstance(X, torch.utils.data.Dataset):
        source = TorchDatasetSource(X)
        return _view(source, target="y" if "y" in source.schema else None)
    if is_frame(X):
        return _view(FrameSource(X))
    return _view(ArraySource(X))


def scan_parquet(
    paths: Paths, *, target: Columns = None, weight: str | None = None, columns: Columns = None
) -> Dataset:
    """Make a Dataset of Parquet files; only their footers are read.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files, globs (``"train/*.parquet"``) or folders; many files are one table.
    target : str or sequence of str, default=None
        Column, or columns, of the labels.
    weight : str, default=None
        Column of the row weights.
    columns : sequence of str, default=None
        Feature columns; all but target and weight by default.

    Returns
    -------
    Dataset
        A view of all rows; row groups are what is read together.

    Raises
    ------
    FileNotFoundError
        If nothing matches.
    ValueError
        If a file is empty or not Parquet, files differ in their columns, or a column does
        not exist.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import pandas as pd
    >>> import sklearnish as sn
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "label": [0, 1]})
    >>> frame.to_parquet(folder / "train.parquet")
    >>> ds = sn.scan_parquet(folder / "train.parquet", target="label")
    >>> ds.shape, ds.columns
    ((2, 2), ('a', 'b'))
    """
    return _view(ParquetSource(paths), target, weight, columns)


def _view(
    source: Source, target: Columns = None, weight: str | None = None, columns: Columns = None
) -> Dataset:
    """Give the columns of a source their roles; a list of one target is that target."""
    if source.n_rows == 0:
        raise ValueError(f"{source.name} has 0 rows; at least one is needed.")
    targets = () if target is None else (target,) if isinstance(target, str) else tuple(target)
    roles = column_names(source, [*targets, *([] if weight is None else [weight])])
    if columns is not None:
        names = column_names(source, [columns] if isinstance(columns, str) else columns)
    else:
        names = tuple(name for name in source.schema if name not in roles)
    if not names:
        raise ValueError(f"{source.name} has no feature columns beside {roles}.")
    return Dataset(
        source,
        range(source.n_rows),
        names if source.tabular else None,
        _target=(targets[0] if len(targets) == 1 else targets) or None,
        _weight=weight,
    )
