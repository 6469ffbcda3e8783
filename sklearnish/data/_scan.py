"""From a path or an object to a Dataset."""

import glob
import os
import pathlib
from collections.abc import Callable, Collection, Iterable, Sequence
from os import PathLike
from typing import Any

import narwhals as nw
import torch

from sklearnish.data._columns import column_names
from sklearnish.data._dataset import Dataset
from sklearnish.data._files import path_text
from sklearnish.data._source import Source
from sklearnish.data._sources.arrays import ArraySource
from sklearnish.data._sources.csv import CsvSource
from sklearnish.data._sources.frames import FrameSource, is_frame
from sklearnish.data._sources.images import images_from_paths, images_in_folder, images_in_tar
from sklearnish.data._sources.npy import NpySource
from sklearnish.data._sources.parquet import ParquetSource
from sklearnish.data._sources.torch_datasets import TorchDatasetSource

Path = str | PathLike[str]
Paths = Path | Sequence[Path]
Columns = str | Sequence[str] | None
Size = int | Sequence[int] | None


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
    X : array-like, sparse matrix, torch.Tensor, DataFrame, torch Dataset or Dataset
        Arrays of any rank, pandas or polars DataFrames, Arrow tables; or any map-style torch
        ``Dataset`` of ``(x, y)`` pairs. Nothing is copied but lists.
    y : array-like of shape (n_rows,) or (n_rows, n_targets), default=None
        Labels.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the rows.
    collate_fn : callable, default=None
        For a torch ``Dataset``: makes ``(X, y)`` of a list of pairs, as a ``DataLoader``'s does.
        It sees any chunk of rows, so what it pads must be padded to a fixed length.

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
    dataset = X if isinstance(X, Dataset) else _dataset_of(X, collate_fn)
    if y is not None:
        dataset = dataset.with_target(y)
    return dataset if sample_weight is None else dataset.with_weight(sample_weight)


def _dataset_of(X: Any, collate_fn: Callable[..., Any] | None) -> Dataset:
    """Wrap an object in the source of its kind."""
    if isinstance(X, torch.utils.data.Dataset):
        return _view(TorchDatasetSource(X, collate_fn))
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
        If nothing matches, or a path is empty.
    TypeError
        If `target`, `weight` or `columns` are not names, or `paths` is a DataFrame.
    ValueError
        If a file is empty, damaged or not Parquet, files differ in their columns, a file claims
        more rows per byte than the environment variable ``SKLEARNISH_MAX_ROWS_PER_BYTE`` allows
        (100,000 by default), or a column does not exist.

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
    _check_given(paths, target, weight, columns)
    return _view(ParquetSource(paths), target, weight, columns)


def scan_csv(
    paths: Paths,
    *,
    target: Columns = None,
    weight: str | None = None,
    columns: Columns = None,
    **read_csv: Any,
) -> Dataset:
    r"""Make a Dataset of CSV files, converted once into the cache folder.

    The conversion streams, so memory stays flat; it is used again for as long as the files are
    unchanged. Types are found over the whole file. The cache folder is the user's, or that of
    the environment variable ``SKLEARNISH_CACHE``.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files (plain, gzip, bz2, zstd or lz4), globs or folders; many files are one table.
    target : str or sequence of str, default=None
        Column, or columns, of the labels.
    weight : str, default=None
        Column of the row weights.
    columns : sequence of str, default=None
        Feature columns; all but target and weight by default.
    **read_csv
        The usual keywords of :func:`pandas.read_csv`: ``sep``, ``header``, ``names``,
        ``usecols``, ``dtype``, ``na_values``, ``skiprows``, ``encoding`` and others; an error
        lists them.

    Returns
    -------
    Dataset
        A view of all rows.

    Raises
    ------
    FileNotFoundError
        If nothing matches, or a path is empty.
    TypeError
        If a keyword is not supported, `target`, `weight` or `columns` are not names, or `paths`
        is a DataFrame.
    ValueError
        If a file is empty, headers differ, a row has too few or too many fields, is longer than
        the environment variable ``SKLEARNISH_MAX_ROW_BYTES`` allows (2**28 by default), a packed
        file unpacks to more than ``SKLEARNISH_MAX_UNPACKED`` (1000) times its size, or a column
        does not exist.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import sklearnish as sn
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "train.csv"
    >>> _ = path.write_text("a,b,label\n1,2.5,yes\n3,,no\n")
    >>> sn.scan_csv(path, target="label").dtypes
    {'a': 'int64', 'b': 'float64'}
    """
    _check_given(paths, target, weight, columns)  # before the conversion, which may take long
    return _view(CsvSource(paths, **read_csv), target, weight, columns)


