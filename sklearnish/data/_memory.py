"""Memory for windows of rows: straight from the kernel, and straight back to it."""

import math
import mmap
from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor

_LARGE = 2**22
"""Bytes from which a buffer is mapped. The allocator of the process would keep such buffers
when they are freed, in pieces that the next one does not fit into."""


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Allocate a tensor whose values are not set.

    A large one lies in huge pages where the system has them, which makes writing rows to it in
    any order several times faster.
    """
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < _LARGE or not hasattr(mmap, "MAP_PRIVATE"):
        return torch.empty(tuple(shape), dtype=dtype)
    buffer = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            buffer.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(buffer, dtype=dtype).view(tuple(shape))
