"""What is done once, before the first batch of a fit is read.

A file that cannot be shuffled well as it is may be copied, and rows that fit the device are put
there; who reads is chosen by what is known before anything was measured.
"""

from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from sklearnish.data._functions.functions import split_augment, uses_global_generators
from sklearnish.data._loading.loader import Loader
from sklearnish.data._loading.tuner import Tuner
from sklearnish.data._order.blocks import suitable_blocks
from sklearnish.data._order.samplers import Order, Sampler, check_sampler
from sklearnish.data._order.shares import WHOLE, Share
from sklearnish.data._reading import plan as plans
from sklearnish.data._reading.on_device import fits, upload
from sklearnish.data._reading.plan import NumWorkers
from sklearnish.data._reading.processes import (
    check_picklable,
    check_survives_fork,
    dies_of_fork,
    inside_loky,
)
from sklearnish.data._reading.reader import Reader, Reads
from sklearnish.data._tensors.transfer import Transfer
from sklearnish.data._views.attached import hold_labels
from sklearnish.data._views.view import View

_WINDOW_SHARE = 8
"""Fetches of this share of ``shuffle_memory``: in use, read ahead, and copies while reading."""

_SMALL_FETCH, _LARGE_FETCH = 2**22, 2**26
"""Bytes gathered at once where any row is as cheap as any: on the host, and on a device."""


def prepare_loader(
    dataset: View,
    *,
    batch_size: int,
    min_batch_size: int = 2,
    epochs: int = 1,
    sampler: Sampler = "shuffle",
    seed: int = 0,
    first_epoch: int = 0,
    first_batch: int = 0,
    augment: Any = None,
    shuffle_memory: int | str = "256MB",
    num_workers: NumWorkers = "auto",
    pin_memory: bool | Literal["auto"] = "auto",
    device: torch.device | None = None,
    timeout: float = 300,
    finite: bool = True,
    reader: type[Reader] = Reader,
    share: Share = WHOLE,
) -> Loader:
    """Prepare rows to be read batch by batch, for all epochs of a fit.

    Parameters
    ----------
    dataset : View
        The rows.
    batch_size : int
        Rows per batch.
    min_batch_size : int
        Rows of the last batch of an epoch; fewer join the batch before.
    epochs : int
        How many epochs may be asked for.
    sampler : str or callable
        Order of the rows, see :class:`Order`.
    seed : int
        Seed of order and augmentation.
    first_epoch, first_batch : int
        Where to begin, see :class:`Loader`.
    augment : callable, sequence of callables or PerBatch, or None
        Random functions of rows or batches.
    shuffle_memory : int or str
        Bytes, or a text such as "256MB".
    num_workers, pin_memory : int or "auto", bool or "auto"
        See :func:`make_plan`; batches are pinned on the way to CUDA, unless `pin_memory` is False.
    device : torch.device
        Where batches are put.
    timeout : float
        Seconds to wait for a worker process.
    finite : bool
        Whether NaN and infinity raise.
    reader : type
        What reads a fetch.
    share : Share
        Which rows of each batch are read here.

    Returns
    -------
    Loader
        A context that closes; each ``iter()`` of it is an epoch.
    """
    _check(dataset, batch_size, sampler, num_workers, pin_memory)
    memory = parse_bytes(shuffle_memory)
    rows, per_batch = split_augment(augment)
    device = device or torch.device("cpu")

    # Labels and weights are read once, and stay in this process.
    dataset.source.check_unchanged()
    dataset = hold_labels(dataset)

    # How many rows are read at once: more where all of them live on the device.
    on_device = epochs > 1 and fits(dataset, device, rows)
    window = fetch_rows(dataset, batch_size, memory, _LARGE_FETCH if on_device else _SMALL_FETCH)

    # Who reads, by rule; with "auto", the tuner may find out something better while they do.
    room = plans.Room(memory, window * dataset.row_nbytes)
    in_memory = dataset.in_memory and not rows
    functions = (*dataset.source.functions, *dataset.transforms, *rows)
    drawn = uses_global_generators(functions) or dataset.source.uses_global_generators
    plan = plans.make_plan(num_workers, room, in_memory=in_memory, thread_safe=not drawn)
    if plan.mode == "processes":
        check_survives_fork(functions)
        if not inside_loky():
            check_picklable(functions)

    # Blocks that can be shuffled well: of another size, or of a copy that is made here.
    shuffled = sampler != "sequential" and not callable(sampler)
    dataset = suitable_blocks(dataset, window, shuffled=shuffled)
    order = Order(dataset, sampler, seed, window)

    # What reads: rows that fit the device are put there now.
    reads: Reads
    if on_device:
        plan = plans.ON_DEVICE
        reads = upload(dataset, device, finite=finite)
    else:
        reads = reader(dataset, rows, seed, finite)
    fixed = num_workers != "auto" or in_memory or dies_of_fork(dataset.source.functions)
    tuner = Tuner(plan, room, fixed=fixed, obstacle=partial(plans.obstacle, reads, room))
    tuner.begin(dataset.source.row_seconds * len(dataset) * epochs)

    return Loader(
        order,
        reads,
        tuner,
        Transfer(device, pin=device.type == "cuda" and bool(pin_memory)),
        batch_size=int(batch_size),
        min_batch_size=min_batch_size,
        epochs=range(first_epoch, first_epoch + epochs),
        first_batch=first_batch,
        per_batch=per_batch,
        timeout=timeout,
        share=share,
    )


def _check(dataset: View, batch_size: Any, sampler: Any, num_workers: Any, pin_memory: Any) -> None:
    """Refuse what can be refused before anything is read."""
    if len(dataset) == 0:
        raise ValueError(f"{dataset.source.name} has 0 rows; at least one is needed.")
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size must be an integer of at least 1, got {batch_size!r}.")
    check_sampler(sampler)
    plans.check_num_workers(num_workers)
    if pin_memory not in (True, False, "auto"):
        raise ValueError(f'pin_memory must be "auto", True or False, got {pin_memory!r}.')


def fetch_rows(dataset: View, batch_size: int, memory: int, small: int = _SMALL_FETCH) -> int:
    """Rows of one fetch: whole batches where rows are equally cheap, a window where not."""
    most = max(1, memory // _WINDOW_SHARE // dataset.row_nbytes)
    if dataset.source.blocks is not None:
        return most
    batches = max(1, small // (dataset.row_nbytes * batch_size))
    return min(most, batch_size * batches)


def parse_bytes(size: int | str) -> int:
    """Read a number of bytes: 268435456, "256MB" or "1.5 GB", in powers of 1024.

    Raises
    ------
    ValueError
        If it is not a positive number with a unit of B, KB, MB, GB or TB.
    """
    text = str(size).strip().upper().removesuffix("B").removesuffix("I")
    factor = 1
    for power, unit in enumerate("KMGT", start=1):
        if text.endswith(unit):
            text, factor = text[:-1], 1024**power
    try:
        number = int(float(text) * factor)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError(f'shuffle_memory must be bytes or a text such as "256MB", got {size!r}.')
    return number
