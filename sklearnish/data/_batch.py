"""The unit that flows to the model: a batch of rows as tensors."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

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
    X, y, weight = batch
    return Batch(
        {k: v[start:stop] for k, v in X.items()} if isinstance(X, dict) else X[start:stop],
        None if y is None else y[start:stop],
        None if weight is None else weight[start:stop],
    )


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
    X, y, weight = batch
    return Batch(
        {k: v.to(device, non_blocking=True) for k, v in X.items()}
        if isinstance(X, dict)
        else X.to(device, non_blocking=True),
        None if y is None else y.to(device, non_blocking=True),
        None if weight is None else weight.to(device, non_blocking=True),
    )


def pin(batch: Batch) -> Batch:
    """Copy into page-locked memory, from which a GPU reads without waiting."""
    X, y, weight = batch
    return Batch(
        {k: v.pin_memory() for k, v in X.items()} if isinstance(X, dict) else X.pin_memory(),
        None if y is None else y.pin_memory(),
        None if weight is None else weight.pin_memory(),
    )


def index(batch: Batch, order: npt.NDArray[np.int64]) -> Batch:
    """Copy rows in another order."""
    X, y, weight = batch
    return Batch(
        {k: _take(v, order) for k, v in X.items()} if isinstance(X, dict) else _take(X, order),
        None if y is None else _take(y, order),
        None if weight is None else _take(weight, order),
    )


def _take(tensor: Tensor, order: npt.NDArray[np.int64]) -> Tensor:
    """Gather rows; numpy's gather is the fastest there is on one thread."""
    if tensor.dtype == torch.bfloat16 or tensor.device.type != "cpu":
        return tensor.index_select(0, torch.from_numpy(order).to(tensor.device))
    return torch.from_numpy(np.take(tensor.numpy(), order, axis=0))
