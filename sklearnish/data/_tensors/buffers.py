"""Memory for windows of rows: straight from the kernel, and straight back to it."""

import math
import mmap
import sys
from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor

_LARGE = 2**22
"""Bytes from which a buffer is mapped. The allocator of the process would keep such buffers
when they are freed, in pieces that the next one does not fit into."""

_MAPPED = hasattr(mmap, "MAP_PRIVATE")

_UNUSED = 3
"""References to a buffer that no tensor has: the list's, the loop's and the argument's."""

_MOST = 4
"""Buffers from which on those that are not in use are given back before another is made."""


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Allocate a tensor whose values are not set.

    A large one lies in huge pages where the system has them, which makes writing rows to it in
    any order several times faster.
    """
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < _LARGE or not _MAPPED:
        return torch.empty(tuple(shape), dtype=dtype)
    return torch.frombuffer(_map(nbytes), dtype=dtype).view(tuple(shape))


def _map(nbytes: int) -> mmap.mmap:
    """Ask the system for memory, in huge pages if it has them."""
    buffer = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            buffer.madvise(mmap.MADV_HUGEPAGE)
    return buffer


class Buffers:
    """Memory for large tensors that is used again once nobody holds the tensor.

    The system clears new pages when they are first written to, which takes longer than putting
    rows there. What is held are a few buffers, of windows and of what is read into them.
    """

    def __init__(self) -> None:
        self._held: list[mmap.mmap] = []

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Allocate a tensor whose values are not set, and which nobody else holds."""
        n = math.prod(shape)
        nbytes = n * dtype.itemsize
        if nbytes < _LARGE or not _MAPPED:
            return torch.empty(tuple(shape), dtype=dtype)
        buffer = self._free(nbytes) or self._new(nbytes)
        return torch.frombuffer(buffer, dtype=dtype, count=n).view(tuple(shape))

    def _free(self, nbytes: int) -> mmap.mmap | None:
        """Find a buffer that nobody uses and that is not far too large."""
        for buffer in self._held:
            if nbytes <= len(buffer) <= 2 * nbytes and sys.getrefcount(buffer) <= _UNUSED:
                return buffer
        return None

    def _new(self, nbytes: int) -> mmap.mmap:
        """Map a buffer, with some room for the next tensor; forget old ones if there are many."""
        if len(self._held) >= _MOST:
            self._held = [b for b in self._held if sys.getrefcount(b) > _UNUSED]
        self._held.append(_map(nbytes + nbytes // 8))
        return self._held[-1]

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Travel without memory."""
        return Buffers, ()
