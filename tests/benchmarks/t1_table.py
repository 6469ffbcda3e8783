"""A table of numbers, texts and dates in Parquet: learned, encoded, and trained on for an epoch."""

import tempfile
import time
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

import sklearnish as sn
from sklearnish.data import read_frames
from sklearnish.modules import TableModule
from sklearnish.preprocessing import TableEncoder
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
    seconds_of,
)
from tests.benchmarks._page import Bar, Result, table

BATCH, GROUP = 1024, 65_536
NUMBERS = [f"x{j}" for j in range(10)]
LEVELS = {f"c{j}": n for j, n in enumerate((4, 12, 30, 60, 100))}
DATES = ("opened", "closed")
CYCLES = ("month", "day", "weekday", "hour")
ROWS = {"quick": 20_000, "default": 200_000, "full": 2_000_000}
READ, LEARN = "`pyarrow` reads the columns", "`TableEncoder.fit`"
ENCODE = "read and encoded"
OURS, HAND = "`TorchClassifier(TableModule)`", "pandas and torch by hand"
WHOLE = "`TabularClassifier`, its encoder included"


class Work:
    """One file, and who reads it and trains on it."""

    def __init__(self, folder: str, n_rows: int) -> None:
        self.path = Path(folder, "rows.parquet")
        _write(self.path, n_rows)
        self.ds = sn.scan_parquet(self.path, target="y")
        self.encoder = TableEncoder(one_hot=False).fit(self.ds)

    @cached_property
    def params(self) -> dict[str, Any]:
        layout = self.encoder.layout_
        sizes = {"numbers": layout.numbers, "indicators": layout.indicators}
        return {"task": "classes", "categories": layout.categories, **sizes}

    def read(self) -> float:
        """Seconds of reading alone."""
        begun = time.perf_counter()
        for _ in self._tables(["y"]):
            pass
        return time.perf_counter() - begun

    def encode(self) -> float:
        """Seconds of reading and encoding."""
        begun = time.perf_counter()
        for frame, _ in read_frames(self.ds):
            self.encoder.encode(frame)
        return time.perf_counter() - begun

    def learn(self) -> float:
        begun = time.perf_counter()
        TableEncoder(one_hot=False).fit(self.ds)
        return time.perf_counter() - begun

    def ours(self) -> float:
        """Seconds of a fit of one epoch, with the encoder known."""
        begun = time.perf_counter()
        clf = sn.TorchClassifier(
            TableModule,
            module_params=self.params,
            batch_size=BATCH,
            max_epochs=1,
            random_state=0,
        )
        clf.fit(self.encoder.transform(self.ds), self.ds.target)
        return time.perf_counter() - begun

    def whole(self) -> float:
        begun = time.perf_counter()
        clf = sn.TabularClassifier(
            batch_size=BATCH, max_epochs=1, early_stopping=False, random_state=0
        )
        clf.fit(self.ds, self.ds.target)
        return time.perf_counter() - begun

    def by_hand(self, threaded: bool) -> float:
        """The same as a pandas user writes it: row groups, known levels and knots, a loop."""
        begun = time.perf_counter()
        torch.manual_seed(0)
        width = 10 + len(LEVELS) + 10 * len(DATES)
        module = TableModule(width, 2, **self.params)
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
        criterion, losses = torch.nn.CrossEntropyLoss(), []
        for X, y in ahead(self._shuffled()) if threaded else self._shuffled():
            outputs = module(X)
            members = outputs.shape[1]
            loss = criterion(outputs.flatten(0, 1), y.repeat_interleave(members))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        assert torch.isfinite(torch.stack(losses).mean())
        return time.perf_counter() - begun

    def _tables(self, more: list[str]) -> Iterator[pa.Table]:
        columns = [*NUMBERS, *LEVELS, *DATES, *more]
        with pq.ParquetFile(self.path, read_dictionary=list(LEVELS)) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns, use_threads=False)

    def _shuffled(self) -> Iterator[tuple[Tensor, Tensor]]:
        for read in self._tables(["y"]):
            frame = read.to_pandas()
            X, y = torch.from_numpy(self._matrix(frame)), torch.tensor(frame["y"].to_numpy())
            for rows in torch.randperm(len(X)).split(BATCH):
                yield X[rows], y[rows]

    def _matrix(self, frame: pd.DataFrame) -> npt.NDArray[np.float32]:
        """Write the columns in the order that the encoder has them in."""
        out = np.empty((len(frame), 10 + len(LEVELS) + 10 * len(DATES)), np.float32)
        learned, j = self.encoder.columns_, 0
        for name in NUMBERS:
            out[:, j] = np.interp(frame[name], learned[name].knots, learned[name].scores)
            j += 1
        for name in LEVELS:
            levels = list(learned[name].levels)
            out[:, j] = frame[name].cat.set_categories(levels).cat.codes + 1
            j += 1
        for name in DATES:
            j = self._write_date(frame[name].dt, learned[name], out, j)
        return out

    def _write_date(self, date: Any, learned: Any, out: Any, j: int) -> int:
        seconds = date.as_unit("s").astype("int64")
        out[:, j] = np.interp(seconds, learned.elapsed.knots, learned.elapsed.scores)
        out[:, j + 1] = np.interp(date.year, learned.year.knots, learned.year.scores)
        phases = {"month": (date.dayofyear - 1) / 366, "day": (date.day - 1) / 31}
        phases |= {"weekday": date.weekday / 7, "hour": (date.hour * 60 + date.minute) / 1440}
        for i, name in enumerate(CYCLES):
            angle = 2 * np.pi * phases[name].to_numpy()
            out[:, j + 2 + 2 * i], out[:, j + 3 + 2 * i] = np.sin(angle), np.cos(angle)
        return j + 10


