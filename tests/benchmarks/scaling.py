"""The pieces of an epoch over 1 TB, each measured, and what they add up to."""

import gc
import os
import pickle
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sklearn.model_selection import StratifiedKFold

import sklearnish as sn
from sklearnish.data import Dataset, prepare_loader
from sklearnish.data._order.samplers import Order
from sklearnish.data._source import Field, Source
from tests.benchmarks._harness import one_thread
from tests.benchmarks._page import Result, table
from tests.benchmarks._parquet import N_FEATURES, PIECE, Trainer, write_parquet

ROWS = {"quick": 200_000, "default": 4_000_000, "full": 20_000_000}
FILE_ROWS = {"quick": 2 * PIECE, "default": 16 * PIECE, "full": 32 * PIECE}
BATCH, WINDOW, REPEATS = 1024, 2 * PIECE, 3

TERABYTE, ROW_BYTES, ROWS_PER_FILE = 10**12, 4 * N_FEATURES + 8, 64 * PIECE
"""What is extrapolated to: float32 features and an int64 label, files of about a gigabyte."""


class Blocks(Source):
    """Rows in row groups that are numbered and never read."""

    name = "blocks"

    def __init__(self, n_rows: int) -> None:
        self.blocks = np.append(np.arange(0, n_rows, PIECE), n_rows)
        self.n_rows = n_rows
        self.schema = {"X": Field("float32", (1,))}

    def read(self, rows: Any, columns: Any) -> dict[str, Any]:
        return {"X": np.zeros((len(rows), 1), np.float32)}


@dataclass(frozen=True)
class Cost:
    """Of one row: seconds, and bytes in use at the peak."""

    seconds: float
    nbytes: float
    numbers: bool = False  # whether the bytes are row numbers: twice as many from 2^31 rows on

    def row(self, name: str) -> list[str]:
        return [name, f"{self.seconds * 1e8:.2g}", f"{self.nbytes:.1f}"]

    def for_rows(self, n: float) -> list[str]:
        twice = 1 + (self.numbers and n > 2**31)
        return [_time(n * self.seconds), _bytes(n * self.nbytes * twice)]


def run(size: str) -> Result:
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        pieces = _pieces(ROWS[size])
        per_file, per_group, pickled = _footers(Path(folder), 2 if size == "quick" else 10)
        read, labels = _reading(Path(folder), FILE_ROWS[size], 1 if size == "quick" else REPEATS)
        step = _step(20 if size == "quick" else 1000)
    pieces["labels, read and held"] = labels
    rows = [cost.row(name) for name, cost in pieces.items()]
    rows += [["reading, one core", f"{read * 1e8:.3g}", ""], ["training", f"{step * 1e8:.3g}", ""]]
    result = Result(
        f"Order, folds and pickles over {ROWS[size]:,} rows in row groups of {PIECE:,}; reading "
        f"and training with {N_FEATURES} float32 features, batch {BATCH}, 32 hidden units, one "
        "core and one torch thread; the least of a few runs. Nothing is compared: these are the "
        "pieces of which [scaling](scaling.md) is made.",
        [table(["piece", "s for 10^8 rows", "bytes a row"], rows)],
    )
    result.notes.append(
        f"A footer costs {per_file * 1e3:.2g} ms for a file and {per_group * 1e6:.2g} us for each "
        f"of its row groups; {pickled:.2g} bytes of it are in a pickled view."
    )
    result.tables.append(_extrapolated(pieces, read, step, per_file, per_group, pickled))
    return result


def _extrapolated(
    pieces: dict[str, Cost],
    read: float,
    step: float,
    per_file: float,
    per_group: float,
    pickled: float,
) -> str:
    """One epoch over a terabyte, if each piece grows with the rows, files and row groups."""
    n = TERABYTE / ROW_BYTES
    files, groups = n / ROWS_PER_FILE, n / PIECE
    rows = [
        ["footers", _time(files * per_file + groups * per_group), _bytes(groups * pickled)],
        *([name, *cost.for_rows(n)] for name, cost in pieces.items()),
        ["reading, one core", _time(n * read), "`shuffle_memory`"],
        ["training", _time(n * step), "the module"],
    ]
    title = f"**1 TB: {n / 1e9:.1f} 10^9 rows, {files:,.0f} files, {groups:,.0f} row groups**"
    return table(["piece", "time", "memory"], rows, title)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bytes(number: float) -> str:
    return f"{number / 1e6:.0f} MB" if number < 1e9 else f"{number / 1e9:.0f} GB"


