"""What functions of rows return: converted to tensors, checked, collected."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearnish.data._tensors.batch import Features


class Filler:
    """Collects rows that must agree in fields, shape and dtype."""

    def __init__(self, first: Features, places: list[int], word: str = "position") -> None:
        self._first = first
        self._word = word
        self._places = places
        n = len(places)
        if isinstance(first, dict):
            self.result: Features = {k: _empty(n, v) for k, v in first.items()}
            self._views = {k: v.unbind(0) for k, v in self.result.items()}
        else:
            self.result = _empty(n, first)
            self._views = {"": self.result.unbind(0)}

    def put(self, i: int, row: Features) -> None:
        """Copy a row to its place; the function may reuse what it returned."""
        if isinstance(row, dict):
            if row.keys() != self._views.keys():
                self._refuse(i, row)
            for k, view in self._views.items():
                self._copy(i, view[i], row[k], row)
        elif isinstance(self._first, dict):
            self._refuse(i, row)
        else:
            self._copy(i, self._views[""][i], row, row)

    def _copy(self, i: int, view: Tensor, value: Tensor, row: Features) -> None:
        """Copy one field."""
        if value.shape != view.shape or value.dtype != view.dtype:
            self._refuse(i, row)
        view.copy_(value)

    def _refuse(self, i: int, row: Features) -> None:
        """Raise for a row unlike the first."""
        raise ValueError(
            f"all rows must have one shape and dtype: {describe(self._first)} for {self._word} "
            f"{self._places[0]}, {describe(row)} for {self._word} {self._places[i]}"
        )


def _empty(n: int, row: Tensor) -> Tensor:
    """Allocate n rows."""
    return torch.empty((n, *row.shape), dtype=row.dtype)


def rows_of(X: Features) -> Iterator[Features]:
    """Iterate over the features of each row."""
    if isinstance(X, dict):
        names = list(X)
        for values in zip(*(v.unbind(0) for v in X.values()), strict=True):
            yield dict(zip(names, values, strict=True))
    else:
        yield from X.unbind(0)


def as_features(out: Any) -> Features:
    """Convert what a function returned to a tensor or dict of tensors."""
    if type(out) is Tensor:  # the usual case, once per row
        return out
    if isinstance(out, Mapping):
        return {k: _as_tensor(v) for k, v in out.items()}
    return _as_tensor(out)


def _as_tensor(out: Any) -> Tensor:
    """Convert one output; tensor subclasses (torchvision's images) become plain tensors."""
    if type(out) is Tensor:
        return out
    if isinstance(out, Tensor):
        return out.as_subclass(Tensor)
    if isinstance(out, np.ndarray | np.generic | bool | int | float):
        return torch.as_tensor(np.ascontiguousarray(out) if np.ndim(out) else out)
    raise TypeError(
        f"a transform must return a tensor, an array or a dict of them, got {type(out).__name__}"
    )


def check_rows(X: Features, n: int, what: str) -> None:
    """Raise unless every field has n rows."""
    for value in X.values() if isinstance(X, dict) else [X]:
        if value.ndim == 0 or value.shape[0] != n:
            raise ValueError(
                f"{what}: the function must return as many rows as it was given ({n}), "
                f"got {describe(X)}"
            )


def check_real(X: Features, name: str) -> None:
    """Refuse complex numbers, which lose their imaginary part on the way to a module."""
    for value in X.values() if isinstance(X, dict) else [X]:
        if value.is_complex():
            raise ValueError(
                f"Expected real numbers, got complex ones from {name} ({describe(X)}). Make them "
                "real, for example by ds.map(torch.abs): torch.real and torch.abs give a part, "
                "torch.view_as_real both."
            )


def describe(value: Any) -> str:
    """Write shape and dtype for an error."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {describe(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Tensor):
        return f"shape {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    return type(value).__name__
