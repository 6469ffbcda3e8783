"""The unit that flows to the model: a batch of rows as tensors."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sklearnish.data._tensors.buffers import empty

Features = Tensor | dict[str, Tensor]
"""What ``forward`` receives: one tensor, or keyword arguments."""


class Batch(NamedTuple):
    """Rows as tensors: the first dimension of each is the row."""

    X: Features
    y: Tensor | None = None
    weight: Tensor | None = None

    def __len__(self) -> int:
        """Count the rows (not the fields)."""
        return n_rows(self.X)


def n_rows(X: Features) -> int:
    """Count the rows of features."""
    if isinstance(X, dict):
        X = next(iter(X.values()))
    return X.shape[0]


def narrow(batch: Batch, start: int, stop: int) -> Batch:
    """Cut rows ``start:stop`` as views, without a copy."""
    return each(lambda tensor: tensor[start:stop], batch)


def concat(batches: Sequence[Batch]) -> Batch:
    """Join batches end to end; a single one is returned as it is."""
    if len(batches) == 1:
        return batches[0]
    Xs, ys, weights = zip(*(tuple(b) for b in batches), strict=True)
    if isinstance(Xs[0], dict):
        X: Features = {k: torch.cat([x[k] for x in Xs]) for k in Xs[0]}
    else:
        X = torch.cat(Xs)
    return Batch(
        X,
        None if ys[0] is None else torch.cat(ys),
        None if weights[0] is None else torch.cat(weights),
    )


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move the tensors; those already there are passed on."""
    return each(lambda tensor: tensor.to(device, non_blocking=True), batch)


def empty_like(batch: Batch, n: int, empty: Callable[..., Tensor] = empty) -> Batch:
    """Allocate a batch of n rows like those of another."""
    return each(lambda tensor: empty((n, *tensor.shape[1:]), tensor.dtype), batch)


def copied(batch: Batch) -> Batch:
    """Copy all tensors."""
    return each(Tensor.clone, batch)


def put(batch: Batch, places: npt.NDArray[np.int64], rows: Batch) -> None:
    """Copy rows to their places in a batch."""
    for to, what in zip(tensors_of(batch), tensors_of(rows), strict=True):
        assert to.dtype == what.dtype, (to.dtype, what.dtype)  # raw bytes are copied
        if what.numel():  # rows of no features have no bytes
            _as_items(to)[places] = _as_items(what)


def nbytes(batch: Batch) -> int:
    """Count the bytes of the rows."""
    return sum(tensor.nbytes for tensor in tensors_of(batch))


def _as_items(tensor: Tensor) -> npt.NDArray[np.void]:
    """View each row as one item of raw bytes, which numpy moves at the speed of memory."""
    array = tensor.contiguous().numpy()
    nbytes = array.itemsize * math.prod(array.shape[1:])
    return array.reshape(-1).view(f"V{nbytes}")


def each(function: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    """Apply a function to every tensor of a batch."""
    X, y, weight = batch
    return Batch(
        {k: function(v) for k, v in X.items()} if isinstance(X, dict) else function(X),
        None if y is None else function(y),
        None if weight is None else function(weight),
    )


def tensors_of(batch: Batch) -> list[Tensor]:
    """List the tensors of a batch."""
    X, y, weight = batch
    features = list(X.values()) if isinstance(X, dict) else [X]
    return [*features, *(t for t in (y, weight) if t is not None)]
