"""From an object, or a source of any kind, to a Dataset."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from scipy import sparse

from sklearnish.data._dataset import Dataset
from sklearnish.data._source import Source
from sklearnish.data._sources.arrays import ArraySource, DictSource
from sklearnish.data._sources.frames import FrameSource, is_frame
from sklearnish.data._sources.hugging_face.source import hugging_face, is_hugging_face
from sklearnish.data._sources.torch_datasets.source import TorchDatasetSource
from sklearnish.data._views.columns import column_names, without_index
from sklearnish.data._views.inputs import Inputs
from sklearnish.data._views.labels import Labels

Columns = str | Sequence[str] | None


def as_dataset(
    X: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    collate_fn: Callable[..., Any] | None = None,
) -> Dataset:
    """Make a Dataset of something in memory or of a torch Dataset.

    Parameters
    ----------
    X : array-like, sparse matrix, torch.Tensor, DataFrame, dict, torch Dataset or Dataset
        Arrays of any rank, pandas or polars DataFrames, Arrow tables, Hugging Face Datasets; a
        dict of arrays, whose keys are the arguments of ``forward``, for a module with several
        inputs; or any map-style torch ``Dataset`` of ``(x, y)`` pairs. Only lists are copied. Of a
        Hugging Face Dataset, a ``ClassLabel`` holds the names of its classes; the only one is the
        target, as is the only column beside images or arrays.
    y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
        Labels.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the rows.
    collate_fn : callable, default=None
        For a torch ``Dataset``: makes ``(X, y)`` of a list of pairs, as a ``DataLoader``'s does.
        It gets chunks of any number of rows, so it must pad to a fixed length.

    Returns
    -------
    Dataset
        A view of all rows.

    Raises
    ------
    ValueError
        If lengths differ or X does not hold numbers.
    TypeError
        If X is a torch ``IterableDataset``, which has no row indices.

    Examples
    --------
    >>> import sklearnish as sn
    >>> sn.as_dataset([[1.0, 2.0], [3.0, 4.0]], y=["a", "b"]).target
    array(['a', 'b'], dtype='<U1')
    """
    dataset = X if isinstance(X, Dataset) else _dataset_of(X, collate_fn)
    if y is not None:
        dataset = dataset.with_target(y)
    return dataset if sample_weight is None else dataset.with_weight(sample_weight)


def is_no_array(X: Any) -> bool:
    """Say whether X holds rows in another way than an array, a matrix or a list does."""
    kinds = (Dataset, torch.utils.data.Dataset)
    return isinstance(X, kinds) or _is_dict(X) or is_frame(X) or is_hugging_face(X)


def _is_dict(X: Any) -> bool:
    """Tell a dict of inputs from a sparse matrix by keys, which is a dict for SciPy."""
    return isinstance(X, Mapping) and not sparse.issparse(X)


def _dataset_of(X: Any, collate_fn: Callable[..., Any] | None) -> Dataset:
    """Wrap an object in the source of its kind."""
    if is_hugging_face(X):
        source = hugging_face(X)
        return view_of(source, source.target)
    if isinstance(X, torch.utils.data.Dataset):
        return view_of(TorchDatasetSource(X, collate_fn))
    if _is_dict(X):
        return view_of(DictSource(X))
    if is_frame(X):
        return view_of(FrameSource(X))
    return view_of(ArraySource(X))


def whole_frame(X: Any) -> Dataset:
    """Make a Dataset of all columns of a DataFrame, an index that was stored among them."""
    source = FrameSource(X)
    return view_of(source, columns=list(source.schema))


def view_of(
    source: Source, target: Columns = None, weight: str | None = None, columns: Columns = None
) -> Dataset:
    """Give the columns of a source their roles; a list of one target is that target."""
    if not source.tabular and target is None:
        target = "y" if "y" in source.schema else None
    if source.n_rows == 0:
        raise ValueError(f"{source.name} has 0 rows; at least one is needed.")
    targets = () if target is None else (target,) if isinstance(target, str) else tuple(target)
    roles = column_names(source, [*targets, *([] if weight is None else [weight])])
    if weight is not None and source.schema[weight].kind == "text":
        raise ValueError(f"weight={weight!r} of {source.name} is text. Weights must be numbers.")
    if columns is not None:
        names = column_names(source, [columns] if isinstance(columns, str) else columns)
    else:
        names = tuple(name for name in source.schema if name not in roles)
        names = without_index(names, source.name) if source.tabular else names
    if not names:
        raise ValueError(f"{source.name} has no feature columns besides {roles}.")
    return Dataset(
        source,
        range(source.n_rows),
        Inputs(names if source.tabular else None),
        Labels(targets),
        Labels(() if weight is None else (weight,)),
    )
