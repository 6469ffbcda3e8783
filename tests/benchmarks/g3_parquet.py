"""A shuffled Parquet file to the device, beside the slowest of the steps on the way."""

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import sklearnish as sn
from tests.benchmarks._gpu import Stepper, copy_seconds, device, finished, not_measured
from tests.benchmarks._harness import PAIRS, Ratio, in_turn, median, seconds_of
from tests.benchmarks._page import Result, table
from tests.benchmarks._parquet import N_FEATURES, PIECE, HandLoop, Perceptron, write_parquet

BATCH = 8_192
ROWS = {"quick": 2 * PIECE, "default": 16 * PIECE, "full": 64 * PIECE}
EPOCHS = {"quick": 1, "default": 3, "full": 3}
OURS = "`TorchClassifier`"
DISK, DECODE = "disk: the bytes of the file, from the page cache", "decode: by all cores, perfectly"
COPY, COMPUTE = "copy: from page-locked memory", "compute: the step on one batch"


class Work:
    """One file; every contender returns the seconds that it needs for all rows."""

    def __init__(self, path: Path, n_rows: int, epochs: int) -> None:
        self.path, self.n_rows, self.epochs = path, n_rows, epochs

    def ours(self) -> float:
        ds = sn.scan_parquet(self.path, target="y")
        clf = sn.TorchClassifier(
            Perceptron,
            batch_size=BATCH,
            max_epochs=self.epochs,
            device=str(device()),
            random_state=0,
        )
        clf.fit(ds, ds.target)
        return statistics.median(epoch["dur"] for epoch in clf.history_)

    def disk(self) -> float:
        begun = time.perf_counter()
        with self.path.open("rb", buffering=0) as file:
            while file.read(2**24):
                pass
        return time.perf_counter() - begun

    def decode(self) -> float:
        """CPU seconds of the hand-tuned loop, shared by the cores."""
        begun = time.process_time()
        rows = sum(len(X) for X, _ in HandLoop(self.path).batches(BATCH, np.random.default_rng(0)))
        assert rows == self.n_rows
        return (time.process_time() - begun) / len(os.sched_getaffinity(0))

    def copy(self) -> float:
        return copy_seconds(BATCH * (4 * N_FEATURES + 8), self.n_rows // BATCH)

    def compute(self) -> float:
        torch.manual_seed(0)
        X = torch.randn(BATCH, N_FEATURES, device=device())
        y = (X[:, 0] > 0).long()
        return Stepper(Perceptron()).epoch((X, y) for _ in range(self.n_rows // BATCH))


def run(size: str) -> Result:
    n_rows = ROWS[size]
    work = (
        f"{n_rows:,} x {N_FEATURES} float32 in Parquet, row groups of {PIECE:,}, shuffled, batch "
        f"{BATCH:,}, a module of 32 hidden units; seconds that all rows take, and ours (median of "
        f"{EPOCHS[size]} epochs) beside the slowest of what cannot be left out."
    )
    if none := not_measured(work, size):
        return none
    with tempfile.TemporaryDirectory() as folder:
        path = write_parquet(Path(folder, "rows.parquet"), n_rows)
        cell = Work(path, n_rows, EPOCHS[size])
        limits = {DISK: cell.disk, DECODE: cell.decode, COPY: cell.copy, COMPUTE: cell.compute}
        samples = in_turn({OURS: cell.ours, **limits}, 1 if size == "quick" else PAIRS)
    seconds = {name: median(own, "seconds") for name, own in samples.items()}
    slowest = max(limits, key=lambda name: seconds[name])
    share = Ratio.of(seconds_of(samples[slowest]), seconds_of(samples[OURS]))
    rows = [[name, f"{s:.3f}", f"{n_rows / s:,.0f}"] for name, s in seconds.items()]
    return finished(
        Result(
            work,
            [table(["", "s", "rows a second"], rows)],
            notes=[f"Speed of the slowest, '{slowest}', that is reached: {share}."],
        )
    )