def scan_npy(paths: Paths, *, target: Any = None) -> Dataset:
    """Make a Dataset of .npy files, which are memory-mapped.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files, globs or folders of arrays of shape (n_rows, ...); several are stacked along
        their rows.
    target : path-like, sequence of path-like or ndarray, default=None
        Labels: likewise in files, or an array of one value per row.

    Returns
    -------
    Dataset
        A view of all rows.

    Raises
    ------
    FileNotFoundError
        If nothing matches, or a path is empty.
    ValueError
        If a file is empty, truncated, not in the .npy format, holds Python objects, or files
        differ in the shape of their rows.
    TypeError
        If `paths` are no paths, or `target` is neither paths nor an array.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import sklearnish as sn
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.save(folder / "X.npy", np.zeros((10, 3), dtype=np.float32))
    >>> sn.scan_npy(folder / "X.npy", target=np.arange(10)).shape
    (10, 3)
    """
    _check_given(paths)
    return _view(NpySource(paths, target))


def scan_images(
    paths: Paths, *, labels: Any = None, size: Size = None, root: Path | None = None
) -> Dataset:
    """Make a Dataset of pictures; they are decoded when they are read.

    Rows are pictures in RGB, uint8 of shape (3, height, width), turned upright by their EXIF
    orientation. Needs ``pip install "sklearnish[images]"``.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        A folder of class folders, an uncompressed tar of such folders (read by offset, never
        extracted), or a list of JPEG, PNG or WEBP files.
    labels : array-like of shape (n_images,), default=None
        Labels of a list of files. Those of a folder or tar are the names of its folders.
    size : int or (int, int), default=None
        Side, or height and width, to which pictures are resized; None if all have one size.
    root : path-like, default=None
        Folder that the paths of a list are relative to and may not lead out of: for lists that
        came with the pictures.

    Returns
    -------
    Dataset
        A view of all pictures.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file, or none was given.
    ValueError
        If there are no pictures, sizes differ and `size` is None, a path leads out of `root`,
        a picture has more pixels than the environment variable ``SKLEARNISH_MAX_PIXELS``
        allows (89,478,485 by default), a tar more members than ``SKLEARNISH_MAX_MEMBERS``
        (20 million), or a picture cannot be decoded; the message names it.
    TypeError
        If `paths` are no paths.
    ImportError
        If Pillow is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> import sklearnish as sn
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (folder / name).mkdir()
    ...     Image.new("RGB", (8, 6)).save(folder / name / "1.png")
    >>> ds = sn.scan_images(folder)
    >>> ds.shape, ds.target
    ((2, 3, 6, 8), array(['cat', 'dog'], dtype='<U3'))
    """
    _check_given(paths)
    if not isinstance(paths, str | PathLike):
        return _view(images_from_paths(paths, labels, size, root))
    if labels is not None:
        raise ValueError("labels go with a list of files; a folder or tar names its own.")
    if root is not None:
        raise ValueError("root goes with a list of files, which are looked for in it.")
    path = pathlib.Path(path_text(paths)).expanduser()
    if not path.exists():
        raise FileNotFoundError(_no_pictures(paths))
    return _view(images_in_folder(paths, size) if path.is_dir() else images_in_tar(paths, size))


def _no_pictures(path: Path) -> str:
    """Say what scan_images takes; no glob, which would leave open what the labels are."""
    text = os.fspath(path)
    way = f", here sorted(glob.glob({text!r}))" if glob.has_magic(text) else ""
    return (
        f"{text} does not exist (looked for {pathlib.Path(text).expanduser().absolute()}). "
        f"scan_images takes a folder of class folders, a tar, or a list of files{way}."
    )


def _check_given(paths: Any, target: Any = None, weight: Any = None, columns: Any = None) -> None:
    """Refuse data in the place of a path, and values in the place of names."""
    if is_frame(paths):
        raise TypeError(
            f"expected a path or a list of paths, got {type(paths).__name__}. What is in memory "
            "is passed to fit as it is, or made a Dataset by sn.as_dataset."
        )
    if not isinstance(paths, str | PathLike | Iterable):
        raise TypeError(f"expected a path or a list of paths, got {type(paths).__name__}.")
    if not _are_names(target):
        raise TypeError(
            f"target takes the name of a column or a list of names, got {type(target).__name__}. "
            "Labels of your own go into the Dataset's with_target, or into the y of fit."
        )
    if not (weight is None or isinstance(weight, str)):
        raise TypeError(
            f"weight takes the name of a column, got {type(weight).__name__}. Weights of your "
            "own go into the Dataset's with_weight, or into the sample_weight of fit."
        )
    if not _are_names(columns):
        raise TypeError(f"columns takes a list of names, got {type(columns).__name__}.")


def _are_names(given: Any) -> bool:
    """Say whether something is None, a name or several; a Series is values, even of text."""
    if given is None or isinstance(given, str):
        return True
    several = isinstance(given, Collection) and not nw.dependencies.is_into_series(given)
    return several and all(isinstance(name, str) for name in given)


def _view(
    source: Source, target: Columns = None, weight: str | None = None, columns: Columns = None
) -> Dataset:
    """Give the columns of a source their roles; a list of one target is that target."""
    if not source.tabular and target is None:
        target = "y" if "y" in source.schema else None
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
