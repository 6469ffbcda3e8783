"""The numbers in which a module computes."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

PRECISIONS = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}

_CAST = (torch.uint8, torch.float64)
"""Types of rows that no layer takes beside weights of another type."""


def weight_dtype(precision: str) -> torch.dtype:
    """Name the dtype of the weights: the half precisions are for arithmetic alone."""
    return torch.float64 if precision == "float64" else torch.float32


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Compute the forward pass in half precision where that is asked for."""
    if precision in ("float32", "float64"):
        return nullcontext()
    return torch.autocast(device.type, dtype=PRECISIONS[precision])


def as_taken(X: Tensor, precision: str) -> Tensor:
    """Cast images, and float64 that a function of rows made, to what the weights are."""
    return X.to(weight_dtype(precision)) if X.dtype in _CAST else X
