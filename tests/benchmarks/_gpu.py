"""What the benchmarks of a GPU share. Without one they only show, in tiny sizes, that they run."""

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from tests.benchmarks._page import Result

NO_GPU = "**No GPU here: this has not been measured.**"
CPU_INSTEAD = f"{NO_GPU} The figures are those of a CPU, which took its place to run the code."


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def not_measured(work: str, size: str) -> Result | None:
    """Say that there is no GPU; None where there is one, or the code is to be run all the same."""
    if torch.cuda.is_available() or size == "quick":
        return None
    return Result(work, notes=[NO_GPU])


def finished(result: Result) -> Result:
    """Name the GPU, or take back every promise where there is none."""
    if torch.cuda.is_available():
        result.notes.append(f"On one {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}.")
    else:
        result.bars.clear()
        result.notes.append(CPU_INSTEAD)
    return result


def wait() -> None:
    """Until the device has done what it was told to."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Stepper:
    """The step of the hand-written loops: a module on the device, fused Adam, cross-entropy."""

    def __init__(self, module: nn.Module, *, bf16: bool = False) -> None:
        self.module, self.bf16 = module.to(device()), bf16
        self.optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
        self.criterion = nn.CrossEntropyLoss()

    def epoch(self, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
        """Train on all batches; return the seconds until the last step is done."""
        wait()
        begun, losses = time.perf_counter(), []
        for X, y in batches:
            with torch.autocast(device().type, torch.bfloat16, enabled=self.bf16):
                loss = self.criterion(self.module(X), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        assert torch.isfinite(torch.stack(losses).mean())
        return time.perf_counter() - begun


def copy_seconds(nbytes: int, times: int) -> float:
    """Seconds to copy random bytes so many times from page-locked memory to the device."""
    host = torch.randint(256, (nbytes,), dtype=torch.uint8)
    if torch.cuda.is_available():
        host = host.pin_memory()
    there = torch.empty_like(host, device=device())
    wait()
    begun = time.perf_counter()
    for _ in range(times):
        there.copy_(host, non_blocking=True)
    wait()
    return time.perf_counter() - begun


def busy_seconds(spans: Iterable[tuple[float, float]]) -> float:
    """Time that is covered by one span or more."""
    busy, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        busy += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return busy


def fill_device(leave: int) -> Any:
    """Take the device's memory but for some bytes, as long as what is returned is held."""
    if not torch.cuda.is_available():
        return None
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    return torch.empty(max(0, free - leave), dtype=torch.uint8, device=device())
