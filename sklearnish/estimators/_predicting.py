"""Outputs of a trained net for many rows: batch by batch, into an array made beforehand."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sklearnish.data import Batch, Dataset, Loader
from sklearnish.data._batch import to_device
from sklearnish.data._reading import storage_order
from sklearnish.training import Net, weight_dtype

_NBYTES, _ROWS = 2**22, 4096
"""A batch with "auto": as many rows as fit these bytes, and not more."""


def batch_rows(row_nbytes: int, wanted: int | str) -> int:
    """Say how many rows to predict at a time."""
    if not isinstance(wanted, str):
        return wanted
    return max(1, min(_ROWS, _NBYTES // max(1, row_nbytes)))


def outputs_of_array(net: Net, X: npt.NDArray[Any], wanted: int | str) -> Tensor:
    """Compute outputs for an array in memory: slices need no Loader."""
    size = batch_rows(X.itemsize * X[0].size, wanted)
    device = torch.device(net.device)
    as_is = X.dtype == np.uint8 and X.ndim > 2
    dtype = X.dtype if as_is else np.float64 if net.precision == "float64" else np.float32
    slices = (X[start : start + size] for start in range(0, len(X), size))
    return _collect(net, (_to_tensor(part, dtype, device) for part in slices), len(X))


def _to_tensor(part: npt.NDArray[Any], dtype: Any, device: torch.device) -> Batch:
    """Bring some rows to the device; torch wants them writable."""
    with np.errstate(over="ignore"):  # reported below
        cast = np.require(part, dtype=dtype, requirements=["C", "W"])
    if part.dtype.itemsize > cast.itemsize and not np.isfinite(cast.sum()):
        _check_range(part, cast)
    return Batch(torch.from_numpy(cast).to(device))


def _check_range(part: npt.NDArray[Any], cast: npt.NDArray[Any]) -> None:
    """Refuse numbers that were finite before the cast, and are no longer."""
    bad = ~np.isfinite(cast)
    if bad.any():
        raise ValueError(
            f"Input X contains {part[bad][0]:g}, which is beyond {cast.dtype}; scale X, for "
            "example with StandardScaler, or fit with precision='float64'."
        )


@contextmanager
def explained(row_shape: tuple[int, ...], n_fitted: int) -> Iterator[None]:
    """Say that rows are of another size than in fit, if the module fails on them.

    It may well not: a module of convolutions can take images of any size.
    """
    try:
        yield
    except (RuntimeError, IndexError) as error:
        n = math.prod(row_shape)
        if n == n_fitted:
            raise
        raise ValueError(
            f"X has rows of shape {row_shape}, {n} values, but fit saw {n_fitted} values a row, "
            "and the module fails on them. Pass rows of the same size, changed by the same "
            f"functions (ds.map, ds.map_batches) as those of fit. The module says: {error}"
        ) from error


def outputs_of_dataset(net: Net, dataset: Dataset, wanted: int | str, **options: Any) -> Tensor:
    """Compute outputs for a Dataset, in order; few rows in memory are read in one go."""
    dataset = dataset.without_target().with_dtype(weight_dtype(net.precision))
    size = batch_rows(dataset.row_nbytes, wanted)
    device = torch.device(net.device)
    if dataset.in_memory and len(dataset) <= size:
        batch = dataset.read(np.arange(len(dataset)), finite=True)
        return _collect(net, [to_device(batch, device)], len(dataset))
    order = storage_order(dataset)
    with Loader(
        dataset if order is None else dataset[order],
        batch_size=size,
        sampler="sequential",
        device=device,
        **options,
    ) as loader:
        outputs = _collect(net, loader, len(dataset))
    return outputs if order is None else outputs[torch.from_numpy(np.argsort(order))]


@torch.inference_mode()
def _collect(net: Net, batches: Iterable[Batch], n_rows: int) -> Tensor:
    """Write the outputs of all batches into one tensor on the CPU."""
    result: Tensor | None = None
    start = 0
    for batch in batches:
        outputs = net.infer(batch.X)
        if len(outputs) == n_rows:
            return outputs.cpu()
        if result is None:
            result = torch.empty((n_rows, *outputs.shape[1:]), dtype=outputs.dtype)
        result[start : start + len(outputs)] = outputs
        start += len(outputs)
    assert result is not None
    return result
