"""From the memory of the host to the device, while the step before computes.

batch -> page-locked buffers of the next slot -> copy on a stream of its own -> device
"""

import itertools
import time
from collections import deque

import torch
from torch import Tensor

from sklearnish.data._tensors.batch import Batch, copied, each, tensors_of, to_device

SLOTS = 3
"""One is filled by the host while one is copied and one waits for its turn."""


class Transfer:
    """Puts batches on a device; called by the thread that trains.

    A GPU copies beside its work only from page-locked memory, which is slow to allocate: a few
    buffers are used in turn, each again once the copy of the batch in it is done. The stream
    that is current in the caller waits for its batch; the caller itself waits only while the
    device is several steps behind.

    Parameters
    ----------
    device : torch.device
        Where batches are put. What is there already is passed on as it is.
    pin : bool
        Whether batches of the host go through the buffers. On another device than CUDA these
        are ordinary memory, which gains nothing but takes the same way.

    Attributes
    ----------
    behind : float
        Seconds that calls have waited, in all, for the steps on earlier batches: the device
        computed meanwhile, and nothing was transferred.
    """

    def __init__(self, device: torch.device, *, pin: bool) -> None:
        self.behind = 0.0
        self._device = device
        cuda = device.type == "cuda"
        self._slots = deque(_Slot(pinned=cuda) for _ in range(SLOTS if pin else 0))
        self._stream: torch.cuda.Stream | None = None
        if pin and cuda:
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._launched = _event()

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch on the device.

        Parameters
        ----------
        batch : Batch
            It may be changed as soon as this returns, unless it is returned itself.

        Returns
        -------
        Batch
            Tensors that later calls leave alone.
        """
        devices = {tensor.device for tensor in tensors_of(batch)}
        if not self._slots or {device.type for device in devices} != {"cpu"}:
            return batch if devices == {self._device} else to_device(batch, self._device)
        slot = self._slots[0]
        self._slots.rotate(-1)
        if self._stream is None:
            return copied(slot.hold(batch))
        self._catch_up(slot)
        return self._send(slot.hold(batch), slot, self._stream)

    def _catch_up(self, slot: "_Slot") -> None:
        """Wait for the steps that had been launched when a slot was used last."""
        begun = time.perf_counter()
        if slot.before is not None:
            slot.before.synchronize()
        self.behind += time.perf_counter() - begun

    def _send(self, held: Batch, slot: "_Slot", stream: torch.cuda.Stream) -> Batch:
        """Copy what a slot holds to the device, after the step before the last.

        However far ahead the host is, only a few batches are on the device: a copy waits for
        what had been launched at the call before this one, and the host for the copy of the slot.
        """
        consumer = torch.cuda.current_stream(self._device)
        slot.before, slot.done = self._launched, _event()
        with torch.cuda.stream(stream):
            stream.wait_event(slot.before)  # one that was never recorded is not waited for
            batch = to_device(held, self._device)
            slot.done.record(stream)
        self._launched = _event()
        self._launched.record(consumer)
        consumer.wait_event(slot.done)
        for tensor in tensors_of(batch):
            tensor.record_stream(consumer)  # not to be used again before the consumer is done
        return batch


class _Slot:
    """Buffers of the host that hold one batch until its copy is done."""

    def __init__(self, *, pinned: bool) -> None:
        self._pinned = pinned
        self._buffers: list[Tensor] = []
        self.before: torch.cuda.Event | None = None
        self.done: torch.cuda.Event | None = None

    def hold(self, batch: Batch) -> Batch:
        """Copy a batch into the buffers, when the one before has left them."""
        if self.done is not None:
            self.done.synchronize()
        numbers = itertools.count()
        return each(lambda tensor: self._room(next(numbers), tensor).copy_(tensor), batch)

    def _room(self, number: int, tensor: Tensor) -> Tensor:
        """View a buffer as a tensor of the same shape and type; it grows, but never shrinks."""
        if number == len(self._buffers):
            self._buffers.append(self._allocate(tensor.nbytes))
        elif self._buffers[number].nbytes < tensor.nbytes:
            self._buffers[number] = self._allocate(tensor.nbytes)
        room = self._buffers[number][: tensor.nbytes]
        return room.view(tensor.dtype).view(tensor.shape)

    def _allocate(self, nbytes: int) -> Tensor:
        """Allocate bytes that may be written to in any mode of torch."""
        with torch.inference_mode(False):
            return torch.empty(nbytes, dtype=torch.uint8, pin_memory=self._pinned)


def _event() -> torch.cuda.Event:
    """Make an event that is waited for asleep, so that the core is left to those who read."""
    return torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
