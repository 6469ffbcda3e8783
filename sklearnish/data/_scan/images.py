"""From folders, tars and lists of images to a Dataset."""

import glob
import os
import pathlib
from os import PathLike
from typing import Any

from sklearnish.data._as_dataset import view_of
from sklearnish.data._dataset import Dataset
from sklearnish.data._files.paths import is_url, needs_filesystem, path_text
from sklearnish.data._same_size import Sides
from sklearnish.data._scan.given import Path, Paths, check_given
from sklearnish.data._sources.images.source import (
    images_from_paths,
    images_in_folder,
    images_in_tar,
)


def scan_images(
    paths: Paths,
    *,
    labels: Any = None,
    size: Sides = None,
    root: Path | None = None,
    filesystem: Any = None,
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
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem, default=None
        Where a tar is, such as ``fsspec.filesystem("s3")``; None for the local disk. It is copied
        once into the cache folder, which needs room for it.

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
        If `paths` is a URL and there is no `filesystem`, or what is there is no tar, there are no
        images, a folder holds images of another format (GIF, TIFF, HEIC and others), the class
        folders are named like the parts of a split, sizes differ and `size` is None, a path leads
        out of `root`, an image has more pixels than the environment variable
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
    check_given(paths)
    if filesystem is not None:
        if not isinstance(paths, str | PathLike):
            raise ValueError(
                "With filesystem=, scan_images reads one tar: of a list, each image would be "
                "waited for. Pack them: tar -cf images.tar folder."
            )
        return view_of(images_in_tar(paths, size, labels, root, filesystem))
    if not isinstance(paths, str | PathLike):
        return view_of(images_from_paths(paths, labels, size, root))
    if is_url(path_text(paths)):
        raise ValueError(needs_filesystem(path_text(paths)))
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
