"""Out of memory: how it shows, and which batch would have fitted."""

import traceback

import torch

from sklearnish.data import Batch, narrow
from sklearnish.training._step.step import Step

_SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "bad alloc")
"""How the messages of torch's allocators read, of any device."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an operation ran out of memory, on whatever device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def of_same_kind(error: BaseException, message: str) -> Exception:
    """Make an error of the same kind with another message."""
    for kind in (MemoryError, torch.OutOfMemoryError):
        if isinstance(error, kind):
            return kind(message)
    return RuntimeError(message)


def too_large(step: Step, batch: Batch, batch_size: int, error: BaseException) -> Exception:
    """Make the error for a batch that did not fit in training: it says which size does."""
    # The frames of the failed step hold its activations.
    traceback.clear_frames(error.__traceback__)
    step.descent.optimizer.zero_grad(set_to_none=True)
    n = step.descent.world.size  # this is the part of one process
    fits = min(len(batch), batch_size) // 2
    tried = min(len(batch) * n, batch_size)
    told = f"batch_size={tried} runs out of memory on {step.device}"
    while fits and not _try(step, narrow(batch, 0, fits)):
        fits //= 2
    if not fits:
        return of_same_kind(error, f"{told}, and so does one row.")
    fits *= n
    steps = step.descent.accumulate * -(-tried // fits)
    same = f"batch_size={fits} with accumulate_steps={steps} gives the same optimizer steps."
    return of_same_kind(error, f"{told}; {fits} fits. {same}")


def _try(step: Step, batch: Batch) -> bool:
    """Compute gradients as a step does, and drop them; say whether they fitted."""
    try:
        # Adam keeps two numbers a weight, from its first step on.
        _spare = [torch.empty_like(p) for p in step.module.parameters() for _ in range(2)]
        loss, *_ = step.loss(step.infer(batch.X), batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return True
    except (RuntimeError, MemoryError, ValueError):  # normalisation refuses a single row
        return False
    finally:
        step.descent.optimizer.zero_grad(set_to_none=True)
