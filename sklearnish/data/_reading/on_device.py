"""Data that fits the device lives there: copied once, then gathered where it is used."""

import os
import time
from typing import Any

import numpy as np
import torch

from sklearnish.data._order.samplers import Fetch
from sklearnish.data._reading.clock import Times
from sklearnish.data._reading.finite import read_finite
from sklearnish.data._reading.reader import Fetched
from sklearnish.data._source import IntArray
from sklearnish.data._system.machine import private_memory
from sklearnish.data._tensors.batch import Batch, each, narrow, nbytes, tensors_of
from sklearnish.data._tensors.transfer import Transfer
from sklearnish.data._views.view import View

_SHARE = 2
"""Data takes at most one in so many of the bytes that are free: steps need room as well."""

_PIECE_BYTES = 2**25
"""Read and copied at a time."""


def fits(dataset: View, device: torch.device, augment: tuple[Any, ...] = ()) -> bool:
    """Tell whether all rows can be kept on the device.

    Parameters
    ----------
    dataset : View
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


def upload(dataset: View, device: torch.device, *, finite: bool) -> "ResidentReader":
    """Copy all rows to the device, a piece at a time.

    Parameters
    ----------
    dataset : View
        Rows that fit, with the labels and weights.
    device : torch.device
        Where they are kept as long as the reader lives.
    finite : bool
        Whether NaN and infinity raise.

    Returns
    -------
    ResidentReader
        What reads them there.
    """
    transfer = Transfer(device, pin=device.type == "cuda")
    n, stored = len(dataset), None
    read = read_finite if finite else View.read
    step = max(1, _PIECE_BYTES // dataset.row_nbytes)
    for start in range(0, n, step):
        positions = np.arange(start, min(start + step, n))
        rows = transfer(read(dataset, positions))
        if stored is None:
            stored = each(lambda tensor: tensor.new_empty((n, *tensor.shape[1:])), rows)
        _overwrite(narrow(stored, start, start + step), rows)
    assert stored is not None
    return ResidentReader(stored, transfer, private_memory())


class ResidentReader:
    """Reads fetches of rows that are kept on a device; what a ``Reader`` would, bit for bit.

    Parameters
    ----------
    stored : Batch
        All rows, on the device.
    transfer : Transfer
        Brings positions there.
    memory : int
        Bytes of the host's memory, where nothing is read from now on.
    """

    def __init__(self, stored: Batch, transfer: Transfer, memory: int) -> None:
        self._stored, self._transfer, self._memory = stored, transfer, memory

    def __getitem__(self, fetch: Fetch) -> Fetched:
        """Gather the rows of a fetch; timed until that is launched, waits for steps aside."""
        begun, behind = time.perf_counter(), self._transfer.behind
        batch = self.rows(fetch.positions)
        seconds = time.perf_counter() - begun - (self._transfer.behind - behind)
        times = Times(read=seconds, bytes_read=nbytes(batch))
        return Fetched(batch, times, os.getpid(), self._memory)

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


def _overwrite(batch: Batch, rows: Batch) -> None:
    """Copy rows over others."""
    for to, what in zip(tensors_of(batch), tensors_of(rows), strict=True):
        assert to.dtype == what.dtype, (to.dtype, what.dtype)  # copy_ would convert
        to.copy_(what)
