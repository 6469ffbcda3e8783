"""Two processes that train one net against one, and what that says of a thousand."""

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import sklearnish as sn
from sklearnish.training import World
from tests.benchmarks._harness import Ratio, in_turn, one_thread, seconds_of
from tests.benchmarks._page import Bar, Result, table
from tests.benchmarks._parquet import N_FEATURES, write_parquet
from tests.ranks import in_ranks

ROWS = {"quick": 512, "default": 1024, "full": 4096}
FILE_ROWS = {"quick": 20_000, "default": 131_072, "full": 1_048_576}
EPOCHS, BATCH = 3, 256
MEGABYTES = (1e-5, 0.1, 1, 4, 16)
ROW_BYTES, TERABYTE = 4 * N_FEATURES + 8, 10**12
RANKS = (1, 2, 4, 8, 16, 64, 256, 1024)


class Convolutions(nn.Module):
    """Little to send, much to compute."""

    def __init__(self, out_features: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1)]
        self.layers = nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.outputs = nn.Linear(32, out_features)

    def forward(self, X: Tensor) -> Tensor:
        return self.outputs(self.layers(X))


class Perceptron(nn.Module):
    """As much to send as the width says."""

    def __init__(self, in_features: int, out_features: int, width: int = 1024) -> None:
        super().__init__()
        inner = [nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
        self.layers = nn.Sequential(*inner, nn.Linear(width, out_features))

    def forward(self, X: Tensor) -> Tensor:
        return self.layers(X)


@dataclass(frozen=True)
class Work:
    """One kind of fit."""

    name: str
    module: type[nn.Module]
    rows: Any
    batch: int
    params: dict[str, Any]

    def seconds(self, n_processes: int, batch: int) -> float:
        """Median seconds of an epoch but the first."""
        torch.set_num_threads(n_processes)  # one for each
        fitted = sn.TorchClassifier(
            self.module,
            module_params=self.params,
            max_epochs=EPOCHS,
            batch_size=batch,
            n_processes=n_processes,
            num_threads=1,
            random_state=0,
        ).fit(*self.rows)
        torch.set_num_threads(1)
        return statistics.median(epoch["dur"] for epoch in fitted.history_[1:])

    @property
    def n_rows(self) -> int:
        return len(self.rows[0])

    @property
    def nbytes(self) -> int:
        """Bytes of gradients."""
        sizes = {"in_features": N_FEATURES, "out_features": 2}
        if self.module is Convolutions:
            del sizes["in_features"]
        return sum(p.nbytes for p in self.module(**sizes, **self.params).parameters())


@dataclass(frozen=True)
class Costs:
    """Seconds of the parts of a step, and what machines are assumed to be."""

    step: float  # of a batch of one process, without messages
    read: float  # of its rows
    nbytes: float  # of gradients
    message: float = 20e-6  # seconds until another process has a short one
    bandwidth: float = 3e9  # bytes a second between two processes
    store: float = 1.5e9  # bytes a second from the object store to a machine
    whole_store: float = 100e9  # to all machines together
    per_machine: int = 8  # processes

    def messages(self, n: int) -> float:
        """A ring: all bytes twice but for what stays; short ones through a tree."""
        if n == 1:
            return 0.0
        return 2 * (n - 1) / n * self.nbytes / self.bandwidth + math.log2(n) * self.message

    def parts(self, n: int, rows: int) -> dict[str, float]:
        """Seconds of each resource for a step of n processes, of so many rows each."""
        machine = min(n, self.per_machine)
        return {
            "computing and messages": self.step + self.messages(n),
            "reading and decoding": self.read,
            "the machine's line to the store": machine * rows * ROW_BYTES / self.store,
            "the store": n * rows * ROW_BYTES / self.whole_store,
        }


def run(size: str) -> Result:
    result = Result(
        f"One net trained by two processes with one torch thread each, against one process with "
        f"one, on two cores: rows a second of the epochs after the first, {EPOCHS} epochs. Strong: "
        "the same batch_size, so half of it for each; weak: twice the batch_size."
    )
    pairs = 1 if size == "quick" else 5
    with tempfile.TemporaryDirectory() as folder, one_thread():
        works = _works(Path(folder), ROWS[size], FILE_ROWS[size])
        seconds = _measure(result, works, pairs)
        messages = _messages(result)
        predicted = _predicted(works, seconds, messages)
        result.tables.append(predicted)
        read = _read_seconds(works[-1].rows[0])
        result.tables.append(_plan(works[-2], seconds[works[-2].name], read))
    result.notes.append(
        "The plan for 1 TB is an estimate, not a measurement. It takes step and reading from this "
        "machine, a core for each, and assumes 3 GB/s and 20 us a message between processes; from "
        "the store 1.5 GB/s for a machine of 8 processes, and 100 GB/s in all. Process-hours times "
        "your price of two cores is the cost."
    )
    return result


def _works(folder: Path, n_rows: int, file_rows: int) -> list[Work]:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((n_rows, 3, 32, 32), dtype=np.float32)
    X = rng.standard_normal((8 * n_rows, N_FEATURES), dtype=np.float32)
    ds = sn.scan_parquet(write_parquet(folder / "rows.parquet", file_rows, 16_384), target="y")
    ds.target  # noqa: B018 - read once, before anything is measured

    def labels(rows: Any) -> Any:
        return rng.integers(0, 2, len(rows))

    return [
        Work("convolutions, 32 x 32 images", Convolutions, (images, labels(images)), BATCH, {}),
        Work("MLP of 1.1 million weights", Perceptron, (X, labels(X)), 8 * BATCH, {}),
        Work("the same, small batches", Perceptron, (X, labels(X)), BATCH, {}),
        Work("Parquet, MLP of 83,000 weights", Perceptron, (ds,), 4 * BATCH, {"width": 256}),
    ]


def _measure(result: Result, works: list[Work], pairs: int) -> dict[str, dict[str, float]]:
    rows, found = [], {}
    for work in works:
        contenders = {
            "one": partial(work.seconds, 1, work.batch),
            "two": partial(work.seconds, 2, work.batch),
            "two, weak": partial(work.seconds, 2, 2 * work.batch),
        }
        samples = in_turn(contenders, pairs)
        samples |= in_turn({"half": partial(work.seconds, 1, work.batch // 2)}, 2)
        strong, weak = (
            Ratio.of(seconds_of(samples["one"]), seconds_of(samples[name]))
            for name in ("two", "two, weak")
        )
        speed = {n: work.n_rows / statistics.median(seconds_of(s)) for n, s in samples.items()}
        whole = statistics.median(s.whole - EPOCHS * s.seconds for s in samples["two"])
        found[work.name] = {n: statistics.median(seconds_of(s)) for n, s in samples.items()}
        shown = [f"{speed[name]:,.0f}" for name in ("one", "two", "two, weak")]
        rows.append([work.name, work.batch, *shown, strong, weak, f"{whole:.1f}"])
        if work.module is Convolutions:
            text = "rows a second of two processes to those of one, compute-bound module"
            result.bars.append(Bar(text, strong.median, str(strong), at_least=1.6))
    header = ["", "batch", "one, rows/s", "two, strong", "two, weak"]
    header += ["two to one, strong", "weak", "s to start"]
    result.tables.append(table(header, rows))
    return found


def _times_of(world: World, repeats: int = 40) -> list[float]:
    """Seconds of a message of each size."""
    found = []
    for megabytes in MEGABYTES:
        tensor = torch.zeros(max(1, int(megabytes * 2**20 / 4)))
        for number in range(repeats + 20):
            if number == 20:
                begun = time.perf_counter()
            world.add_up([tensor])
        found.append((time.perf_counter() - begun) / repeats)
    return found


def _messages(result: Result) -> Callable[[float], float]:
    """Measure messages between two processes; return seconds by bytes."""
    seconds = in_ranks(2, _times_of)[0]
    rows = [[f"{m:g}", f"{1e3 * s:.2f}"] for m, s in zip(MEGABYTES, seconds, strict=True)]
    title = "**Adding up gradients of two processes over the loopback, nothing else running**"
    result.tables.append(table(["MB", "ms"], rows, title))
    sizes = [m * 2**20 for m in MEGABYTES]
    return lambda nbytes: float(np.interp(nbytes, sizes, seconds))


def _predicted(
    works: list[Work], seconds: dict[str, dict[str, float]], messages: Callable[[float], float]
) -> str:
    """Hold steps of half a batch plus a message against what two processes took."""
    rows = []
    for work in works:
        found, steps = seconds[work.name], -(-work.n_rows // work.batch)
        half = found["half"] / 2  # half of the rows, in batches of half the size
        predicted = half + steps * messages(work.nbytes)
        rows.append(
            [
                work.name,
                f"{1e3 * half / steps:.1f}",
                f"{1e3 * messages(work.nbytes):.1f}",
                f"{1e3 * predicted / steps:.1f}",
                f"{1e3 * found['two'] / steps:.1f}",
                f"{predicted / found['two']:.2f}",
            ]
        )
    header = ["ms a step", "half a batch, alone", "message", "predicted for two", "measured"]
    return table([*header, "predicted to measured"], rows, "**The plan, for two processes**")


def _plan(work: Work, seconds: dict[str, float], read: float) -> str:
    """What one epoch over a terabyte would take, if machines are as assumed."""
    step = seconds["one"] / work.n_rows * BATCH
    costs = Costs(step=step, read=read * BATCH, nbytes=work.nbytes)
    one = BATCH / max(costs.parts(1, BATCH).values())
    rows = []
    for n in RANKS:
        parts = costs.parts(n, BATCH)
        binding = max(parts, key=lambda name: parts[name])
        speed = n * BATCH / parts[binding]
        hours = TERABYTE / ROW_BYTES / speed / 3600
        shown = [f"{speed:,.0f}", f"{speed / n / one:.0%}", _hours(hours), f"{n * hours:.0f}"]
        rows.append([n, *shown, binding])
    header = ["processes", "rows/s", "of n times one", "epoch of 1 TB", "process-hours", "binding"]
    title = f"**The plan for 1 TB of Parquet, MLP of 1.1 million weights, {BATCH} rows a process**"
    return table(header, rows, title)


def _read_seconds(ds: Any) -> float:
    """Seconds of a row read and shuffled, without a module."""
    begun = time.perf_counter()
    for _ in ds.batches(1024, shuffle=True, num_workers=0):
        pass
    return (time.perf_counter() - begun) / len(ds)


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"