def _write(path: Path, n_rows: int) -> None:
    """Write random columns, and labels that depend on some of them."""
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {name: rng.standard_normal(n_rows) for name in NUMBERS}
    codes = {name: rng.integers(n, size=n_rows) for name, n in LEVELS.items()}
    for name, n in LEVELS.items():
        columns[name] = np.array([f"word {i}" for i in range(n)])[codes[name]]
    for name in DATES:
        seconds = rng.integers(1_500_000_000, 1_700_000_000, size=n_rows)
        columns[name] = seconds.astype("datetime64[s]")
    score = columns["x0"] + columns["x1"] + (codes["c1"] % 3 - 1)
    columns["y"] = (score > rng.logistic(size=n_rows)).astype(np.int64)
    pq.write_table(pa.table(columns), path, row_group_size=GROUP)


def run(size: str) -> Result:
    pairs = 1 if size == "quick" else PAIRS
    result = Result(
        f"A Parquet file of {ROWS[size]:,} rows with {len(NUMBERS)} float64, {len(LEVELS)} texts "
        f"of {min(LEVELS.values())} to {max(LEVELS.values())} values and {len(DATES)} timestamps, "
        f"in row groups of {GROUP:,}. The encoder is known to both fits of one epoch (batch "
        f"{BATCH}, fused Adam, the same `TableModule`, one torch thread); by hand, the columns are "
        "encoded by `np.interp`, `cat.codes` and `.dt`, and rows are shuffled within a row group."
    )
    with tempfile.TemporaryDirectory() as folder, one_thread():
        work = Work(folder, ROWS[size])
        passes = {ENCODE: work.encode, READ: work.read, LEARN: work.learn}
        reads = in_turn(passes, pairs)
        grid = {"a thread": partial(work.by_hand, True), "inline": partial(work.by_hand, False)}
        best = "inline" if size == "quick" else best_of(grid)
        fits: dict[str, Contender] = {OURS: work.ours, HAND: grid[best], WHOLE: work.whole}
        trained = in_turn(fits, pairs)
    result.tables = [_table(reads, ENCODE, ROWS[size]), _table(trained, OURS, ROWS[size])]
    result.bars = [
        _bar("rows/s of encoding, of pyarrow's reading", reads[READ], reads[ENCODE], at_least=0.7),
        _bar("time of a fit, of the one by hand", trained[OURS], trained[HAND], at_most=1.15),
    ]
    result.notes.append(f"By hand, rows are read ahead in: {best}.")
    return result


def _bar(text: str, one: list[Sample], other: list[Sample], **limit: float) -> Bar:
    ratio = Ratio.of(seconds_of(one), seconds_of(other))
    return Bar(text, ratio.median, str(ratio), **limit)


def _table(samples: dict[str, list[Sample]], first: str, n_rows: int) -> str:
    rows = []
    for name, own in samples.items():
        seconds = median(own, "seconds")
        ratio = Ratio.of(seconds_of(samples[first]), seconds_of(own)) if name != first else ""
        figures = [f"{seconds:.2f}", f"{n_rows / seconds:,.0f}", ratio]
        rows.append([name, *figures, f"{median(own, 'cpu'):.2f}", f"{median(own, 'peak_mb'):.0f}"])
    return table(["", "s", "rows a second", f"{first} to it", "CPU s", "peak MB more"], rows)
