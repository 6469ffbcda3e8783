"""Where and in which numbers a module computes."""

from contextlib import AbstractContextManager, nullcontext

import torch

PRECISIONS = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn the parameter into a device that exists here; "auto" prefers CUDA, then MPS."""
    if device == "auto":
        return _best_device()
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is not a device that torch knows; "
            "use 'auto', 'cpu', 'cuda', 'cuda:<number>' or 'mps'."
        ) from error
    if not is_available(resolved):
        raise ValueError(
            f"device={device!r} is not available on this machine; use 'auto' for the best that is."
        )
    return resolved


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
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError):
        return False
    return True


def weight_dtype(precision: str) -> torch.dtype:
    """Name the dtype of the weights: the half precisions are for arithmetic alone."""
    return torch.float64 if precision == "float64" else torch.float32


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Compute the forward pass in half precision where that is asked for."""
    if precision in ("float32", "float64"):
        return nullcontext()
    return torch.autocast(device.type, dtype=PRECISIONS[precision])
