"""Devices: which ones this machine has, and which one a fit gets."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch

from sklearnish.data._system.places import Place, Site, placed, private_folder

_MUCH = 64
"""Memory that torch keeps for later is given back if it is more than one in so many bytes."""


def resolve_device(device: torch.device | str) -> torch.device:
    """Turn a parameter into a device of this machine; "auto" prefers CUDA, then MPS.

    Raises
    ------
    ValueError
        If torch knows no such device, or this machine has none.
    """
    if device == "auto":
        return _best_device()
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = None
    if found is None or not is_available(found):
        raise ValueError(
            f"device={device!r} is not available on this machine. Use 'auto' or 'cpu'; 'cuda', "
            "'cuda:<number>' or 'mps' if there is one."
        )
    return found


def _best_device() -> torch.device:
    """Pick the fastest device of this machine."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def is_available(device: torch.device) -> bool:
    """Say whether tensors can be put there."""
    if device.type == "cpu":
        return True
    if device.type == "cuda":  # asked without starting CUDA, which forked workers could not use
        return (device.index or 0) < torch.cuda.device_count()
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError):  # each backend's own
        return False
    return True


@contextmanager
def device_for_fit(device: Any, bound: Any = None) -> Iterator[Place]:
    """Say on which device a fit computes, and make it the current one until the end of the fit.

    Parameters
    ----------
    device : torch.device or str
        The parameter. What it names is obeyed; of several GPUs "auto" takes one on which no other
        fit is, or waits for a place.
    bound : torch.device or None, default=None
        Device of a net that is trained on: it stays where it is.

    Yields
    ------
    Place
        Tells the device.

    Raises
    ------
    ValueError
        If the device is not available.
    """
    own = None if bound is None else torch.device(bound)
    sites = [s for s in _gpus() if own in (None, s.device)] if device == "auto" else []
    if not sites:
        place = Place(resolve_device(device) if own is None else own)
        with current_device(place.device):
            yield place
        return
    with placed(sites, private_folder()) as place, current_device(place.device):
        try:
            yield place
        finally:
            if own is None:  # what trains on soon needs it again
                _give_memory_back(place.device)


@contextmanager
def current_device(device: torch.device) -> Iterator[None]:
    """Make a GPU the current one of the thread: modules may say "cuda" where they mean their own.

    Parameters
    ----------
    device : torch.device
        Of another kind, it changes nothing.
    """
    if device.type != "cuda":
        yield
        return
    with torch.cuda.device(device):
        yield


def _gpus() -> Sequence[Site]:
    """List the GPUs that this process may use, the current one first."""
    if not torch.cuda.is_available():
        return []
    current = torch.cuda.current_device()
    numbers = sorted(range(torch.cuda.device_count()), key=lambda number: number != current)
    return [_gpu(number) for number in numbers]


def _gpu(number: int) -> Site:
    """Describe a GPU; its name does not depend on CUDA_VISIBLE_DEVICES, which its number does."""
    properties = torch.cuda.get_device_properties(number)
    name = f"cuda-{getattr(properties, 'uuid', number)}"
    return Site(torch.device("cuda", number), name, partial(_memory, number))


def _memory(number: int) -> tuple[int, int]:
    """Return the bytes of a GPU that are free, and all; none where CUDA has no room to start."""
    try:
        return torch.cuda.mem_get_info(number)
    except RuntimeError:
        return 0, 1


def _give_memory_back(device: torch.device) -> None:
    """Let other processes have what torch keeps of the tensors of a fit, if it is much."""
    if device.type != "cuda":
        return
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if kept > torch.cuda.get_device_properties(device).total_memory // _MUCH:
        with suppress(RuntimeError):  # of CUDA: the fit has failed, and says why
            torch.cuda.empty_cache()
