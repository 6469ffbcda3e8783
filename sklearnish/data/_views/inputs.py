"""The features of a view: which columns, or which parts of an array, and in which numbers."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearnish.data._arrow.lists import declared, n_features
from sklearnish.data._source import Column, Field, IntArray, Source
from sklearnish.data._tensors.batch import Features
from sklearnish.data._tensors.convert import as_numpy, to_matrix, to_tensor
from sklearnish.data._views.columns import feature_names, feature_positions


@dataclass(frozen=True, eq=False)
class Inputs:
    """What is read of each row, before functions are applied.

    Attributes
    ----------
    names : tuple of str or None
        Columns of a table; None where a row is an array.
    picked : ndarray of int64 or None
        Numbers of the features of an array; None for all.
    asked : torch.dtype or None
        Floating point type in which the user wants numbers; None for float32.
    constants : dict
        Features, by name or number, that a copy has set to one value.
    """

    names: tuple[str, ...] | None = None
    picked: IntArray | None = None
    asked: torch.dtype | None = None
    constants: dict[str | int, Any] = field(default_factory=dict)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The fields that are read of the source."""
        return ("X",) if self.names is None else self.names

    @property
    def dtype(self) -> torch.dtype:
        """Floating point type in which numbers are delivered."""
        return self.asked or torch.float32

    def row_shape(self, source: Source) -> tuple[int, ...]:
        """Shape of one row."""
        if self.names is not None:
            return (n_features(source, self.names),)
        return source.schema["X"].shape if self.picked is None else (len(self.picked),)

    def row_nbytes(self, source: Source) -> int:
        """Bytes that are read of one row, at least 1."""
        if self.names is not None:
            return max(1, n_features(source, self.names) * self.dtype.itemsize)
        return max(1, math.prod(source.schema["X"].shape) * self.dtype.itemsize)

    def find(self, key: Any, row_shape: tuple[int, ...]) -> tuple[str, ...] | IntArray:
        """Find features by name, number, mask or slice: names, or numbers in an array."""
        if self.names is not None:
            return feature_names(self.names, key)
        width = row_shape[0] if len(row_shape) == 1 else None
        return feature_positions(width, self.picked, key)

    def to_tensors(
        self,
        source: Source,
        columns: dict[str, Column],
        rows: IntArray,
        empty: Callable[..., Tensor],
    ) -> Features:
        """Make features of stored columns: one matrix, or the array that each row is."""
        if self.names == ():
            return empty((len(rows), 0), self.dtype)  # no column tells how many rows there are
        if self.names is not None:
            columns = declared(source, columns, rows)
            X = to_matrix([columns[name] for name in self.names], self.dtype, empty)
            _set(X, self.names, self.constants)
            return X
        whole = to_tensor(columns["X"], self.dtype)
        if isinstance(whole, dict) or (self.picked is None and not self.constants):
            return whole
        picked = np.arange(whole.shape[1]) if self.picked is None else self.picked
        X = whole[:, torch.from_numpy(picked)]
        _set(X, picked.tolist(), self.constants)
        return X

    def to_columns(
        self, source: Source, columns: dict[str, Column], rows: IntArray
    ) -> dict[str, Column]:
        """Name the features as they are stored: those of an array x0, x1 and so on."""
        if self.names is not None:
            columns = declared(source, columns, rows)
            found = {name: columns[name] for name in self.names}
        else:
            X = as_numpy(columns["X"])
            found = {f"x{i}": X[:, j] for i, j in enumerate(self._numbers(X.shape[1]))}
        features = self._numbers(len(found)) if self.names is None else self.names
        for name, feature in zip(found, features, strict=True):
            if feature in self.constants:
                found[name] = np.full(len(rows), self.constants[feature])
        return found

    def columns(self, source: Source) -> dict[str, Field]:
        """Describe what :meth:`to_columns` gives."""
        if self.names is not None:
            return {name: source.schema[name] for name in self.names}
        whole = source.schema["X"]
        return {f"x{i}": Field(whole.dtype) for i in range(len(self._numbers(whole.shape[0])))}

    def _numbers(self, width: int) -> list[int]:
        """List the numbers of the features of an array."""
        numbers: list[int] = (
            np.arange(width).tolist() if self.picked is None else self.picked.tolist()
        )
        return numbers


def _set(X: Tensor, features: Any, constants: Mapping[Any, Any]) -> None:
    """Overwrite the columns that a copy has set to one value."""
    if constants:
        for j, feature in enumerate(features):
            if feature in constants:
                X[:, j] = constants[feature]
