"""A CSV file; the first epoch parses it and trains, later ones read what was parsed."""

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import torch
from torch import Tensor, nn

import sklearnish as sn
from sklearnish.data._files.conversion import cache_folder
from tests.benchmarks._harness import (
    PAIRS,
    Contender,
    Ratio,
    Sample,
    ahead,
    best_of,
    in_turn,
    median,
    one_thread,
    own_caches,
    seconds_of,
)
from tests.benchmarks._page import Bar, Result, table
from tests.benchmarks._parquet import Trainer

BATCH, N_FEATURES, PIECE = 1024, 20, 2**16
NAMES = [f"x{j}" for j in range(N_FEATURES)]
TYPES = dict.fromkeys(NAMES, pa.float64()) | {"y": pa.int64()}
ROWS = {"quick": 10_000, "default": 500_000, "full": 5_000_000}
OURS, AGAIN = "`TorchClassifier`, file never seen", "`TorchClassifier`, second epoch"
CONVERSION, SCAN = "our conversion alone", "`pyarrow.csv` scan alone"
LIMIT, BESIDE = "scan, then the same step, not shuffled", "the same, the scan in a thread"
LOOP, PANDAS = "hand-made pyarrow loop, shuffled by blocks", "pandas chunks, shuffled by chunks"
CACHED = "the converted file in its order, hand-written loop"


class Perceptron(nn.Module):
    """A light module: parsing is what is measured."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(N_FEATURES, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, X: Tensor) -> Tensor:
        return self.layers(X)


class Work:
    """One file, and who trains on it; a contender returns the seconds of one epoch."""

    def __init__(self, folder: str, n_rows: int) -> None:
        self.path = Path(folder, "rows.csv")
        _write(self.path, n_rows)
        self.gb = self.path.stat().st_size / 1e9

    def ours(self) -> float:
        """From the path to the end of the first epoch; nothing was kept from before."""
        shutil.rmtree(cache_folder(), ignore_errors=True)
        begun = time.perf_counter()
        self._fit(1)
        return time.perf_counter() - begun

    def conversion(self) -> float:
        shutil.rmtree(cache_folder(), ignore_errors=True)
        begun = time.perf_counter()
        sn.scan_csv(self.path, target="y")
        return time.perf_counter() - begun

    def again(self) -> float:
        return float(self._fit(2).history_[1]["dur"])

    def _fit(self, epochs: int) -> Any:
        ds = sn.scan_csv(self.path, target="y")
        clf = sn.TorchClassifier(Perceptron, batch_size=BATCH, max_epochs=epochs, random_state=0)
        return clf.fit(ds, ds.target)

    def scan(self, block: int) -> float:
        begun = time.perf_counter()
        for _ in self._blocks(block):
            pass
        return time.perf_counter() - begun

    def scan_and_step(self, block: int, threaded: bool) -> float:
        return self._train(map(tensors, self._blocks(block)), threaded)

    def loop(self, block: int, threaded: bool) -> float:
        return self._train(map(_shuffled, self._blocks(block)), threaded)

    def pandas(self, chunk: int, threaded: bool) -> float:
        with pd.read_csv(self.path, chunksize=chunk) as chunks:
            pieces = (
                (frame[NAMES].to_numpy(np.float32), frame["y"].to_numpy()) for frame in chunks
            )
            return self._train(map(_shuffle, pieces), threaded)

    def cached(self, threaded: bool) -> float:
        """The limit of later epochs: what ours keeps, read from its beginning to its end."""
        path = next(cache_folder().glob("*.arrow"))
        with pa.memory_map(str(path)) as file:
            reader = pa.ipc.open_file(file)
            starts = range(0, reader.num_record_batches, 16)  # some megabytes at a time
            pieces = (_table_of(reader, start, start + 16) for start in starts)
            return self._train(map(tensors, pieces), threaded)

    def _blocks(self, block: int) -> Iterable[Any]:
        return pacsv.open_csv(
            self.path,
            read_options=pacsv.ReadOptions(block_size=block),
            convert_options=pacsv.ConvertOptions(column_types=TYPES),
        )

    def _train(self, pieces: Iterator[tuple[Tensor, Tensor]], threaded: bool) -> float:
        return Trainer(make=Perceptron).epoch(_cut(ahead(pieces) if threaded else pieces))


def _table_of(reader: Any, start: int, stop: int) -> Any:
    """Some record batches of an Arrow file."""
    numbers = range(start, min(stop, reader.num_record_batches))
    return pa.Table.from_batches(map(reader.get_batch, numbers))


def tensors(batch: Any) -> tuple[Tensor, Tensor]:
    """One row-major matrix, and the labels."""
    X = np.empty((len(batch), N_FEATURES), dtype=np.float32)
    for j, name in enumerate(NAMES):
        X[:, j] = batch[name].to_numpy()
    return torch.from_numpy(X), torch.from_numpy(batch["y"].to_numpy().copy())


def _shuffled(batch: Any) -> tuple[Tensor, Tensor]:
    X, y = tensors(batch)
    order = torch.randperm(len(X))
    return X[order], y[order]


def _shuffle(arrays: tuple[Any, Any]) -> tuple[Tensor, Tensor]:
    X, y = map(torch.tensor, arrays)
    order = torch.randperm(len(X))
    return X[order], y[order]


def _cut(pieces: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one size, across the borders of the pieces."""
    held: list[tuple[Tensor, Tensor]] = []
    n_rows = 0
    for piece in pieces:
        held.append(piece)
        n_rows += len(piece[0])
        if n_rows >= BATCH:
            X, y = (torch.cat(parts) for parts in zip(*held, strict=True))
            whole = n_rows - n_rows % BATCH
            yield from zip(X[:whole].split(BATCH), y[:whole].split(BATCH), strict=True)
            held, n_rows = [(X[whole:], y[whole:])], n_rows - whole
    if n_rows:
        X, y = (torch.cat(parts) for parts in zip(*held, strict=True))
        yield X, y


