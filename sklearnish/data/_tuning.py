"""How to read: inline, in a thread or in worker processes."""

import multiprocessing
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

NumWorkers = int | Literal["auto"]


@dataclass(frozen=True)
class LoadPlan:
    """How fetches are read; it never changes which fetches there are.

    Attributes
    ----------
    mode : str
        "inline", "thread" or "processes".
    num_workers : int
        Number of worker processes, 0 in the other modes.
    reason : str
        Why this mode.
    pin_memory : bool
        Whether batches are put into page-locked memory.
    """

    mode: Literal["inline", "thread", "processes"]
    num_workers: int
    reason: str
    pin_memory: bool = False


def make_plan(
    num_workers: NumWorkers,
    pin_memory: bool | Literal["auto"],
    device: torch.device,
    *,
    in_memory: bool,
    thread_safe: bool,
) -> LoadPlan:
    """Choose a mode.

    Parameters
    ----------
    num_workers : int or "auto"
        0 reads inline, a positive number asks for worker processes; "auto" reads inline what
        is in memory and in one thread what is not.
    pin_memory : bool or "auto"
        "auto" pins for CUDA.
    device : torch.device
        Where batches go.
    in_memory : bool
        Whether a read is only a copy.
    thread_safe : bool
        Whether no function of rows draws from the global random generators.

    Raises
    ------
    ValueError
        If `num_workers` is neither "auto" nor an integer from 0.
    """
    pin = device.type == "cuda" if pin_memory == "auto" else pin_memory and device.type == "cuda"
    if num_workers == "auto":
        if in_memory:
            return LoadPlan("inline", 0, "the rows are in memory", pin)
        if not thread_safe:
            return LoadPlan("inline", 0, "a function of rows may use global generators", pin)
        return LoadPlan("thread", 0, "one thread reads ahead", pin)
    num_workers = _check_count(num_workers)
    if num_workers == 0:
        return LoadPlan("inline", 0, "num_workers=0", pin)
    if multiprocessing.current_process().daemon:
        return LoadPlan("inline", 0, "a daemonic process may not have workers", pin)
    return LoadPlan("processes", num_workers, f"num_workers={num_workers}", pin)


def _check_count(num_workers: Any) -> int:
    """Refuse what is not a number of processes."""
    whole = isinstance(num_workers, int | np.integer) and not isinstance(num_workers, bool)
    if not whole or num_workers < 0:
        raise ValueError(f'num_workers must be "auto" or an integer >= 0, got {num_workers!r}.')
    return int(num_workers)
