"""Arrays in memory: numpy arrays of any rank, memory maps, torch tensors, lists, CSR matrices."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from sklearnish.data._files import Manifest
from sklearnish.data._source import Column, Field, IntArray, Source


class ArraySource(Source):
    """Rows of one array, as the field "X".

    Parameters
    ----------
    X : array-like of shape (n_rows, ...), torch tensor or CSR matrix
        Kept as it is, without a copy; a list becomes an array.
    """

    tabular = False
    work = "copying"

    def __init__(self, X: Any) -> None:
        self._X = _as_rows(X)
        self.name = f"{type(X).__name__} of shape {tuple(self._X.shape)}"
        self.n_rows = int(self._X.shape[0])
        self.in_memory = not isinstance(self._X, np.memmap)
        self.writable = isinstance(self._X, np.memmap) and self._X.mode != "r"
        self.schema = {"X": Field(_dtype_name(self._X), "number", tuple(self._X.shape[1:]))}

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Gather the rows: one allocation, one copy."""
        return {name: _take(self._X, rows) for name in columns}

    def __getstate__(self) -> dict[str, Any]:
        """Describe a memory map by its file: pickled as an array it would travel whole."""
        state = self.__dict__.copy()
        state["_X"] = _MemmapRef.of(self._X) or self._X
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map the file again."""
        if isinstance(state["_X"], _MemmapRef):
            state = state | {"_X": state["_X"].open()}
        self.__dict__.update(state)


class _MemmapRef:
    """Where on disk the values of a memory map begin."""

    manifest: Manifest

    def __init__(self, *args: Any) -> None:
        self._args = args

    @classmethod
    def of(cls, X: Any) -> "_MemmapRef | None":
        """Describe a C-contiguous memory map or slice of one, else None.

        Mode "c" is no such thing: what was written to the map is not in the file.
        """
        if not isinstance(X, np.memmap) or X.filename is None or not X.flags.c_contiguous:
            return None
        if X.mode == "c":
            return None
        root = X
        while isinstance(root.base, np.memmap):
            root = root.base
        offset = root.offset + X.ctypes.data - root.ctypes.data
        ref = cls(str(X.filename), X.dtype, "r", offset, X.shape)
        # So that a pickle of rows that have changed is another one.
        ref.manifest = Manifest.of(ref._args[0])
        return ref

    def open(self) -> Any:
        """Map the values again, read-only."""
        return np.memmap(*self._args)


def _as_rows(X: Any) -> Any:
    """Turn lists into arrays and other sparse formats into CSR; refuse what is not numbers."""
    if isinstance(X, torch.Tensor):
        X = _checked_tensor(X.detach())
    elif sp.issparse(X):
        to_csr: Callable[..., Any] = sp.csr_array
        X = to_csr(X)
    elif not isinstance(X, np.ndarray):
        X = _array_from_list(X)
    if X.ndim == 0:
        is_path = isinstance(X.tolist(), str | PathLike)
        hint = " Scan a file first: sn.scan_parquet(path)." if is_path else ""
        raise ValueError(f"Expected an array of rows, got a scalar: {X.tolist()!r}.{hint}")
    if not isinstance(X, torch.Tensor) and X.dtype.kind not in "biuf":
        raise ValueError(
            f"Expected numbers, got an array of dtype {X.dtype}. Convert it with "
            f"X.astype(float), or encode text columns first, for example in a ColumnTransformer."
        )
    return X


def _checked_tensor(X: torch.Tensor) -> torch.Tensor:
    """Refuse tensors whose rows a module could not take: sparse ones, and complex numbers."""
    if X.layout is not torch.strided:
        raise ValueError(
            f"Expected a dense tensor, got one of layout {X.layout}. Pass a SciPy CSR matrix, of "
            "which only the rows that are read become dense, or X.to_dense()."
        )
    if X.is_complex():
        raise ValueError(
            f"Expected real numbers, got a tensor of dtype {X.dtype}. Take X.real or X.abs(), or "
            "both parts: torch.view_as_real(X)."
        )
    return X


def _array_from_list(X: Any) -> Any:
    """Make an array of nested lists, with a message of our own for ragged ones."""
    try:
        return np.asarray(X)
    except ValueError as error:
        if _is_pair(X):
            raise ValueError(
                f"X is a pair of arrays of {len(X[0])} rows each. Pass them one by one: "
                "as_dataset(X, y)."
            ) from error
        raise ValueError(
            f"Rows of different lengths cannot be made into an array ({error}). "
            "Pad or cut them to one length."
        ) from error


def _is_pair(X: Any) -> bool:
    """Tell a tuple of features and labels from rows."""
    if not isinstance(X, tuple) or len(X) != 2:
        return False
    first, second = (tuple(getattr(x, "shape", ())) for x in X)
    return first[:1] == second[:1] != ()


def _dtype_name(X: Any) -> str:
    """Name a dtype as numpy does."""
    return str(X.dtype).removeprefix("torch.")


def _take(X: Any, rows: IntArray) -> Column:
    """Copy rows out of any of the kinds of array."""
    if isinstance(X, torch.Tensor):
        return X.index_select(0, torch.from_numpy(rows).to(X.device))
    if isinstance(X, np.ndarray):
        take: Callable[..., Any] = np.take
        return np.asarray(take(X, rows, axis=0))
    return X[rows]