def _cost(n_rows: int, make: Callable[[int], Callable[[], object]], numbers: bool) -> Cost:
    """The least time of a few runs; memory from what twice the rows take more."""
    half, whole = make(n_rows // 2), make(n_rows)
    seconds = min(_seconds(whole) for _ in range(REPEATS))
    return Cost(seconds / n_rows, (_peak(whole) - _peak(half)) / (n_rows - n_rows // 2), numbers)


def _peak(work: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _pieces(n_rows: int) -> dict[str, Cost]:
    """What costs something for each row before one is read."""
    rng = np.random.default_rng(0)
    labels, weights = rng.integers(0, 10, n_rows), rng.random(n_rows)
    shuffled = rng.permutation(n_rows).astype(np.int32)

    def blocks(n: int) -> Dataset:
        return Dataset(Blocks(n), range(n)).with_weight(weights[:n])

    def fold(n: int) -> Dataset:
        rows = shuffled if n == n_rows else shuffled[shuffled < n]
        return Dataset(Blocks(n), rows)

    def arrays(n: int) -> Dataset:
        return sn.as_dataset(np.zeros((n, 1), np.float32))

    orders = {
        "order: blocks shuffled": (blocks, "shuffle"),
        "order: drawn by weight": (blocks, "weighted"),
        "order: a fold in disorder": (fold, "shuffle"),
        "order: an exact permutation (.npy, images)": (arrays, "shuffle"),
    }
    costs = {
        name: _cost(n_rows, lambda n, v=view, s=sampler: partial(_order, v(n), s), True)
        for name, (view, sampler) in orders.items()
    }
    costs["a fold, pickled"] = _cost(n_rows, lambda n: partial(pickle.dumps, fold(n)), True)
    costs["`StratifiedKFold`, one split"] = _cost(
        n_rows, lambda n: partial(_split, labels[:n]), False
    )
    return costs


def _order(ds: Dataset, sampler: str) -> None:
    for _ in Order(ds, sampler, 0, WINDOW).epoch(0):
        pass


def _split(labels: Any) -> None:
    next(StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels))


def _footers(folder: Path, n_files: int) -> tuple[float, float, float]:
    """Seconds of a file and of a row group, and bytes of a row group in a pickle."""
    few, many = (_small_files(folder / f"{g}", n_files, g) for g in (1, 65))
    for path in (few, many):
        sn.scan_parquet(path, target="y")  # into the page cache
    seconds = [
        min(_seconds(lambda p=path: sn.scan_parquet(p, target="y")) for _ in range(REPEATS))
        / n_files
        for path in (few, many)
    ]
    per_group = max(0.0, seconds[1] - seconds[0]) / 64
    sizes = [len(pickle.dumps(sn.scan_parquet(path, target="y"))) for path in (few, many)]
    return seconds[0] - per_group, per_group, (sizes[1] - sizes[0]) / (64 * n_files)


def _small_files(folder: Path, n_files: int, n_groups: int) -> str:
    folder.mkdir()
    X = np.random.default_rng(0).standard_normal((N_FEATURES, n_groups), dtype=np.float32)
    columns = {f"x{j}": column for j, column in enumerate(X)}
    rows = pa.table(columns | {"y": np.arange(n_groups)})
    for i in range(n_files):
        pq.write_table(rows, folder / f"{i}.parquet", row_group_size=1)
    return os.fspath(folder / "*.parquet")


def _reading(folder: Path, n_rows: int, repeats: int) -> tuple[float, Cost]:
    """Seconds of a row read and shuffled into batches by one core, and the cost of labels."""
    paths = {n: write_parquet(folder / f"{n}.parquet", n) for n in (n_rows // 2, n_rows)}

    def epoch() -> None:
        ds = sn.scan_parquet(paths[n_rows], target="y")
        with prepare_loader(ds, batch_size=BATCH, num_workers=0) as loader:
            assert sum(len(batch) for batch in loader) == n_rows

    seconds = min(_seconds(epoch) for _ in range(repeats))
    labels = _cost(n_rows, lambda n: lambda: sn.scan_parquet(paths[n], target="y").target, False)
    return seconds / n_rows, labels


def _step(n_steps: int) -> float:
    """Seconds of a row in the training step alone."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(8 * BATCH, N_FEATURES, generator=generator)
    y = (X[:, 0] > 0).long()

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            yield from zip(X.split(BATCH), y.split(BATCH), strict=True)

    trainer = Trainer()
    trainer.epoch(islice(batches(), 10))
    return trainer.epoch(islice(batches(), n_steps)) / (n_steps * BATCH)
