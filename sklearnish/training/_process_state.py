"""Global state of the process, borrowed for one fit and put back."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from sklearnish.data import Batch, let_others_draw, restored_generators, seed_generators


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python; leave them as they were found.

    The generators belong to the process. Of several threads one has them at a time, and the one
    that trains gives them away between steps, see `in_turns`.
    """
    if device.type == "cuda":
        # Before it, there is no generator to put back.
        torch.cuda.init()  # type: ignore[no-untyped-call]
    with restored_generators(True, device):
        seed_generators(seed, device)
        yield


def in_turns(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield batches; between two, other threads that want the global generators get them."""
    for batch in batches:
        yield batch
        let_others_draw()


@contextmanager
def thread_count(num_threads: int | str, *, in_memory: bool) -> Iterator[None]:
    """Set the threads of torch's operations, and put the process's setting back.

    "auto" leaves one core to the reading of what is not in memory. The mode of reading and the
    number of workers play no part: sums differ in the last bit between thread counts.
    """
    before = torch.get_num_threads()
    auto = before if in_memory else max(1, before - 1)
    torch.set_num_threads(auto if num_threads == "auto" else int(num_threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)
