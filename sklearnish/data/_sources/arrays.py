"""Arrays in memory: numpy arrays of any rank, memory maps, torch tensors, lists, CSR matrices.

Several of them under names are the inputs of a module that takes more than one.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from sklearnish.data._files.maps import described
from sklearnish.data._pairs import check_rows_alone
from sklearnish.data._source import Column, Field, IntArray, Source
from sklearnish.data._tensors.convert import as_tensor

_SMALL = 2**30
"""Bytes of a memory map up to which its numbers are looked at, as those of an array are."""


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
        self._X = as_rows(X)
        self.name = f"{type(X).__name__} of shape {tuple(self._X.shape)}"
        self.n_rows = int(self._X.shape[0])
        self.in_memory = not isinstance(self._X, np.memmap)
        self.by_numbers = isinstance(self._X, np.memmap) and _by_numbers(self._X)
        self.schema = {
            "X": Field(
                str(self._X.dtype).removeprefix("torch."), "number", tuple(self._X.shape[1:])
            )
        }

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Gather the rows: one allocation, one copy."""
        return {name: _take(self._X, rows) for name in columns}

    def __getstate__(self) -> dict[str, Any]:
        """Describe a memory map by its file: pickled as an array it would travel whole."""
        state = self.__dict__.copy()
        if (file := described(self._X, "r")) is not None:
            state["_X"] = file
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map the file again."""
        if isinstance(state["_X"], partial):
            state = state | {"_X": state["_X"]()}
        self.__dict__.update(state)


class DictSource(Source):
    """Rows of several arrays under names, as the field "X": what ``forward`` takes by keyword.

    Whole numbers stay whole, as in the dicts of a torch Dataset: they may be what an embedding
    looks up.

    Parameters
    ----------
    X : mapping of str to array-like of shape (n_rows, ...)
        Kept as they are, without a copy; lists become arrays.

    Raises
    ------
    TypeError
        If a key is no text, or a value holds rows of its own, as a Dataset does.
    ValueError
        If there is no array, or they differ in their numbers of rows.
    """

    tabular = False
    work = "copying"

    def __init__(self, X: Mapping[str, Any]) -> None:
        _check_inputs(X)
        self._parts = {name: ArraySource(values) for name, values in X.items()}
        lengths = {name: part.n_rows for name, part in self._parts.items()}
        self.n_rows = next(iter(lengths.values()))
        if len(set(lengths.values())) > 1:
            raise ValueError(f"The arrays of a dict need one number of rows, got {lengths}.")
        self.name = f"dict of {', '.join(map(repr, self._parts))}"
        self.in_memory = all(part.in_memory for part in self._parts.values())
        self.by_numbers = any(part.by_numbers for part in self._parts.values())
        self.schema = {"X": Field("dict", "other")}

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Gather the rows of each."""
        taken = {name: part.read(rows, ["X"])["X"] for name, part in self._parts.items()}
        return {name: {key: as_tensor(x) for key, x in taken.items()} for name in columns}


def _check_inputs(X: Mapping[str, Any]) -> None:
    """Refuse dicts that are no inputs of a module."""
    if not X:
        raise ValueError("The dict of arrays is empty; at least one array is needed.")
    if not all(isinstance(name, str) for name in X):
        raise TypeError(
            "The keys of a dict of arrays must be text, the names that the module's forward has "
            f"for its inputs, got {', '.join({type(name).__name__ for name in X})}."
        )
    for name, values in X.items():
        if isinstance(values, Mapping) or type(values).__name__ == "Dataset":
            raise TypeError(
                f"{name!r} is a {type(values).__name__}, not an array. Pass one of the parts of "
                f"the dict: X[{name!r}]."
            )


def _by_numbers(X: Any) -> bool:
    """Tell maps that can be written to, those that joblib makes for its processes, small ones."""
    return X.mode != "r" or X.nbytes <= _SMALL or "joblib_memmapping" in str(X.filename)


def as_rows(X: Any) -> Any:
    """Turn lists into arrays and other sparse formats into CSR; refuse what is not numbers."""
    if isinstance(X, torch.Tensor):
        X = _checked_tensor(X.detach())
    elif sp.issparse(X):
        to_csr: Callable[..., Any] = sp.csr_array
        X = to_csr(X)
    elif not isinstance(X, np.ndarray):
        X = _array_from_list(X)
    if X.ndim == 0:
        given = X.tolist()
        is_path = isinstance(given, str | PathLike)
        hint = " Scan a file first: sn.scan_parquet(path)." if is_path else ""
        raise ValueError(f"Expected an array of rows, got one {type(given).__name__}.{hint}")
    if not isinstance(X, torch.Tensor) and X.dtype.kind not in "biuf":
        check_rows_alone(X)
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
    check_rows_alone(X)
    try:
        return np.asarray(detached(X))
    except ValueError as error:
        raise ValueError(
            f"Rows of different lengths cannot be made into an array ({error}). "
            "Pad or cut them to one length."
        ) from error


def detached(X: Any) -> Any:
    """Take the numbers of a list of tensors, which may be on a device or require grad."""
    if isinstance(X, list | tuple) and any(isinstance(x, Tensor) for x in X[:1]):
        return [np.asarray(x.numpy(force=True) if isinstance(x, Tensor) else x) for x in X]
    return X


def mixed_as_objects(X: Any) -> Any:
    """Keep numbers beside text in lists of rows, of which NumPy would make text."""
    try:
        is_text = isinstance(X, list | tuple) and np.asarray(X).dtype.kind in "US"
    except ValueError:  # rows of several lengths, which are refused later
        return X
    return np.array(X, dtype=object) if is_text else X


def _take(X: Any, rows: IntArray) -> Column:
    """Copy rows out of any of the kinds of array."""
    if isinstance(X, torch.Tensor):
        return X.index_select(0, torch.from_numpy(rows).to(X.device))
    if isinstance(X, np.ndarray):
        take: Callable[..., Any] = np.take
        return np.asarray(take(X, rows, axis=0))
    return X[rows]
