"""Files in the order of their labels: what a model learns from them, and what mixing costs."""

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

import sklearnish as sn
from sklearnish.data import prepare_loader
from tests.benchmarks._harness import in_turn, median, one_thread, own_caches
from tests.benchmarks._page import Bar, Result, table

N_FEATURES, N_CLASSES, BATCH, LR, TEST_ROWS = 16, 10, 256, 1e-3, 50_000
ROWS = {"quick": 2**14, "default": 2**18, "full": 2**21}
MEMORY = {"quick": 2**18, "default": 2**22, "full": 2**24}
WINDOW_SHARE = 8  # of shuffle_memory, what is mixed at a time
SEEDS = {"quick": 2, "default": 5, "full": 5}
OURS, NONE = "`shuffle`, the default", "no shuffle"
SLIDING, FULL = "sliding window", "full shuffle in memory"
NAMES = [f"x{j}" for j in range(N_FEATURES)]

Array = npt.NDArray[Any]
Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Task:
    """A problem whose rows are in the order of the file, and rows to test on."""

    X: Array
    y: Array
    X_test: Tensor
    y_test: Tensor

    @classmethod
    def draw(cls, n_rows: int, *, regression: bool, in_order: bool) -> "Task":
        rng = np.random.default_rng(0)
        X = rng.standard_normal((n_rows + TEST_ROWS, N_FEATURES), dtype=np.float32)
        scores = np.tanh(X @ rng.standard_normal((N_FEATURES, 32)) / 2)
        scores = scores @ rng.standard_normal((32, 1 if regression else N_CLASSES)) / 2
        if regression:
            y = (scores[:, 0] + rng.normal(size=len(X))).astype(np.float32)
        else:
            y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
        rows = np.argsort(y[:n_rows], kind="stable") if in_order else np.arange(n_rows)
        return cls(X[rows], y[rows], torch.from_numpy(X[n_rows:]), torch.from_numpy(y[n_rows:]))

    @property
    def regression(self) -> bool:
        return self.y.dtype.kind == "f"

    def train(self, batches: Batches, seed: int) -> tuple[float, float]:
        """Train on an epoch of batches; return the loss on the test rows, and the entropy."""
        torch.manual_seed(seed)
        outputs = 1 if self.regression else N_CLASSES
        module = nn.Sequential(nn.Linear(N_FEATURES, 64), nn.ReLU(), nn.Linear(64, outputs))
        optimizer = torch.optim.Adam(module.parameters(), lr=LR, fused=True)
        criterion = nn.MSELoss() if self.regression else nn.CrossEntropyLoss()
        entropies = []
        for X, y in batches:
            loss = criterion(module(X).squeeze(1), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            entropies.append(self._entropy(y))
        with torch.no_grad():
            test_loss = criterion(module(self.X_test).squeeze(1), self.y_test)
        return test_loss.item(), statistics.fmean(entropies)

    def _entropy(self, y: Tensor) -> float:
        """Bits of the classes, or of the tenths of a target, in a batch."""
        shares = torch.bincount(torch.bucketize(y, self._borders), minlength=10) / len(y)
        return torch.special.entr(shares).sum().item() / np.log(2)

    @cached_property
    def _borders(self) -> Tensor:
        """What parts the classes or the tenths of the target."""
        if not self.regression:
            return torch.arange(N_CLASSES - 1)
        return torch.quantile(self.y_test, torch.arange(1, 10) / 10)


class Ways:
    """The ways to go through a file once."""

    def __init__(self, ds: sn.Dataset, task: Task, memory: int) -> None:
        self.ds, self.memory = ds, memory
        self.arrays = torch.from_numpy(task.X), torch.from_numpy(task.y)
        self.all: dict[str, Callable[[int], Batches]] = {
            OURS: self.ours,
            NONE: partial(self.ours, sampler="sequential"),
            SLIDING: self.sliding,
            FULL: self.full,
        }

    def ours(self, seed: int, sampler: str = "shuffle") -> Batches:
        settings = {"batch_size": BATCH, "seed": seed, "shuffle_memory": self.memory}
        with prepare_loader(self.ds, sampler=sampler, **settings) as loader:
            for batch in loader:
                yield batch.X, batch.y

    def sliding(self, seed: int) -> Batches:
        """tf.data's ``shuffle``, a batch at a time: random rows leave, the next take their place.

        The buffer has all of the memory, of which our windows have an eighth at a time.
        """
        rng = np.random.default_rng(seed)
        batches = self.ours(seed, "sequential")
        n_held = self.memory // (4 * N_FEATURES)
        X, y = self._gather(batches, n_held)
        for X_next, y_next in batches:
            rows = torch.from_numpy(rng.choice(len(X), len(X_next), replace=False, shuffle=False))
            yield X[rows], y[rows]
            X[rows], y[rows] = X_next, y_next
        order = torch.from_numpy(rng.permutation(len(X)))
        yield from zip(X[order].split(BATCH), y[order].split(BATCH), strict=True)

    def _gather(self, batches: Batches, n_rows: int) -> tuple[Tensor, Tensor]:
        """Fill a buffer."""
        held = [pair for pair, _ in zip(batches, range(n_rows // BATCH), strict=False)]
        return torch.cat([X for X, _ in held]), torch.cat([y for _, y in held])

    def full(self, seed: int) -> Batches:
        X, y = self.arrays
        for rows in torch.from_numpy(np.random.default_rng(seed).permutation(len(X))).split(BATCH):
            yield X[rows], y[rows]

    def read(self, name: str) -> float:
        """Seconds to go through the file without training."""
        begun = time.perf_counter()
        for _ in self.all[name](0):
            pass
        return time.perf_counter() - begun


def files(folder: Path, n_rows: int, memory: int) -> Iterator[tuple[str, sn.Dataset, Task]]:
    """One file at a time, in the formats that are read in blocks."""
    group = memory // WINDOW_SHARE // (4 * N_FEATURES) // 2
    task = Task.draw(n_rows, regression=False, in_order=False)
    yield "Parquet in random order", _parquet(folder / "random.parquet", task, group), task
    task = Task.draw(n_rows, regression=True, in_order=True)
    yield "Parquet sorted by its target", _parquet(folder / "target.parquet", task, group), task
    task = Task.draw(n_rows, regression=False, in_order=True)
    yield "Parquet sorted by label", _parquet(folder / "label.parquet", task, group), task
    np.save(folder / "X.npy", task.X)
    yield ".npy sorted by label", sn.scan_npy(folder / "X.npy", target=task.y), task
    pacsv.write_csv(_table_of(task), folder / "label.csv")
    yield "CSV sorted by label", sn.scan_csv(folder / "label.csv", target="y"), task


def _parquet(path: Path, task: Task, group: int) -> sn.Dataset:
    pq.write_table(_table_of(task), path, row_group_size=group)
    return sn.scan_parquet(path, target="y")


def _table_of(task: Task) -> pa.Table:
    return pa.table([*task.X.T.copy(), task.y], names=[*NAMES, "y"])


def run(size: str) -> Result:
    n_rows, memory, seeds = ROWS[size], MEMORY[size], range(SEEDS[size])
    window = memory // WINDOW_SHARE // (4 * N_FEATURES)
    result = Result(
        f"{n_rows:,} x {N_FEATURES} float32 in files, {N_CLASSES} classes or a number as the "
        f"target; one epoch, batch {BATCH}, 64 hidden units, fused Adam, {len(seeds)} seeds (the "
        "same for all ways, and so the first weights). The file is "
        f"{n_rows // window} times as large as a window of ours ({window:,} rows) and "
        f"{n_rows // window / WINDOW_SHARE:g} times as large as `shuffle_memory`, which is what "
        "the buffer of the sliding window has. Loss on rows in no file, mean and standard error; "
        "bits of the labels (or tenths of the target) in a batch, of at most 3.32; rows a second "
        "without training."
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        own_caches(folder),
        one_thread(),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", ".* is sorted or grouped by label")
        for title, ds, task in files(Path(folder), n_rows, memory):
            print(f"  {title}", flush=True)
            _measure(result, title, Ways(ds, task, memory), task, seeds)
    return result


def _measure(result: Result, title: str, ways: Ways, task: Task, seeds: Iterable[int]) -> None:
    first = ways.read(OURS)  # makes the copy, if there is one
    found = {
        name: [task.train(way(seed), seed) for seed in seeds] for name, way in ways.all.items()
    }
    readers = {name: partial(ways.read, name) for name in ways.all}
    seconds = {name: median(own, "seconds") for name, own in in_turn(readers, 3).items()}
    rows = []
    for name, runs in found.items():
        loss, error = _mean(loss for loss, _ in runs)
        bits, _ = _mean(bits for _, bits in runs)
        speed = f"{len(task.y) / seconds[name]:,.0f}"
        rows.append([name, f"{loss:.4f} +- {error:.4f}", f"{bits:.3f}", speed])
    header = ["", "test loss", "bits a batch", "rows a second"]
    result.tables.append(table(header, rows, f"**{title}**"))
    result.notes.append(f"{title}: the first epoch of ours took {first:.2f} s, a copy included.")
    (ours, _), (full, error) = (_mean(loss for loss, _ in found[name]) for name in (OURS, FULL))
    result.bars.append(
        Bar(
            f"{title}, test loss above that of a full shuffle, in its standard errors",
            (ours - full) / error,
            f"{(ours - full) / error:.2f}",
            at_most=1,
        )
    )


def _mean(values: Iterable[float]) -> tuple[float, float]:
    """Mean and its standard error."""
    numbers = list(values)
    return statistics.fmean(numbers), statistics.stdev(numbers) / len(numbers) ** 0.5
