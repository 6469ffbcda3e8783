"""From paths to a Dataset."""

import glob
import os
import pathlib
from collections.abc import Collection, Iterable, Sequence
from os import PathLike
from typing import Any

import narwhals as nw

from sklearnish.data._as_dataset import Columns, view_of
from sklearnish.data._dataset import Dataset
from sklearnish.data._files.paths import path_text
from sklearnish.data._sources.csv.source import CsvSource
from sklearnish.data._sources.frames import is_frame
from sklearnish.data._sources.images.source import (
    images_from_paths,
    images_in_folder,
    images_in_tar,
)
from sklearnish.data._sources.npy.source import NpySource
from sklearnish.data._sources.parquet.source import ParquetSource

Path = str | PathLike[str]
Paths = Path | Sequence[Path]
Size = int | Sequence[int] | None


def scan_parquet(
    paths: Paths, *, target: Columns = None, weight: str | None = None, columns: Columns = None
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

    Returns
    -------
    Dataset
        A view of all rows; whole row groups are read together.

    Raises
    ------
    FileNotFoundError
        If nothing matches, or a path is empty.
    TypeError
        If `target`, `weight` or `columns` are not names, or `paths` is a DataFrame.
    ValueError
        If a file is empty, damaged, encrypted or not Parquet, files differ in their columns, a
        file claims more rows per byte than the environment variable
        ``SKLEARNISH_MAX_ROWS_PER_BYTE`` allows (100,000 by default), or a column does not exist.
    OSError
        If a file cannot be opened or read at the moment.

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
    return view_of(ParquetSource(paths, _asked(target, weight, columns)), target, weight, columns)


def scan_csv(
    paths: Paths,
    *,
    target: Columns = None,
    weight: str | None = None,
    columns: Columns = None,
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
        If a keyword is not supported, `target`, `weight` or `columns` are not names, or `paths`
        is a DataFrame.
    ValueError
        If a file is empty, has no rows, is of another kind or has another separator, headers
        differ, a quote is not closed, a column of ``parse_dates`` holds anything but dates, a row
        has too few or too many fields, is longer than the environment variable
        ``SKLEARNISH_MAX_ROW_BYTES`` allows (2**28 by default), a compressed file unpacks to more
        than ``SKLEARNISH_MAX_UNPACKED`` (1000) times its size, or a column does not exist.

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
    return view_of(CsvSource(paths, **read_csv), target, weight, columns)


def scan_npy(paths: Paths, *, target: Any = None) -> Dataset:
    """Make a Dataset of .npy files; rows are read when they are needed.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files, globs or folders of arrays of shape (n_rows, ...); several are stacked along
        their rows.
    target : path-like, sequence of path-like or ndarray, default=None
        Labels: in .npy files too, or an array of one value per row.

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
    _check_given(paths)
    return view_of(NpySource(paths, target))


def scan_images(
    paths: Paths, *, labels: Any = None, size: Size = None, root: Path | None = None
) -> Dataset:
    """Scan images as a Dataset; they are decoded when they are read.

    Rows are images in RGB, uint8 of shape (3, height, width), turned upright by their EXIF
    orientation. Needs ``pip install "sklearnish[images]"``.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        A folder of class folders, an uncompressed tar of such folders (read by offset, never
        extracted), or a list of JPEG, PNG or WEBP files.
    labels : array-like of shape (n_images,) or callable, default=None
        One label per image, in the order of the list or of ``ds.column("path")``; or a
        function that is given the path (a :class:`pathlib.PurePath`) and returns the label:
        ``labels=lambda path: path.parent.name``. By default the label of an image in a folder
        or tar is its class folder (see Notes), and a list of files has no labels.
    size : int or (int, int), default=None
        Side, or height and width, to which images are resized; None if all have one size.
    root : path-like, default=None
        For a tar, the folder in it to read: ``scan_images("pets.tar", root="train")``. For a list,
        the folder that its paths are relative to and must not lead out of; use it for lists that
        you did not write.

    Returns
    -------
    Dataset
        A view of all images. ``ds.column("path")`` has the path of each: relative to the folder
        or the root, as a member of the tar, or absolute for a list without `root`.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file, or none was given.
    ValueError
        If there are no images, a folder holds images of another format (GIF, TIFF, HEIC and
        others), the class folders are named like the parts of a split, sizes differ and `size` is
        None, a path leads out of `root`, an image has more pixels than the environment variable
        ``SKLEARNISH_MAX_PIXELS`` allows (89,478,485 by default), a tar more members than
        ``SKLEARNISH_MAX_MEMBERS`` (20 million), or an image cannot be decoded; the message names
        it.
    TypeError
        If `paths` is not a path or a list of paths.
    ImportError
        If Pillow is not installed.

    Warns
    -----
    UserWarning
        If a folder or tar holds files that are not read; it counts them, and names a few.

    Notes
    -----
    A folder and a tar of it are read in the same way. The class folders are the first level
    with more than one folder, so that ``pets/cat/1.png`` and ``pets/dog/big/2.png`` are a "cat"
    and a "dog", whether pets or pets.tar is scanned. Links to folders are followed. What is hidden
    (its name begins with ".", or is "__MACOSX"), an image in no class folder, and files of other
    kinds are left out. If the class folders are "train" and "test", or the like, with folders in
    them, scan one of them, or pass `labels`.

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
        return view_of(images_from_paths(paths, labels, size, root))
    path = pathlib.Path(path_text(paths)).expanduser()
    if not path.exists():
        raise FileNotFoundError(_no_pictures(paths))
    if not path.is_dir():
        return view_of(images_in_tar(paths, size, labels, root))
    if root is not None:
        raise ValueError(
            "root is for a tar or a list of files. For a folder, scan the subfolder: "
            f"scan_images({str(path / path_text(root))!r})."
        )
    return view_of(images_in_folder(paths, size, labels))


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
            f"expected a path or a list of paths, got {type(paths).__name__}. Pass data in memory "
            "to fit as it is, or make it a Dataset with sn.as_dataset."
        )
    if not isinstance(paths, str | PathLike | Iterable):
        raise TypeError(f"expected a path or a list of paths, got {type(paths).__name__}.")
    if not _are_names(target):
        raise TypeError(
            f"target takes the name of a column or a list of names, got {type(target).__name__}. "
            "Pass labels of your own to the Dataset's with_target, or as y to fit."
        )
    if not (weight is None or isinstance(weight, str)):
        raise TypeError(
            f"weight takes the name of a column, got {type(weight).__name__}. Pass weights of "
            "your own to the Dataset's with_weight, or as sample_weight to fit."
        )
    if not _are_names(columns):
        raise TypeError(f"columns takes a list of names, got {type(columns).__name__}.")


def _are_names(given: Any) -> bool:
    """Say whether something is None, a name or several; a Series is values, even of text."""
    if given is None or isinstance(given, str):
        return True
    several = isinstance(given, Collection) and not nw.dependencies.is_into_series(given)
    return several and all(isinstance(name, str) for name in given)


def _asked(target: Columns, weight: str | None, columns: Columns) -> set[str] | None:
    """List the columns that are asked for by name; None if all are."""
    if columns is None:
        return None
    given = [names for names in (target, weight, columns) if names is not None]
    return {name for names in given for name in ([names] if isinstance(names, str) else names)}
