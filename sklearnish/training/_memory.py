"""Out of memory: how it shows, and which batch would have fitted."""

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from sklearnish.data._batch import Batch, narrow

if TYPE_CHECKING:
    from sklearnish.training._net import Net

_SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "bad alloc")
"""How the messages of torch's allocators read, of any device."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an operation failed for want of memory, whatever device it ran on."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def of_same_kind(error: BaseException, message: str) -> Exception:
    """Make an error of the same kind with another message."""
    for kind in (MemoryError, torch.OutOfMemoryError):
        if isinstance(error, kind):
            return kind(message)
    return RuntimeError(message)


def too_large(net: "Net", batch: Batch, error: BaseException) -> Exception:
    """Make the error for a batch that did not fit in training: it says which size does."""
    # The frames of the failed step hold its activations.
    traceback.clear_frames(error.__traceback__)
    net.optimizer_.zero_grad(set_to_none=True)
    tried = min(len(batch), net.batch_size)
    fits = _largest(tried, lambda n: _try(net, narrow(batch, 0, n)))
    where = f"in the memory of {torch.device(net.device)}"
    if not fits:
        return of_same_kind(
            error, f"batch_size={tried} did not fit {where}; not even one row does."
        )
    steps = net.accumulate_steps * -(-tried // fits)
    return of_same_kind(
        error,
        f"batch_size={tried} did not fit {where}; {fits} does. With batch_size={fits} and "
        f"accumulate_steps={steps} the steps stay what they are.",
    )


def _largest(tried: int, fits: Callable[[int], bool]) -> int:
    """Halve until it fits; 0 if nothing does."""
    n = tried // 2
    while n and not fits(n):
        n //= 2
    return n


def _try(net: "Net", batch: Batch) -> bool:
    """Compute gradients as a step does, and drop them; say whether they fitted."""
    try:
        # Adam keeps two numbers a weight, from its first step on.
        _spare = [torch.empty_like(p) for p in net.module_.parameters() for _ in range(2)]
        loss, *_ = net.loss_(net.infer(batch.X), batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return True
    except (RuntimeError, MemoryError, ValueError):  # normalisation refuses a single row
        return False
    finally:
        net.optimizer_.zero_grad(set_to_none=True)
