"""Contenders in turn, A B A B ..., so that a noisy machine is noisy for all of them."""

import ctypes
import gc
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

Item = TypeVar("Item")

PAIRS = 5

Contender = Callable[[], float]
"""Does its work and returns the seconds that are compared, of an epoch for example."""


class Sample(NamedTuple):
    """One run of a contender."""

    seconds: float  # that are compared
    whole: float  # from start to end
    cpu: float  # seconds of all threads and of the processes that ended
    peak_mb: float  # most resident memory over what there was before


@dataclass(frozen=True)
class Ratio:
    """How much of the other's time, pair by pair."""

    pairs: list[float]

    @classmethod
    def of(cls, ours: Iterable[float], theirs: Iterable[float]) -> "Ratio":
        return cls([a / b for a, b in zip(ours, theirs, strict=True)])

    @property
    def median(self) -> float:
        return statistics.median(self.pairs)

    def __str__(self) -> str:
        return f"{_three(self.median)} ({_three(min(self.pairs))} to {_three(max(self.pairs))})"


def in_turn(contenders: Mapping[str, Contender], pairs: int = PAIRS) -> dict[str, list[Sample]]:
    """Measure all contenders in every round; the first round is warm-up."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(pairs + 1):
        for name, contender in contenders.items():
            sample = measure(contender)
            print(f"    {number}: {name}: {sample.seconds:.4g} s", flush=True)
            if number:
                samples[name].append(sample)
    return samples


def measure(contender: Contender) -> Sample:
    gc.collect()
    _trim()
    before = _reset_peak()
    cpu, begun = _cpu_seconds(), time.perf_counter()
    seconds = contender()
    whole = time.perf_counter() - begun
    return Sample(seconds, whole, _cpu_seconds() - cpu, _status_mb("VmHWM") - before)


def best_of(candidates: Mapping[str, Contender]) -> str:
    """Tune a peer: name the fastest of some settings, the better of two runs each."""
    if len(candidates) == 1:
        return next(iter(candidates))
    best: dict[str, float] = {}
    for _ in range(2):
        for name, run in candidates.items():
            best[name] = min(best.get(name, float("inf")), run())
    print(f"    tuning: { ({name: round(s, 4) for name, s in best.items()}) }", flush=True)
    return min(best, key=lambda name: best[name])


def seconds_of(samples: Iterable[Sample]) -> list[float]:
    return [sample.seconds for sample in samples]


def median(samples: Iterable[Sample], field: str) -> float:
    return statistics.median(getattr(sample, field) for sample in samples)


def _cpu_seconds() -> float:
    usages = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _trim() -> None:
    """Give free memory back, or the next to run would take it without being seen to."""
    with suppress(OSError, AttributeError):  # not on Linux's usual C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _reset_peak() -> float:
    """Start the kernel's high-water mark anew; return the megabytes in use."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status_mb("VmRSS")


def _status_mb(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise KeyError(field)


def _three(number: float) -> str:
    """Three digits, never as a power of ten."""
    return f"{number:.2f}" if number < 10 else f"{number:.3g}" if number < 1000 else f"{number:.0f}"


@contextmanager
def own_caches(folder: str) -> Iterator[None]:
    """Keep our cache and theirs in a folder that goes away, and off the network."""
    values = {"XDG_CACHE_HOME": f"{folder}/cache", "HF_HOME": f"{folder}/hf"}
    values |= {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, on all sides."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Make the next item in a thread, as the hand-written loops do."""
    iterator = iter(items)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, iterator, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, iterator, None)
            yield item
