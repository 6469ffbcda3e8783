"""Data that fits the device lives there: copied once, then gathered where it is used."""

import os
import time
from typing import Any

import numpy as np
import torch

from sklearnish.data._batch import Batch, each, narrow, nbytes, tensors_of
from sklearnish.data._dataset import Dataset
from sklearnish.data._memory import private_memory
from sklearnish.data._readers import Cost, Fetched
from sklearnish.data._samplers import Fetch
from sklearnish.data._source import IntArray
from sklearnish.data._transfer import Transfer

_SHARE = 2
"""Data takes at most one in so many of the bytes that are free: steps need room as well."""

_PIECE_BYTES = 2**25
"""Read and copied at a time."""


def fits(dataset: Dataset, device: torch.device, augment: tuple[Any, ...] = ()) -> bool:
    """Tell whether all rows can be kept on the device.

    Parameters
    ----------
    dataset : Dataset
        The rows; at least one.
    device : torch.device
        Only CUDA has memory of its own.
    augment : tuple
        Functions of rows: with any, a row is another one in each epoch.

    Returns
    -------
    bool
        Whether a row is the same whenever it is read from memory, and features, labels and
        weights take no more than half of the memory that is free.
    """
    if device.type != "cuda" or not dataset.in_memory or augment:
        return False
    return len(dataset) * nbytes(dataset.read([0])) <= _free(device) // _SHARE


def _free(device: torch.device) -> int:
    """Bytes that a tensor could take: free ones, and those that torch keeps of former tensors."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


class ResidentReader:
    """Reads fetches of rows that are kept on a device; what a ``Reader`` would, bit for bit.

    Parameters
    ----------
    dataset : Dataset
        Rows that fit, with the labels and weights.
    device : torch.device
        Where they are kept as long as this lives.
    finite : bool
        Whether NaN and infinity raise.
    """

    def __init__(self, dataset: Dataset, device: torch.device, *, finite: bool) -> None:
        self._transfer = Transfer(device, pin=device.type == "cuda")
        self._stored = self._copied(dataset, finite)
        self._memory = private_memory()  # of the host, where nothing is read from now on

    def __getitem__(self, fetch: Fetch) -> Fetched:
        """Gather the rows of a fetch; timed until that is launched, waits for steps aside."""
        begun, behind = time.perf_counter(), self._transfer.behind
        batch = self.rows(fetch.positions)
        seconds = time.perf_counter() - begun - (self._transfer.behind - behind)
        return Fetched(batch, Cost(seconds, 0.0, nbytes(batch), os.getpid(), self._memory))

    def complete(self, pair: tuple[Fetch, Fetched]) -> tuple[Fetch, Fetched]:
        """Labels and weights are there."""
        return pair

    def rows(self, positions: IntArray) -> Batch:
        """Gather rows.

        Parameters
        ----------
        positions : ndarray of int64, shape (n,)
            From 0, in any order.

        Returns
        -------
        Batch
            On the device, n rows in this order.
        """
        index = self._transfer(Batch(torch.from_numpy(positions))).X
        assert isinstance(index, torch.Tensor)
        return each(lambda tensor: tensor.index_select(0, index), self._stored)

    def _copied(self, dataset: Dataset, finite: bool) -> Batch:
        """Copy all rows to the device, a piece at a time."""
        n, stored = len(dataset), None
        step = max(1, _PIECE_BYTES // dataset.row_nbytes)
        for start in range(0, n, step):
            positions = np.arange(start, min(start + step, n))
            rows = self._transfer(dataset.read(positions, finite=finite))
            if stored is None:
                stored = each(lambda tensor: tensor.new_empty((n, *tensor.shape[1:])), rows)
            _overwrite(narrow(stored, start, start + step), rows)
        assert stored is not None
        return stored


def _overwrite(batch: Batch, rows: Batch) -> None:
    """Copy rows over others."""
    for to, what in zip(tensors_of(batch), tensors_of(rows), strict=True):
        assert to.dtype == what.dtype, (to.dtype, what.dtype)  # copy_ would convert
        to.copy_(what)
