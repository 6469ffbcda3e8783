"""Outputs of a trained net for many rows: batch by batch, into an array made beforehand."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sklearnish.data import Batch, Dataset, Loader
from sklearnish.data._batch import to_device
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
    part = np.require(part, dtype=dtype, requirements=["C", "W"])
    return Batch(torch.from_numpy(part).to(device))


def outputs_of_dataset(net: Net, dataset: Dataset, wanted: int | str, **options: Any) -> Tensor:
    """Compute outputs for a Dataset, in order; few rows in memory are read in one go."""
    dataset = dataset.without_target().with_dtype(weight_dtype(net.precision))
    size = batch_rows(dataset.row_nbytes, wanted)
    device = torch.device(net.device)
    if dataset.in_memory and len(dataset) <= size:
        batch = dataset.read(np.arange(len(dataset)), finite=True)
        return _collect(net, [to_device(batch, device)], len(dataset))
    with Loader(
        dataset, batch_size=size, epochs=1, sampler="sequential", device=device, **options
    ) as loader:
        return _collect(net, loader, len(dataset))


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
