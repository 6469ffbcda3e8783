"""Predictions that take long, by several processes of this machine."""

import itertools
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearnish.data import (
    Dataset,
    Failure,
    Loader,
    Parcel,
    parcel,
    read_finite,
    to_device,
    unpacked,
)
from sklearnish.estimators._fitting.child_process import children
from sklearnish.estimators._fitting.module import check_inputs, input_dtype
from sklearnish.estimators._fitting.ranks import job_pickler
from sklearnish.estimators._fitting.sizes import batch_rows
from sklearnish.estimators._predicting.answers import (
    Answer,
    Order,
    Piece,
    answers,
    check_finite,
    in_storage_order,
)
from sklearnish.training import LostRankError, device_of_rank

_START = 5.0
"""Seconds that starting processes takes; for so long this one looks how long it would take."""

_PIECE = 2**24
"""Bytes of outputs that are taken from the file of a process at a time."""


def answers_of_dataset(
    net: Any, answer: Answer, dataset: Dataset, wanted: int | str, n: int = 1, **options: Any
) -> Iterator[Piece]:
    """Predict for a Dataset, by up to n processes; few rows in memory are read at once."""
    rows = dataset.without_target()._for_module(input_dtype(net))
    if rows.in_memory and len(rows) <= batch_rows(rows.row_nbytes, wanted):
        check_inputs(net.module_, rows)
        batch = read_finite(rows, np.arange(len(rows)))
        yield from answers(net, answer, [to_device(batch, torch.device(net.device))], wanted)
        return
    loader, order = in_storage_order(net, dataset, wanted, **options)
    with loader:
        yield from spread(net, answer, loader, wanted, order, n, options)


def spread(
    net: Any, answer: Answer, loader: Loader, wanted: int | str, order: Order, n: int, options: Any
) -> Iterator[Piece]:
    """Predict for batches; once that takes long, let other processes predict for the rest.

    Parameters
    ----------
    net : Net
        What computes outputs.
    answer : callable
        What makes predictions of them; it is called here.
    loader : Loader
        The rows, in the order in which they are stored.
    wanted : int or "auto"
        Rows of a batch.
    order : ndarray of int64 or None
        Their positions in X.
    n : int
        How many processes there may be.
    options : dict
        How rows are read.

    Yields
    ------
    Piece
        Positions and predictions.

    Raises
    ------
    ChildProcessError
        If one of the processes died.
    """
    rows, done, begun = loader.order.dataset, 0, time.monotonic()
    for piece in answers(net, answer, loader, wanted, order):
        yield piece
        done += len(piece[1])
        if _pays(time.monotonic() - begun, done, len(rows), n):
            loader.close()
            job = (net, wanted, options, [rows[part] for part in _parts(done, len(rows), n)])
            yield from _by_processes(job, answer, order, done, n)
            return


def _pays(seconds: float, done: int, total: int, n: int) -> bool:
    """Say whether others would be done much sooner, and may be started."""
    if n == 1 or seconds < _START or multiprocessing.current_process().daemon:
        return False
    left = seconds / done * (total - done)
    return left - left / n > 2 * _START


def _parts(start: int, stop: int, n: int) -> list[slice]:
    """Cut rows into equal parts."""
    bounds = np.linspace(start, stop, n + 1).astype(int).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(bounds)]


def _by_processes(
    job: tuple[Any, ...], answer: Answer, order: Order, start: int, n: int
) -> Iterator[Piece]:
    """Let each process write its outputs to a file; make predictions of them in order."""
    with children(n, f"n_processes={n}") as started, parcel(job, job_pickler()) as packed:
        threads = max(1, torch.get_num_threads() // n)
        for result in started.run(_write_outputs, packed, threads, str(started.folder)):
            if isinstance(result, LostRankError):
                raise ChildProcessError(f"A process that predicts died: {result}.")
            if isinstance(result, Failure):
                raise result.error("In a process that predicts")
        for rank in range(n):
            outputs = np.load(_file(started.folder, rank), mmap_mode="r")
            step = max(1, _PIECE // max(1, outputs[:1].nbytes))
            for first in range(0, len(outputs), step):
                some = torch.from_numpy(np.array(outputs[first : first + step]))
                check_finite(some, start, order)
                stop = start + len(some)
                yield slice(start, stop) if order is None else order[start:stop], answer(some)
                start = stop


def _file(folder: Path, rank: int) -> Path:
    """Name the file of a process."""
    return folder / f"{rank}.npy"


def _write_outputs(rank: int, job: Parcel, threads: int, folder: str) -> Failure | None:
    """Compute outputs for a part of the rows in a process, and write them to a file."""
    torch.set_num_threads(threads)
    try:
        net, wanted, options, parts = unpacked(job)
        _move(net, rank)
        _write(net, parts[rank], wanted, options, _file(Path(folder), rank))
    except Exception as error:
        return Failure.of(error)
    return None


def _move(net: Any, rank: int) -> None:
    """Put a net on the GPU of a process."""
    if torch.device(net.device).type == "cuda":
        net.device = device_of_rank("cuda", rank)
        net.module_.to(net.device)


def _write(net: Any, rows: Dataset, wanted: int | str, options: Any, path: Path) -> None:
    """Compute outputs for all rows into one file."""
    loader, _ = in_storage_order(net, rows, wanted, **options)
    file, start = None, 0
    with loader:
        for _, values in answers(net, Tensor.numpy, loader, wanted, check=False):
            if file is None:
                shape = (len(rows), *values.shape[1:])
                file = np.lib.format.open_memmap(path, "w+", values.dtype, shape)
            file[start : start + len(values)] = values
            start += len(values)
