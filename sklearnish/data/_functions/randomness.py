"""Random numbers by address, and the process-wide state that user functions may touch."""

import os
import random
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sklearnish.data._functions.generators import Held
from sklearnish.data._source import IntArray
from sklearnish.data._system.turns import Turns


def seed_of(random_state: Any) -> int:
    """Return the seed that was given, or a new one for None.

    Raises
    ------
    ValueError
        If it is neither None nor a whole number of at least 0.
    """
    if random_state is None:
        return secrets.randbits(31)
    if not isinstance(random_state, int | np.integer) or random_state < 0:
        raise ValueError(
            f"random_state must be an integer of at least 0, or None to draw one, got "
            f"{random_state!r}."
        )
    return int(random_state)


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
    if device is not None and (generator := device_generator(device)) is not None:
        generator.manual_seed(seed)


def device_generator(device: torch.device) -> torch.Generator | None:
    """Find the default generator of an accelerator; None on the CPU."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return torch.cuda.default_generators[index]
    if device.type == "mps":
        return torch.mps._get_default_mps_generator()
    return None


_SLICE = 0.01
"""Seconds for which a thread keeps the generators at least: to hand them over takes 0.3 ms."""

_turns = Turns()

_borrower: "_Borrowed | None" = None
"""Who has the generators."""


def _after_fork() -> None:
    """Let a forked process go on, though a thread of its parent had the generators at the fork."""
    global _turns, _borrower
    _turns, _borrower = Turns(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def restored_generators(
    used: bool, device: torch.device, held: Sequence[Held] = ()
) -> Iterator[None]:
    """Put the global generators back as they were found, and what else is `held`, if any is used.

    Once for a whole chunk (0.15 ms). They belong to the process, so one thread has them at a
    time. `let_others_draw` is how it lets others in before it is done.
    """
    if not used and not held:
        yield
        return
    borrowed = _Borrowed(device)
    try:
        states = [generator.get() for generator in held]
        try:
            yield
        finally:
            for generator, state in zip(held, states, strict=True):
                generator.put(state)
    finally:
        borrowed.give_back()


def let_others_draw() -> None:
    """Let threads that wait for the global generators have them, if the calling one has them.

    It finds them again as it left them. To be called where nobody draws, such as between steps.
    """
    if _borrower is not None and _turns.wanted and _turns.depth == 1:
        _borrower.lend()


class _Borrowed:
    """The global generators in the hands of one thread, until it gives them back."""

    def __init__(self, device: torch.device) -> None:
        own = device_generator(device)
        self._generators = [torch.default_generator] + ([] if own is None else [own])
        self._mine = False
        self._take()

    def _take(self) -> None:
        """Wait for them, and note how they were found."""
        global _borrower
        _turns.take()
        try:
            self._found = self._states()
        except BaseException:
            _turns.give_back()
            raise
        self._mine, self._since = True, time.monotonic()
        if _turns.depth == 1:
            _borrower = self

    def give_back(self) -> None:
        """Put them back as they were found; Ctrl-C may have come while they were lent."""
        global _borrower
        if not self._mine:
            return
        try:
            self._put(self._found)
        finally:
            if _turns.depth == 1:
                _borrower = None
            self._mine = False
            _turns.give_back()

    def lend(self) -> None:
        """Give them back for as long as others want them, unless they were taken just now."""
        if time.monotonic() - self._since < _SLICE:
            return
        own = self._states()
        self.give_back()
        self._take()
        self._put(own)

    def _states(self) -> tuple[list[torch.Tensor], Any, Any]:
        """Copy the states."""
        states = [generator.get_state() for generator in self._generators]
        return states, np.random.get_state(), random.getstate()  # noqa: NPY002

    def _put(self, states: tuple[list[torch.Tensor], Any, Any]) -> None:
        """Set the states."""
        for generator, state in zip(self._generators, states[0], strict=True):
            generator.set_state(state)
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


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