def _write(path: Path, n_rows: int) -> None:
    """Write random features, nine digits at most, and labels that depend on them."""
    rng = np.random.default_rng(0)
    schema = pa.schema([(name, pa.float32()) for name in NAMES] + [("y", pa.int64())])
    with pacsv.CSVWriter(path, schema) as writer:
        for start in range(0, n_rows, PIECE):
            X = rng.standard_normal((N_FEATURES, min(PIECE, n_rows - start)), dtype=np.float32)
            y = (X[:8].sum(axis=0) > rng.logistic(size=X.shape[1])).astype(np.int64)
            writer.write_table(pa.table([*map(pa.array, X), y], schema=schema))


def run(size: str) -> Result:
    with tempfile.TemporaryDirectory() as folder, own_caches(folder), one_thread():
        work = Work(folder, ROWS[size])
        result = Result(
            f"A CSV file of {work.gb:.2f} GB, {ROWS[size]:,} rows of {N_FEATURES} numbers and a "
            f"label, in the page cache; seconds of an epoch, batch {BATCH}, fused Adam, a module "
            "of 32 hidden units, one torch thread on all sides. The first epoch of ours finds the "
            "types, converts the file into the cache folder and forces it to the disk; the others "
            "are told the types, but for pandas. Ratios are ours to theirs: median of the pairs "
            "(least to most)."
        )
        for measure in (_first_epoch, _second_epoch):
            print(f"  {measure.__name__}", flush=True)
            measure(result, work, size)
    return result


def _first_epoch(result: Result, work: Work, size: str) -> None:
    quick = size == "quick"
    blocks = (2**20,) if quick else (2**20, 2**22)
    chunk = 2**14 if quick else 2**17
    settings = {f"{b >> 20} MiB, {_where(t)}": (b, t) for b, t in product(blocks, (False, True))}
    scan, beside = (_best(each(blocks, work.scan_and_step, t)) for t in (False, True))
    contenders: dict[str, Contender] = {
        OURS: work.ours,
        CONVERSION: work.conversion,
        SCAN: _best(each(blocks, work.scan)),
        LIMIT: scan,
        BESIDE: beside,
        LOOP: _best({name: partial(work.loop, *s) for name, s in settings.items()}),
        PANDAS: partial(work.pandas, chunk, True),
    }
    samples = in_turn(contenders, 1 if quick else 3 if size == "full" else PAIRS)
    result.tables.append(_table("first epoch", samples, ROWS[size]))
    result.bars += [
        _bar("first epoch", samples, OURS, LIMIT),
        _bar("conversion", samples, CONVERSION, SCAN),
    ]


def _second_epoch(result: Result, work: Work, size: str) -> None:
    limit = _best({_where(t): partial(work.cached, t) for t in (False, True)})
    samples = in_turn({AGAIN: work.again, CACHED: limit}, 1 if size == "quick" else PAIRS)
    result.tables.append(_table("second epoch", samples, ROWS[size]))
    result.bars.append(_bar("second epoch", samples, AGAIN, CACHED))


def _bar(what: str, samples: dict[str, list[Sample]], ours: str, limit: str) -> Bar:
    speed = Ratio.of(seconds_of(samples[limit]), seconds_of(samples[ours]))
    return Bar(f"{what}, speed of: {limit}", speed.median, str(speed), at_least=0.9)


def each(blocks: Iterable[int], run: Any, *settings: Any) -> dict[str, Contender]:
    return {f"{block >> 20} MiB": partial(run, block, *settings) for block in blocks}


def _best(candidates: dict[str, Contender]) -> Contender:
    return candidates[best_of(candidates)]


def _where(threaded: bool) -> str:
    return "read by a thread" if threaded else "inline"


def _table(title: str, samples: dict[str, list[Sample]], n_rows: int) -> str:
    names = list(samples)
    ours = seconds_of(samples[names[0]])
    rows = []
    for name, own in samples.items():
        seconds = median(own, "seconds")
        ratio = "" if name == names[0] else Ratio.of(ours, seconds_of(own))
        # Of the second epoch only the seconds are its own: the fit around it has two.
        cpu = f"{median(own, 'cpu') / n_rows * 1e6:.2f}" if title == "first epoch" else ""
        figures = [f"{seconds:.2f}", f"{n_rows / seconds:,.0f}", ratio, cpu]
        rows.append([name, *figures, f"{median(own, 'peak_mb'):.0f}"])
    header = ["", "s", "rows a second", "ours to it", "CPU us a row", "peak MB more"]
    return table(header, rows, f"**{title}**")
