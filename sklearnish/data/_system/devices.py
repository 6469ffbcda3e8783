"""Devices: which ones this machine has."""

import torch


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
