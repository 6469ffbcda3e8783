"""Gradients of several processes, added up."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sklearnish.training._world import World

_BUCKET = 25 * 2**20
"""Bytes that are sent in one go, as in DistributedDataParallel."""

_EXACT = (torch.float32, torch.float64)
"""Types in which also counts can be sent."""


class GradientSum:
    """Replaces gradients by their sums over all processes of a world.

    They are copied into buffers that are kept from step to step, and used there.

    Parameters
    ----------
    world : World
        The processes.
    parameters : sequence of Tensor
        What has gradients; the same in all processes.
    """

    def __init__(self, world: World, parameters: Sequence[Tensor]) -> None:
        self._world = world
        self._buckets = [bucket for bucket in _buckets(parameters) if bucket]
        self._buffers: list[Tensor] = []
        self._full = torch.ones(len(parameters), dtype=torch.float64)

    def __call__(self, riders: Tensor) -> Tensor:
        """Add up the gradients; a parameter without one in all processes is left without.

        Parameters
        ----------
        riders : Tensor of shape (n,)
            Numbers that are added up, too: another message would take as long as a small step.

        Returns
        -------
        Tensor of shape (n,)
            Their sums.
        """
        buckets = self._buckets
        if not self._buffers:
            self._buffers = [self._buffer(bucket, len(riders)) for bucket in buckets]
        present = [parameter.grad is not None for bucket in buckets for parameter in bucket]
        for bucket, buffer in zip(buckets, self._buffers, strict=True):
            _fill(bucket, buffer)
        # What rides: how many processes have each gradient, and numbers of the caller.
        every = all(present)
        if self._full.device != riders.device:
            self._full = self._full.to(riders.device)
        told = self._full if every else self._full.new_tensor(list(map(float, present)))
        told = torch.cat([riders.double(), told])
        last = self._buffers[-1]
        alone = last.dtype not in _EXACT
        if not alone:
            last[-len(told) :] = told
        self._world.add_up([*self._buffers, *[told] * alone])
        if not alone:
            told = last[-len(told) :].to(torch.float64, copy=True)  # the buffer is used again
        # Only who lacks a gradient waits for the device, to learn whether another has it.
        counts = None if every else told[len(riders) :].tolist()
        self._hand_out(counts)
        return told[: len(riders)]

    def _buffer(self, bucket: Sequence[Tensor], n_riders: int) -> Tensor:
        """Make room for gradients, and in the last buffer for what rides."""
        n = sum(parameter.numel() for parameter in bucket)
        if bucket is self._buckets[-1] and bucket[0].dtype in _EXACT:
            n += n_riders + sum(map(len, self._buckets))
        return bucket[0].new_empty(n)

    def _hand_out(self, counts: list[float] | None) -> None:
        """Let parameters have their sums; they keep the order of their axes in memory."""
        number = 0
        for bucket, buffer in zip(self._buckets, self._buffers, strict=True):
            start = 0
            for parameter in bucket:
                part = buffer[start : start + parameter.numel()].view(parameter.shape)
                if counts is not None and not counts[number]:
                    parameter.grad = None
                elif parameter.is_contiguous():
                    parameter.grad = part
                else:
                    parameter.grad = torch.empty_like(parameter).copy_(part)
                start += parameter.numel()
                number += 1


def _fill(bucket: Sequence[Tensor], buffer: Tensor) -> None:
    """Copy gradients, zeros for those that are missing."""
    n = sum(parameter.numel() for parameter in bucket)
    parts = [
        (torch.zeros_like(p) if p.grad is None else p.grad).detach().reshape(-1) for p in bucket
    ]
    torch.cat(parts, out=buffer[:n])


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Group tensors of one type, in order, to at most so many bytes."""
    bucket: list[Tensor] = []
    nbytes = 0
    for tensor in tensors:
        if bucket and (bucket[0].dtype != tensor.dtype or nbytes + tensor.nbytes > _BUCKET):
            yield bucket
            bucket, nbytes = [], 0
        bucket.append(tensor)
        nbytes += tensor.nbytes
    yield bucket
