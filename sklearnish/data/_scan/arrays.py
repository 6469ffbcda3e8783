"""From arrays in HDF5 files and Zarr stores to a Dataset."""

from typing import Any

from sklearnish.data._as_dataset import view_of
from sklearnish.data._dataset import Dataset
from sklearnish.data._named import Names
from sklearnish.data._scan.given import Paths, check_local
from sklearnish.data._sources.hdf5 import hdf5_source
from sklearnish.data._sources.zarr import zarr_source


def scan_hdf5(paths: Paths, X: Names, *, target: Any = None) -> Dataset:
    """Make a Dataset of arrays in HDF5 files; rows are read when they are needed.

    Whole chunks are read together, and decompressed once per window of a shuffle. Needs
    ``pip install "sklearnish[hdf5]"``.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files, globs or folders; several files are stacked along their rows.
    X : str, sequence of str or dict of str to str
        Name of the HDF5 dataset that holds the rows, of shape (n_rows, ...). For a module with
        several inputs: names, or a dict whose keys are the arguments of ``forward``.
    target : str or array-like of shape (n_rows,) or (n_rows, n_targets), default=None
        Name of the HDF5 dataset of the labels, or the labels themselves.

    Returns
    -------
    Dataset
        A view of all rows.

    Raises
    ------
    FileNotFoundError
        If nothing matches, or a path is empty.
    ValueError
        If a file is truncated or not HDF5, has no dataset of such a name (the message lists those
        there are), or one of records, objects, a single value, or of another number of rows; if its
        rows lie in other files (external links, external storage, virtual datasets), or are
        compressed with a filter that is not installed; or if files differ in the shape or dtype
        of their rows.
    TypeError
        If `paths` are no paths, `X` is no name, or `target` neither name nor labels.
    BlockingIOError
        If a file is open for writing.
    ImportError
        If h5py is not installed.

    Notes
    -----
    A damaged file with text of variable length can keep the HDF5 library busy for minutes, and
    nothing stops it. Labels of a file that you do not trust are safer as numbers, or as an array.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import h5py
    >>> import numpy as np
    >>> import sklearnish as sn
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "train.h5"
    >>> with h5py.File(path, "w") as file:
    ...     _ = file.create_dataset("images", data=np.zeros((10, 3, 8, 8), "uint8"), chunks=True)
    ...     _ = file.create_dataset("labels", data=["cat", "dog"] * 5)
    >>> ds = sn.scan_hdf5(path, "images", target="labels")
    >>> ds.shape, ds.target[:2]
    ((10, 3, 8, 8), array(['cat', 'dog'], dtype='<U3'))
    """
    check_local(paths)
    return view_of(hdf5_source(paths, X, target))


def scan_zarr(paths: Paths, X: Names = "", *, target: Any = None) -> Dataset:
    """Make a Dataset of Zarr arrays (formats 2 and 3); rows are read when they are needed.

    Whole chunks are read together, and decompressed once per window of a shuffle; of shards, only
    the chunks that are wanted are. Needs ``pip install "sklearnish[zarr]"``.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Folders or .zip files that hold a group or an array, or globs of them; several are stacked
        along their rows.
    X : str, sequence of str or dict of str to str, default=""
        Name of the array of the rows in the group, of shape (n_rows, ...); "" if the path is that
        of the array itself. For a module with several inputs: names, or a dict whose keys are the
        arguments of ``forward``.
    target : str or array-like of shape (n_rows,) or (n_rows, n_targets), default=None
        Name of the array of the labels, or the labels themselves.

    Returns
    -------
    Dataset
        A view of all rows.

    Raises
    ------
    FileNotFoundError
        If nothing matches, or a path is empty.
    ValueError
        If a store is damaged or not Zarr, has no array of such a name (the message lists those
        there are), or one of records, objects, pickled values, a single value, or of another number
        of rows; or if stores differ in the shape or dtype of their rows.
    TypeError
        If `paths` are no paths, `X` is no name, or `target` neither name nor labels.
    ImportError
        If zarr is not installed.

    Notes
    -----
    A chunk that is not there counts as the fill value of its array: that is how Zarr stores empty
    ones. So a copy of a store that lacks chunks cannot be told from a whole one.

    Rows that are written after the scan are noticed, with DatasetChangedError, by what goes over
    the Dataset batch by batch, as ``fit``, ``predict`` and ``batches`` do. ``read``,
    ``numpy.asarray`` and ``to_pandas`` look at the notes and the uppermost folders alone. Where
    format 3 keeps each chunk in a folder below them (c/5/0), they give the rows that are there now.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import sklearnish as sn
    >>> import zarr
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "train.zarr"
    >>> group = zarr.open_group(path, mode="w")
    >>> _ = group.create_array("images", data=np.zeros((10, 3, 8, 8), "uint8"), chunks=(4, 3, 8, 8))
    >>> _ = group.create_array("labels", data=np.arange(10) % 2)
    >>> ds = sn.scan_zarr(path, "images", target="labels")
    >>> ds.shape, ds.target[:3]
    ((10, 3, 8, 8), array([0, 1, 0]))
    """
    check_local(paths)
    return view_of(zarr_source(paths, X, target))
