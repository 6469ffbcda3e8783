"""Memory maps, described by their file: another process maps it again, and nothing is read."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sklearnish.data._files.changes import Manifest


def described(X: Any, mode: str | None = None) -> Any:
    """Describe an array that is mapped, or a part of one, by what maps it again.

    Parameters
    ----------
    X : object
        Mode "c" is no such thing: what was written to the map is not in the file.
    mode : str, default=None
        How it is mapped again; None for as it is.

    Returns
    -------
    functools.partial or None
        None for what is not in a file.
    """
    root = _root(X)
    if root is None or root.mode == "c" or not X.size or not Path(root.filename).is_file():
        return None
    path = str(root.filename)
    mode = mode or ("r" if root.mode == "r" else "r+")
    low, high = np.lib.array_utils.byte_bounds(X)
    offset = root.offset + low - root.ctypes.data
    if isinstance(X, np.memmap) and X.flags.c_contiguous:
        return partial(_map, Manifest.of(path), path, X.dtype, mode, offset, X.shape)
    about = (high - low, X.ctypes.data - low, X.dtype, X.shape, X.strides)
    return partial(_map_part, Manifest.of(path), type(X), path, mode, offset, *about)


def _root(X: Any) -> Any:
    """Find the whole map that an array is in."""
    root = None
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap) and X.filename is not None:
            root = X
        X = X.base
    return root


def _map(manifest: Manifest, *args: Any) -> Any:
    """Map a file; what it looked like is there to make a pickle of other rows another one."""
    return np.memmap(*args)


def _map_part(
    manifest: Manifest,
    kind: type,
    path: str,
    mode: Any,
    offset: int,
    nbytes: int,
    start: int,
    dtype: Any,
    shape: Any,
    strides: Any,
) -> Any:
    """Map what lies in a file with gaps, or in another order."""
    mapped = np.memmap(path, np.uint8, mode, offset, (nbytes,))
    first = mapped[start : start + dtype.itemsize].view(dtype)
    part = np.lib.stride_tricks.as_strided(first, shape, strides, subok=True)
    return part if issubclass(kind, np.memmap) else np.asarray(part)
