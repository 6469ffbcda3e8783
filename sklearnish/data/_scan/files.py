"""From tables and arrays in files to a Dataset."""

from typing import Any

from sklearnish.data._as_dataset import Columns, view_of
from sklearnish.data._dataset import Dataset
from sklearnish.data._scan.given import Paths, asked, check_given
from sklearnish.data._sources.csv.source import CsvSource
from sklearnish.data._sources.npy.source import NpySource
from sklearnish.data._sources.parquet.source import ParquetSource


def scan_parquet(
    paths: Paths,
    *,
    target: Columns = None,
    weight: str | None = None,
    columns: Columns = None,
    filesystem: Any = None,
) -> Dataset:
    """Make a Dataset of Parquet files; only their footers are read.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files, globs (``"train/*.parquet"``) or folders; many files are one table. Folders
        named ``year=2020`` below a folder or glob are columns too: integers, or text.
    target : str or sequence of str, default=None
        Column, or columns, of the labels.
    weight : str, default=None
        Column of the row weights.
    columns : sequence of str, default=None
        Feature columns; all but target and weight by default. Other columns may then differ
        between files.
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem, default=None
        Where the files are, such as ``fsspec.filesystem("s3")``; None for the local disk. Of a
        row group the columns that are needed are read by one request, several row groups at a
        time.

    Returns
    -------
    Dataset
        A view of all rows; whole row groups are read together.

    Raises
    ------
    FileNotFoundError
        If nothing matches, or a path is empty.
    TypeError
        If `target`, `weight` or `columns` are not names, `paths` is a DataFrame, or `filesystem`
        is none.
    ValueError
        If a path is a URL and there is no `filesystem`, a file is empty, damaged, encrypted or not
        Parquet, files differ in their columns, a file claims more rows per byte than the
        environment variable ``SKLEARNISH_MAX_ROWS_PER_BYTE`` allows (100,000 by default), a
        column does not exist, or a folder is a table of Delta or Iceberg.
    OSError
        If a file cannot be opened or read at the moment; of a store, after five tries.

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
    check_given(paths, target, weight, columns)
    source = ParquetSource(paths, asked(target, weight, columns), filesystem)
    return view_of(source, target, weight, columns)


def scan_csv(
    paths: Paths,
    *,
    target: Columns = None,
    weight: str | None = None,
    columns: Columns = None,
    filesystem: Any = None,
    **read_csv: Any,
) -> Dataset:
    r"""Make a Dataset of CSV files, converted once into the cache folder.

    The conversion streams, so memory stays flat; the converted copy is reused as long as the
    files are unchanged. Column types are found over the whole file. The environment variable
    ``SKLEARNISH_CACHE`` sets the cache folder, by default that of the user.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files, globs or folders; many files are one table. Files may be compressed (gzip, bz2, xz,
        zstd, lz4, or a zip of one file), which is recognised by their first bytes.
    target : str or sequence of str, default=None
        Column, or columns, of the labels.
    weight : str, default=None
        Column of the row weights.
    columns : sequence of str, default=None
        Feature columns; all but target and weight by default.
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem, default=None
        Where the files are, such as ``fsspec.filesystem("s3")``; None for the local disk. They
        are read in order while they are converted, a few megabytes ahead, and never stored.
    **read_csv
        The usual keywords of :func:`pandas.read_csv`: ``sep``, ``header``, ``names``,
        ``usecols``, ``dtype``, ``na_values``, ``decimal``, ``thousands``, ``skiprows``,
        ``encoding`` and others; an error lists them. Columns of ``parse_dates`` must be written
        as 2001-12-31 or 2001-12-31 23:59:59.

    Returns
    -------
    Dataset
        A view of all rows.

    Raises
    ------
    FileNotFoundError
        If nothing matches, or a path is empty.
    TypeError
        If a keyword is not supported, `target`, `weight` or `columns` are not names, `paths`
        is a DataFrame, or `filesystem` is none.
    ValueError
        If a path is a URL and there is no `filesystem`, a file is empty, has no rows, is of
        another kind or has another separator, headers differ, a quote is not closed, a column of
        ``parse_dates`` holds anything but dates, a row has too few or too many fields, is longer
        than the environment variable ``SKLEARNISH_MAX_ROW_BYTES`` allows (2**28 by default), a
        compressed file unpacks to more than ``SKLEARNISH_MAX_UNPACKED`` (1000) times its size, or
        a column does not exist.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import sklearnish as sn
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "train.csv"
    >>> _ = path.write_text("a,b,label\n1,2.5,yes\n3,,no\n")
    >>> sn.scan_csv(path, target="label").dtypes
    {'a': 'int64', 'b': 'float64'}
    """
    check_given(paths, target, weight, columns)  # before the conversion, which may take long
    return view_of(CsvSource(paths, filesystem, **read_csv), target, weight, columns)


def scan_npy(paths: Paths, *, target: Any = None, filesystem: Any = None) -> Dataset:
    """Make a Dataset of .npy files; rows are read when they are needed.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files, globs or folders of arrays of shape (n_rows, ...); several are stacked along
        their rows.
    target : path-like, sequence of path-like or ndarray, default=None
        Labels: in .npy files too, or an array of one value per row.
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem, default=None
        Where the files are, such as ``fsspec.filesystem("s3")``; None for the local disk. They
        are copied once into the cache folder, which needs room for all of them: rows of a shuffle
        would take a request each.

    Returns
    -------
    Dataset
        A view of all rows.

    Raises
    ------
    FileNotFoundError
        If nothing matches, or a path is empty.
    ValueError
        If a path is a URL and there is no `filesystem`, a file is empty, truncated, not in the
        .npy format, holds Python objects, or files differ in the shape of their rows.
    TypeError
        If `paths` is not a path or a list of paths, or `target` is neither paths nor an array.

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
    check_given(paths)
    return view_of(NpySource(paths, target, filesystem))
