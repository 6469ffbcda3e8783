"""The processes that train one net together, and what they tell each other.

Everything goes through torch's default process group: NCCL between GPUs, gloo elsewhere.
"""

import atexit
import multiprocessing
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sklearnish.data import Share, resolve_device, seed_generators

_MOST_AXES = 8
"""Axes of rows that are sent."""


class LostRankError(ChildProcessError):
    """Another process of the same fit has ended, or did not answer in time."""


@dataclass(frozen=True)
class World:
    """Several processes, of which this is one; alone, every method leaves things as they are.

    All of them call the same methods in the same order.

    Parameters
    ----------
    rank : int, default=0
        Number of this process.
    size : int, default=1
        How many there are.
    device : torch.device, default=cpu
        Where numbers lie that are sent.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - never changed

    @property
    def share(self) -> Share:
        """Which rows of each batch are those of this process."""
        return Share(self.rank, self.size)

    @property
    def is_first(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    # From all to all

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all processes; those under way overlap."""
        if self.size > 1:
            with _answered():
                works = [dist.all_reduce(tensor, async_op=True) for tensor in tensors]
                for work in works:
                    work.wait()

    def total(self, numbers: Sequence[float]) -> list[float]:
        """Add numbers up over all processes."""
        if self.size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        self.add_up([sums])
        return sums.tolist()

    def numbers_of_all(self, numbers: Sequence[float]) -> list[list[float]]:
        """Return the numbers of each process, in order of rank."""
        own = torch.zeros(self.size, len(numbers), dtype=torch.float64, device=self.device)
        own[self.rank] = torch.tensor(numbers, dtype=torch.float64)
        self.add_up([own])
        return own.tolist()

    def rows_of_all(self, rows: Tensor) -> Tensor:
        """Join the rows of all processes, in order of rank; some may have none."""
        if self.size == 1:
            return rows
        told = [len(rows), rows.ndim, *rows.shape[1:], *[0] * (_MOST_AXES - rows.ndim)]
        sizes, shape = [], rows.shape[1:]
        for n, ndim, *widths in self.numbers_of_all(told):
            sizes.append(int(n))
            shape = torch.Size(map(int, widths[: int(ndim) - 1])) if n else shape
        start, every = sum(sizes[: self.rank]), rows.new_zeros(sum(sizes), *shape)
        if len(rows):
            every[start : start + len(rows)] = rows
        self.add_up([every])
        return every

    # From the first to all

    def follow(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors by those of the first process."""
        if self.size > 1:
            with _answered(), torch.no_grad():
                for tensor in tensors:
                    dist.broadcast(tensor.detach(), 0)

    def same(self, number: float) -> float:
        """Return the number that the first process has."""
        given = torch.tensor([number], dtype=torch.float64, device=self.device)
        self.follow([given])
        return float(given)

    def same_bytes(self, data: bytes) -> bytes:
        """Return the bytes that the first process has."""
        if self.size == 1:
            return data
        length = int(self.same(len(data)))
        given = torch.zeros(length, dtype=torch.uint8, device=self.device)
        if self.is_first and length:
            given.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        self.follow([given])
        return given.cpu().numpy().tobytes()

    # What a net needs

    def average(self, module: nn.Module) -> None:
        """Average statistics over all processes; what only counts is that of the first."""
        if self.size == 1:
            return
        buffers = [buffer.detach() for buffer in module.buffers()]
        real = [buffer for buffer in buffers if buffer.is_floating_point()]
        # In float64, and divided first: constants stay what they are, the least of float32 too.
        means = [buffer.double() / self.size for buffer in real]
        self.add_up(means)
        for buffer, mean in zip(real, means, strict=True):
            buffer.copy_(mean)
        self.follow([buffer for buffer in buffers if not buffer.is_floating_point()])

    def part_generators(self, device: torch.device) -> None:
        """Let the other processes draw other numbers than the first, for dropout and the like."""
        if self.rank:
            drawn = int(torch.randint(2**62, (1,)))
            seed_generators((drawn + self.rank) % 2**62, device)


ALONE = World()
"""A process that trains by itself."""


def device_of_rank(device: Any, local_rank: int) -> torch.device:
    """Return the device of one of the processes of this machine: a GPU for each.

    Raises
    ------
    ValueError
        If this machine has no such device, or fewer GPUs than processes.
    """
    found = resolve_device(device)
    named = device != "auto" and torch.device(device).index is not None
    if found.type != "cuda" or named:
        return found
    n = torch.cuda.device_count()
    if local_rank >= n:
        raise ValueError(
            f"n_processes asks for more processes than there are GPUs, {n}. Use n_processes={n}, "
            'or "auto"; or device="cpu".'
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def launched(device: Any, timeout: float) -> World:
    """Return the processes that torchrun started, or the program joined; this one joins them.

    Processes and threads that this one started are not among them.

    Raises
    ------
    LostRankError
        If the others do not come in time.
    """
    if multiprocessing.parent_process() is not None or not _is_main_thread():
        return ALONE
    if not dist.is_initialized():
        if not dist.is_torchelastic_launched():
            return ALONE
        own = device_of_rank(device, int(os.environ["LOCAL_RANK"]))
        with _answered():
            dist.init_process_group(**_options(own, timeout))
        atexit.register(dist.destroy_process_group)
    if dist.get_world_size() == 1:
        return ALONE
    own = device_of_rank(device, int(os.environ.get("LOCAL_RANK", dist.get_rank())))
    return World(dist.get_rank(), dist.get_world_size(), own)


@contextmanager
def quiet(world: World) -> Iterator[None]:
    """Give warnings in the first process alone."""
    with warnings.catch_warnings():
        if not world.is_first:
            warnings.simplefilter("ignore")
        yield


def _is_main_thread() -> bool:
    """Say whether this is the thread in which the program began."""
    return threading.current_thread() is threading.main_thread()


def _options(device: torch.device, timeout: float) -> dict[str, Any]:
    """Say how the processes of a device talk."""
    on_gpu = device.type == "cuda"
    backend, device_id = ("nccl", device) if on_gpu else ("gloo", None)
    waits = timedelta(seconds=timeout)
    return {"backend": backend, "timeout": waits, "device_id": device_id}


@contextmanager
def _answered() -> Iterator[None]:
    """Say plainly that another process is gone: torch raises RuntimeErrors of many words."""
    try:
        yield
    except RuntimeError as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0]
        raise LostRankError(
            "Another process of this fit has ended, or did not answer within worker_timeout "
            f"({first})."
        ) from error


@contextmanager
def joined(
    path: str, rank: int, size: int, device: torch.device, timeout: float
) -> Iterator[World]:
    """Join processes of this machine that meet in a file; leave them at the end."""
    options = _options(device, timeout)
    with _answered():
        store = dist.FileStore(path, size)  # type: ignore[attr-defined]
        dist.init_process_group(store=store, rank=rank, world_size=size, **options)
    try:
        yield World(rank, size, device)
    finally:
        dist.destroy_process_group()
