"""Predictions in the order of the rows, for arrays and Parquet, beside the best loop by hand."""

import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
from torch import Tensor

import sklearnish as sn
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
from tests.benchmarks._parquet import N_FEATURES, PIECE, HandLoop, Perceptron, write_parquet

ROWS = {"quick": PIECE, "default": 16 * PIECE, "full": 64 * PIECE}
BATCHES = (1024, 4096, 16_384)
OURS, HAND, FORWARD = "`predict_proba`", "loop by hand", "forward pass alone"


class Work:
    """A fitted classifier, a file, and who predicts for its rows."""

    def __init__(self, path: Path, n_rows: int) -> None:
        self.ds = sn.scan_parquet(write_parquet(path, n_rows), target="y")
        self.path = path
        part = self.ds[: min(n_rows, PIECE)]
        self.clf = sn.TorchClassifier(Perceptron, batch_size=1024, max_epochs=1, random_state=0)
        self.clf.fit(part, part.target)
        self.X = torch.cat(list(self._groups()))

    def ours(self, X: Any) -> float:
        """Seconds for all rows; the labels' names are looked up apart."""
        begun = time.perf_counter()
        self.answers = self.clf.predict_proba(X)
        return time.perf_counter() - begun

    def by_hand(self, from_file: bool, batch_size: int) -> float:
        """Slices, or row groups read ahead by a thread, into an array made beforehand."""
        begun = time.perf_counter()
        with torch.inference_mode():
            parts = ahead(self._groups()) if from_file else [self.X]
            self._predict(parts, batch_size)
        return time.perf_counter() - begun

    def _groups(self) -> Iterator[Tensor]:
        loop = HandLoop(self.path)
        with pq.ParquetFile(self.path) as file:
            for group in range(file.num_row_groups):
                yield loop._matrix(file.read_row_group(group, use_threads=False))

    def forward(self, batch_size: int) -> float:
        """The module over rows that are ready, its predictions dropped."""
        module = self.clf.module_
        begun = time.perf_counter()
        with torch.inference_mode():
            for rows in self.X.split(batch_size):
                module(rows).softmax(1)
        return time.perf_counter() - begun

    def _predict(self, parts: Iterable[Tensor], batch_size: int) -> npt.NDArray[np.float32]:
        module, out = self.clf.module_, torch.empty(len(self.X), 2)
        start = 0
        for part in parts:
            for rows in part.split(batch_size):
                out[start : start + len(rows)] = module(rows).softmax(1)
                start += len(rows)
        assert start == len(out)
        return out.numpy()

    def differing(self, from_file: bool) -> int:
        """Rows whose predictions are not those of the loop by hand."""
        with torch.inference_mode():
            expected = self._predict([self.X], BATCHES[0])
        found = self.clf.predict_proba(self.ds if from_file else self.X.numpy())
        return int((~np.isclose(found, expected, rtol=1e-4, atol=1e-6)).any(axis=1).sum())


def run(size: str) -> Result:
    n_rows = ROWS[size]
    result = Result(
        f"{n_rows:,} x {N_FEATURES} float32, as an array and in Parquet (row groups of {PIECE:,}, "
        "in the page cache); probabilities in the order of the rows, a module of 32 hidden units, "
        f"one torch thread. By hand and for the forward pass alone the best batch of {BATCHES}. "
        "The forward pass alone is given rows that are ready, in both cases: for Parquet, reading "
        "is what it leaves out. Only `predict_proba` looks for NaN and infinity in the rows."
    )
    with tempfile.TemporaryDirectory() as folder, one_thread():
        work = Work(Path(folder, "data.parquet"), n_rows)
        for title, from_file in (("array", False), ("Parquet", True)):
            print(f"  {title}", flush=True)
            X = work.ds if from_file else work.X.numpy()
            contenders: dict[str, Contender] = {
                OURS: partial(work.ours, X),
                HAND: _best(partial(work.by_hand, from_file)),
                FORWARD: _best(work.forward),
            }
            samples = in_turn(contenders, 1 if size == "quick" else PAIRS)
            result.tables.append(_table(title, samples, n_rows))
            result.bars += _bars(title, samples, from_file)
            differing = work.differing(from_file)
            text = f"{title}, rows whose predictions differ from the loop's"
            result.bars.append(Bar(text, differing, str(differing), at_most=0))
    return result


def _best(contender: Any) -> Contender:
    tried = {str(n): partial(contender, n) for n in BATCHES}
    return tried[best_of(tried)]


def _table(title: str, samples: dict[str, list[Sample]], n_rows: int) -> str:
    ours = seconds_of(samples[OURS])
    rows = []
    for name, own in samples.items():
        seconds = median(own, "seconds")
        ratio = "" if name == OURS else Ratio.of(ours, seconds_of(own))
        cpu = median(own, "cpu") / n_rows * 1e6
        figures = [f"{seconds:.3f}", f"{n_rows / seconds:,.0f}", ratio, f"{cpu:.2f}"]
        rows.append([name, *figures, f"{median(own, 'peak_mb'):.0f}"])
    header = ["", "s in all", "rows a second", "ours to it", "CPU us a row", "peak MB more"]
    return table(header, rows, f"**{title}**")


def _bars(title: str, samples: dict[str, list[Sample]], from_file: bool) -> list[Bar]:
    """Hold against the loop; rows that are ready are no limit for those that must be read."""
    bars = []
    for name in (HAND,) if from_file else (HAND, FORWARD):
        speed = Ratio.of(seconds_of(samples[name]), seconds_of(samples[OURS]))
        bars.append(Bar(f"{title}, speed of the {name}", speed.median, str(speed), at_least=0.95))
    return bars
