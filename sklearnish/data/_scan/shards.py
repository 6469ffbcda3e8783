"""From tar shards of samples to a Dataset."""

from typing import Any

from sklearnish.data._as_dataset import view_of
from sklearnish.data._dataset import Dataset
from sklearnish.data._named import Names
from sklearnish.data._same_size import Sides
from sklearnish.data._scan.given import Paths, check_given
from sklearnish.data._sources.shards.source import ShardSource


def scan_shards(
    paths: Paths, X: Names, *, target: Any = None, size: Sides = None, filesystem: Any = None
) -> Dataset:
    """Make a Dataset of tar shards in WebDataset's layout: 1.jpg, 1.cls, 2.jpg, 2.cls, ...

    A sample is a run of members whose names agree up to their first dot; what follows the dot names
    the field. The tars are walked through once, and where each member lies is kept in the cache
    folder. Every sample is then read by its offset, so that a shuffle is an exact one.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Uncompressed tars, globs (``"train-*.tar"``) or folders; samples come in their order.
    X : str, sequence of str or dict of str to str
        Field of the rows: "jpg", "jpeg", "png" or "webp" (images: uint8 of shape
        (3, height, width), as in :func:`scan_images`), or "npy" (arrays of one shape). Of
        ``"jpg;png"`` the first that a sample has counts. For a module with several inputs: fields,
        or a dict whose keys are the arguments of ``forward``.
    target : str or array-like of shape (n_samples,) or (n_samples, n_targets), default=None
        Field of the labels: "cls" (a whole number), "txt" (text), "json" with the keys that lead to
        the label (``"json.label"``), or "npy"; or the labels themselves, one per sample.
    size : int or (int, int), default=None
        Side, or height and width, to which images are resized; None if all have one size.
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem, default=None
        Where the tars are, such as ``fsspec.filesystem("s3")``; None for the local disk. They are
        copied once into the cache folder, which needs room for all of them.

    Returns
    -------
    Dataset
        A view of all samples. ``ds.column("key")`` has their keys, ``ds.column("shard")`` the
        paths of their tars.

    Raises
    ------
    FileNotFoundError
        If nothing matches, or a path is empty.
    ValueError
        If a path is a URL and there is no `filesystem`; if a tar is compressed, truncated or
        damaged, holds links, a sample with the same field twice, or more members than the
        environment variable ``SKLEARNISH_MAX_MEMBERS`` allows (20 million by default); if no
        sample has such a field, the message lists those there are; if a label is missing or cannot
        be read; if images or arrays differ in size. A sample without rows is named when it is
        read, and can be left out by ``on_bad_rows="skip"``.
    TypeError
        If `paths` are no paths, `X` is no name, or `target` neither name nor labels.
    ImportError
        If rows are images and Pillow is not installed: ``pip install "sklearnish[images]"``.
    OSError
        If the cache folder (``SKLEARNISH_CACHE``, or that of the user) cannot be written to.

    Examples
    --------
    >>> import io, pathlib, tarfile, tempfile
    >>> import numpy as np
    >>> import sklearnish as sn
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "train-0.tar"
    >>> def add(tar, name, data):
    ...     member = tarfile.TarInfo(name)
    ...     member.size = len(data)
    ...     tar.addfile(member, io.BytesIO(data))
    >>> with tarfile.open(path, "w") as tar:
    ...     for i in range(4):
    ...         file = io.BytesIO()
    ...         np.save(file, np.full(3, i, "float32"))
    ...         add(tar, f"{i}.npy", file.getvalue())
    ...         add(tar, f"{i}.cls", str(i % 2).encode())
    >>> ds = sn.scan_shards(path, "npy", target="cls")
    >>> ds.shape, ds.target
    ((4, 3), array([0, 1, 0, 1]))
    """
    check_given(paths)
    return view_of(ShardSource(paths, X, target, size, filesystem))
