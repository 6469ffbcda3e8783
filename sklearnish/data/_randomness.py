"""Random numbers by address, and the process-wide state that user functions may touch."""

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sklearnish.data._source import IntArray


class Randomness:
    """The random numbers of (seed, epoch, salt), addressed by function and position.

    One Philox generator is moved to a counter per row, which costs 2 us where a new generator
    costs 12; a position owns 2**128 draws of it.
    """

    def __init__(self, key: tuple[int, ...]) -> None:
        words = np.random.SeedSequence(key).generate_state(3, np.uint64)
        self._bits = np.random.Philox(key=words[:2])
        self._generator = np.random.Generator(self._bits)
        self._state: Any = self._bits.state
        self._base: npt.NDArray[np.uint64] = words[2:].astype(np.uint64)

    def generator(self, index: int, position: int) -> np.random.Generator:
        """Return the generator of a position; it is good until the next call."""
        self._state["state"]["counter"][:] = (0, 0, position, index)
        self._bits.state = self._state
        return self._generator

    def seeds(self, index: int, positions: IntArray) -> list[int]:
        """Return 64 bits for each position (splitmix64 over base, function and position)."""
        base = _mix(self._base ^ np.array([index + 1], np.uint64))
        mixed: list[int] = _mix(_mix(positions.astype(np.uint64) + base)).tolist()
        return mixed


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scatter the bits of each word (the finaliser of splitmix64)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def seed_generators(seed: int, device: torch.device | None = None) -> None:
    """Seed the global generators a function may draw from, on the device as well."""
    # torch.manual_seed would also seed every device, at 104 us instead of 2.
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002 (the user's function draws from it)
    random.seed(seed)
    if device is not None and (generator := _device_generator(device)) is not None:
        generator.manual_seed(seed)


def _device_generator(device: torch.device) -> torch.Generator | None:
    """Find the default generator of an accelerator; None on the CPU."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return torch.cuda.default_generators[index]
    if device.type == "mps":
        return torch.mps._get_default_mps_generator()
    return None


_one_at_a_time = threading.RLock()


def _new_lock() -> None:
    """Let a forked process go on, though a thread of its parent held the lock at the fork."""
    global _one_at_a_time
    _one_at_a_time = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


@contextmanager
def restored_generators(used: bool, device: torch.device) -> Iterator[None]:
    """Put the global generators back as they were found, once for a whole chunk (0.15 ms).

    They belong to the process, so of several threads one enters at a time.
    """
    if not used:
        yield
        return
    with _one_at_a_time:
        yield from _restored(device)


def _restored(device: torch.device) -> Iterator[None]:
    """Save the states, and put them back."""
    own = _device_generator(device)
    generators = [torch.default_generator] + ([] if own is None else [own])
    states = [g.get_state() for g in generators]
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run on one torch thread: sums differ in the last bit between thread counts.

    The count belongs to the calling thread, so training beside it keeps its own.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
