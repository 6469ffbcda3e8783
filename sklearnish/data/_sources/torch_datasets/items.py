"""Items of a torch Dataset, split into rows and labels and stacked; labels that it keeps itself."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sklearnish.data._functions.results import Filler, as_features
from sklearnish.data._source import Column
from sklearnish.data._tensors.batch import Features

Labels = npt.NDArray[Any]

_KINDS = "biufU"
"""Kinds of numbers and text that labels may be of."""


class Collector:
    """Stacks the halves of items that are wanted, as they come."""

    def __init__(self, rows: list[int], with_x: bool, with_y: bool) -> None:
        self._rows = rows
        self._with_x, self._with_y = with_x, with_y
        self._filler: Filler | None = None
        self._ys: list[Any] = []
        self._n = 0

    def add(self, item: Any) -> None:
        """Take the next item."""
        x, y = split(item)
        if self._with_x:
            x = _as_x(x)
            self._filler = self._filler or Filler(x, self._rows, "row")
            self._filler.put(self._n, x)
        if self._with_y and y is not None:
            self._ys.append(y)
        self._n += 1

    def result(self) -> tuple[Features | None, Column | None]:
        """Return what was wanted."""
        X = self._filler.result if self._filler is not None else None
        if not self._ys:
            return X, None
        if len(self._ys) != self._n:
            raise ValueError(f"{self._n - len(self._ys)} of {self._n} items have no y.")
        return X, stack_labels(self._ys, self._rows)


def split(item: Any) -> tuple[Any, Any]:
    """Split an item into x and y (None where there is none)."""
    if not isinstance(item, tuple | list):
        return item, None
    if len(item) == 2:
        return item[0], item[1]
    if len(item) == 1:
        return item[0], None
    raise TypeError(
        f"a Dataset must give (x, y) or x, got {len(item)} values. Put several inputs into a dict "
        "as x, or several targets into one tensor as y."
    )


def _as_x(x: Any) -> Features:
    """Convert x to tensors."""
    if type(x) is Tensor:
        return x
    try:
        return as_features(x)
    except TypeError:
        raise TypeError(
            "x must be a tensor, an array, a number or a dict of tensors, got "
            f"{type(x).__name__}. Convert it in the Dataset's __getitem__ (for images: "
            "transform=ToTensor() or PILToTensor())."
        ) from None


def stack_labels(ys: list[Any], rows: list[int] | None) -> Column:
    """Stack labels: text to an ndarray, everything else to a tensor."""
    if isinstance(ys[0], Tensor | np.ndarray) and np.ndim(ys[0]):
        first = _as_x(ys[0])
        filler = Filler(first, rows or list(range(len(ys))), "the y of row")
        for i, y in enumerate(ys):
            filler.put(i, _as_x(y))
        return filler.result
    values = np.asarray([y.item() if isinstance(y, Tensor) else y for y in ys])
    if isinstance(ys[0], Tensor):
        return torch.as_tensor(values, dtype=ys[0].dtype)
    if values.dtype.kind not in _KINDS or values.ndim != 1:
        raise TypeError(
            f"y must be a number, a text or a tensor, got {type(ys[0]).__name__} ({values.dtype})."
        )
    return values if values.dtype.kind == "U" else torch.from_numpy(values)


def kept_labels(dataset: Any) -> Labels | None:
    """Find labels that a dataset keeps beside its items, as ``.targets`` or ``.labels``.

    They save a pass over the items where they are what the items say. The items are right.
    """
    if getattr(dataset, "target_transform", None):
        return None
    found = [getattr(dataset, name, None) for name in ("targets", "labels")]
    kinds = (Tensor, np.ndarray, list, tuple)
    own = [labels for labels in found if isinstance(labels, kinds) and len(labels) == len(dataset)]
    return _as_labels(own[0]) if own else None


def differing(values: Labels, items: Labels) -> npt.NDArray[np.int64]:
    """Say which rows have another label than their items: a transform may lie between them."""
    if values.shape != items.shape or (values.dtype.kind == "U") != (items.dtype.kind == "U"):
        return np.arange(len(items))
    different = np.asarray(values != items).reshape(len(items), -1).any(axis=1)
    return np.flatnonzero(different)


def _as_labels(found: Any) -> Labels | None:
    """Convert kept labels to an array; None where they are not one value or row per item."""
    try:
        values = np.asarray(found.numpy(force=True) if isinstance(found, Tensor) else found)
    except ValueError:  # lists of different lengths
        return None
    return values if values.ndim and values.dtype.kind in _KINDS else None
