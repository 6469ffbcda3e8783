"""Global state of the process, borrowed for one fit and put back."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python; leave them as they were found."""
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 -- user code draws from this generator
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        try:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


@contextmanager
def thread_count(num_threads: int | str, *, in_memory: bool) -> Iterator[None]:
    """Set the threads of torch's operations, and put the process's setting back.

    "auto" leaves one core to the reading of what is not in memory. The mode of reading and the
    number of workers play no part: sums differ in the last bit between thread counts.
    """
    before = torch.get_num_threads()
    auto = before if in_memory else max(1, before - 1)
    torch.set_num_threads(auto if num_threads == "auto" else int(num_threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)
