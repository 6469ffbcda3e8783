"""From one epoch to the next, and workers that go through a million files again and again."""

import multiprocessing
import pickle
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import sklearnish as sn
from sklearnish.data import prepare_loader
from tests.benchmarks._harness import in_turn, one_thread
from tests.benchmarks._page import Bar, Result, table
from tests.benchmarks._parquet import Perceptron, write_parquet

ROWS, BATCH, GROUP = 10_000, 256, 2_000
EPOCHS = {"quick": 3, "default": 20, "full": 50}
FILES = {"quick": 200, "default": 10_000, "full": 100_000}
PASSES = {"quick": 3, "default": 4, "full": 6}
MANY = 1_000_000
BATCHES = -(-ROWS // BATCH)


class Clocked(Perceptron):
    """Notes when each batch went through."""

    times: ClassVar[list[float]] = []

    def forward(self, X: Tensor) -> Tensor:
        Clocked.times.append(time.perf_counter())
        return super().forward(X)


class Work:
    """Rows in arrays and in a file, and who goes through them; the longest turns are kept."""

    def __init__(self, folder: Path, epochs: int) -> None:
        self.epochs = epochs
        self.parquet = sn.scan_parquet(write_parquet(folder / "f.parquet", ROWS, GROUP), target="y")
        X, y, _ = self.parquet.read(np.arange(ROWS))
        self.X, self.y = X, y
        self.longest: dict[str, float] = {}

    def contenders(self) -> dict[str, Any]:
        """By what they are called; each returns the median turn."""
        arrays = sn.as_dataset(self.X.numpy(), self.y.numpy())
        made = {
            "ours, arrays": partial(self.ours, arrays, "auto"),
            "ours, Parquet": partial(self.ours, self.parquet, "auto"),
            "ours, Parquet, 2 workers": partial(self.ours, self.parquet, 2),
            "`fit`, arrays": partial(self.fit, arrays),
            "`fit`, Parquet": partial(self.fit, self.parquet),
            "`DataLoader`, 0 workers": partial(self.data_loader, 0, False),
            "`DataLoader`, 2 persistent workers": partial(self.data_loader, 2, True),
            "`DataLoader`, 2 workers": partial(self.data_loader, 2, False),
        }
        return {name: partial(self._kept, name, run) for name, run in made.items()}

    def _kept(self, name: str, run: Any) -> float:
        turns = run()
        self.longest[name] = max(*turns, self.longest.get(name, 0))
        return statistics.median(turns)

    def ours(self, ds: sn.Dataset, num_workers: Any) -> list[float]:
        with prepare_loader(
            ds, batch_size=BATCH, epochs=self.epochs, num_workers=num_workers
        ) as loader:
            return self._turns(((b.X, b.y) for b in loader) for _ in range(self.epochs))

    def data_loader(self, num_workers: int, persistent: bool) -> list[float]:
        loader = DataLoader(
            TensorDataset(self.X, self.y),
            batch_size=BATCH,
            shuffle=True,
            num_workers=num_workers,
            persistent_workers=persistent,
        )
        return self._turns(loader for _ in range(self.epochs))

    def _turns(self, epochs: Iterable[Iterable[Any]]) -> list[float]:
        """Seconds from the end of an epoch's last step to the next epoch's first batch."""
        torch.manual_seed(0)
        module = Perceptron()
        optimizer = torch.optim.Adam(module.parameters(), fused=True)
        turns, ended = [], 0.0
        for batches in epochs:
            for number, (X, y) in enumerate(batches):
                if number == 0:
                    turns.append(time.perf_counter() - ended)
                loss = torch.nn.functional.cross_entropy(module(X), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                ended = time.perf_counter()
        return turns[1:]

    def fit(self, ds: sn.Dataset) -> list[float]:
        """By how much the step across the end of an epoch is longer than other steps."""
        clf = sn.TorchClassifier(
            Clocked, batch_size=BATCH, max_epochs=self.epochs, num_threads=1, random_state=0
        )
        Clocked.times.clear()
        clf.fit(ds, ds.target)
        steps = [b - a for a, b in pairwise(Clocked.times[-self.epochs * BATCHES :])]
        turns = steps[BATCHES - 1 :: BATCHES]
        usual = statistics.median(steps)
        return [max(0.0, turn - usual) for turn in turns]


def run(size: str) -> Result:
    epochs, n_files = EPOCHS[size], FILES[size]
    result = Result(
        f"{ROWS:,} x 64 float32 for {epochs} epochs, batch {BATCH}: from the end of the last step "
        "of an epoch to the first batch of the next. Within `fit`: how much longer the step "
        "across the end of an epoch takes than a usual one, history and report included. Below, "
        f"{n_files:,} small JPEG files in a folder per class."
    )
    with tempfile.TemporaryDirectory() as folder, one_thread():
        _measure_turns(result, Work(Path(folder), epochs), 1 if size == "quick" else 3)
        _measure_workers(result, Path(folder), epochs)
        _measure_files(result, Path(folder, "files"), n_files, PASSES[size])
    return result


def _measure_turns(result: Result, work: Work, pairs: int) -> None:
    rows = []
    for name, samples in in_turn(work.contenders(), pairs).items():
        turn = 1e3 * statistics.median(sample.seconds for sample in samples)
        rows.append([name, f"{turn:.2f}", f"{1e3 * work.longest[name]:.2f}"])
        if not name.startswith("`DataLoader`"):
            text = f"{name}, milliseconds from one epoch to the next"
            result.bars.append(Bar(text, turn, f"{turn:.2f}", at_most=5))
    header = ["", "ms, median", "ms, longest of all"]
    result.tables.append(table(header, rows, "**from one epoch to the next**"))


def _measure_workers(result: Result, folder: Path, epochs: int) -> None:
    ds = sn.scan_parquet(folder / "f.parquet", target="y")
    _add_memory(result, f"Parquet, {epochs} epochs", ds, epochs)


def _measure_files(result: Result, folder: Path, n_files: int, passes: int) -> None:
    """What a manifest costs, and what becomes of it in workers."""
    _write_files(folder, n_files)
    before, begun = memory_of("self")["Private_Dirty"], time.perf_counter()
    ds = sn.scan_images(folder, size=8)
    seconds = (time.perf_counter() - begun) / n_files
    n_bytes = (memory_of("self")["Private_Dirty"] - before) * 1e6 / n_files
    sent = len(pickle.dumps(ds)) / n_files
    result.notes.append(
        f"The manifest of {n_files:,} files: {1e6 * seconds:.1f} us, {n_bytes:.0f} bytes of memory "
        f"and {sent:.0f} bytes sent to a worker per file. So {MANY:,} files take "
        f"{MANY * seconds:.0f} s, {MANY * n_bytes / 1e6:.0f} MB, and at most "
        f"{MANY * sent / 1e6:.0f} MB in each worker."
    )
    _add_memory(result, f"{n_files:,} files, {passes} epochs", ds, passes)


def _write_files(folder: Path, n_files: int) -> None:
    """Write small random images, ten of them again and again."""
    rng = np.random.default_rng(0)
    for label in range(10):
        own = folder / f"class {label}"
        own.mkdir(parents=True)
        Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8)).save(own / "0.jpg")
        data = (own / "0.jpg").read_bytes()
        for i in range(1, n_files // 10):
            (own / f"{i}.jpg").write_bytes(data)


def _add_memory(result: Result, title: str, ds: sn.Dataset, epochs: int) -> None:
    """Compare the memory of both workers after the second and the last epoch."""
    lines = list(_worker_memory(ds, epochs))
    early, late = lines[1], lines[-1]
    kinds = {"Anonymous": "resident", "Private_Dirty": "its own"}
    rows = [
        [f"worker {number}, {name}", f"{early[number][kind]:.1f}", f"{late[number][kind]:.1f}"]
        for number in range(2)
        for kind, name in kinds.items()
    ]
    header = ["MB", "after epoch 2", "after the last"]
    result.tables.append(table(header, rows, f"**memory of workers: {title}**"))
    grown = max(late[i][kind] - early[i][kind] for i in range(2) for kind in kinds)
    text = f"{title}, MB that a worker grows after its second epoch"
    result.bars.append(Bar(text, grown, f"{grown:.1f}", at_most=2))


def _worker_memory(ds: sn.Dataset, epochs: int) -> Iterator[list[dict[str, float]]]:
    """After each epoch, the memory of each worker."""
    # There are more epochs to come, so that no worker ends.
    with prepare_loader(ds, batch_size=BATCH, epochs=epochs + 3, num_workers=2) as loader:
        for _ in range(epochs):
            for _ in loader:
                pass
            workers = sorted(process.pid or 0 for process in multiprocessing.active_children())
            yield [memory_of(pid) for pid in workers]


def memory_of(process: Any) -> dict[str, float]:
    """Megabytes: anonymous pages, and those shared with no other process."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
