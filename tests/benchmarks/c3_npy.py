"""A .npy file larger than a window, shuffled, against slices of it in their order."""

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

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
from tests.benchmarks._parquet import N_FEATURES, Perceptron, Trainer

BATCH, PIECE = 1024, 2**16
ROWS = {"quick": PIECE, "default": 2_000_000, "full": 12_000_000}
OURS, SLICES = "`TorchClassifier`, shuffled", "slices in their order, hand-written loop"
RANDOM = "random memmap rows in a `DataLoader`"


class Rows:
    """What everybody writes around a memmap: a row, or the rows of a batch."""

    def __init__(self, work: "Work") -> None:
        self._X, self._y = work.maps()

    def __len__(self) -> int:
        return len(self._X)

    def __getitem__(self, rows: Any) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(np.array(self._X[rows])), torch.from_numpy(np.array(self._y[rows]))


class Work:
    """Two files, and who trains on them."""

    def __init__(self, folder: str, n_rows: int) -> None:
        self.files = Path(folder, "X.npy"), Path(folder, "y.npy")
        self.n_rows = n_rows
        _write(*self.files, n_rows)

    def maps(self) -> list[Any]:
        return [np.load(file, mmap_mode="r") for file in self.files]

    def ours(self) -> float:
        """Seconds of an epoch within fit."""
        ds = sn.scan_npy(self.files[0], target=self.files[1])
        clf = sn.TorchClassifier(Perceptron, batch_size=BATCH, max_epochs=1, random_state=0)
        clf.fit(ds, ds.target)
        return float(clf.history_[0]["dur"])

    def slices(self, n_batches: int, threaded: bool) -> float:
        """The limit: the same step over the file from its beginning to its end."""
        read = self._slices(n_batches)
        return Trainer().epoch(_cut(ahead(read) if threaded else read))

    def _slices(self, n_batches: int) -> Iterator[tuple[Tensor, Tensor]]:
        X, y = self.maps()
        for start in range(0, self.n_rows, n_batches * BATCH):
            rows = slice(start, start + n_batches * BATCH)
            yield torch.from_numpy(X[rows].copy()), torch.from_numpy(y[rows].copy())

    def at_random(self, n_batches: int, by_batches: bool, num_workers: int) -> float:
        """Some batches, extrapolated to an epoch."""
        rows = Rows(self)
        order: Any = RandomSampler(rows)
        if by_batches:
            order = BatchSampler(order, BATCH, drop_last=False)
        loader: Any = DataLoader(
            rows,  # type: ignore[arg-type]
            sampler=order,
            batch_size=None if by_batches else BATCH,
            num_workers=num_workers,
        )
        return Trainer().epoch(islice(loader, n_batches)) * self.n_rows / (BATCH * n_batches)

    def cold(self, run: Callable[[], float]) -> float:
        """Run with none of the files in the page cache."""
        for file in self.files:
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)  # pages that are not on disk yet would stay
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
        return run()

    def read_from_disk(self) -> float:
        """The share of the files that a cold run of ours has the disk read."""
        before = _disk_bytes()
        self.cold(self.ours)
        return (_disk_bytes() - before) / sum(file.stat().st_size for file in self.files)


def _cut(pieces: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    for X, y in pieces:
        yield from zip(X.split(BATCH), y.split(BATCH), strict=True)


def _write(features: Path, labels: Path, n_rows: int) -> None:
    """Write random features and labels that depend on them, a piece at a time."""
    rng = np.random.default_rng(0)
    form = np.lib.format.open_memmap
    X = form(features, "w+", np.float32, (n_rows, N_FEATURES))
    y = form(labels, "w+", np.int64, (n_rows,))
    for start in range(0, n_rows, PIECE):
        piece = X[start : start + PIECE]
        piece[:] = rng.standard_normal(piece.shape, dtype=np.float32)
        y[start : start + PIECE] = piece[:, :8].sum(axis=1) > rng.logistic(size=len(piece))
    X.flush()
    y.flush()


def _disk_bytes() -> int:
    """Bytes that this process had a disk read."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def run(size: str) -> Result:
    n_rows = ROWS[size]
    result = Result(
        f"{n_rows:,} x {N_FEATURES} float32 in a .npy file ({n_rows * N_FEATURES * 4 / 1e9:.1f} "
        f"GB), int64 labels in another; seconds of an epoch, batch {BATCH}, fused Adam, a module "
        "of 32 hidden units, one torch thread on all sides. Ratios are ours to theirs: median of "
        "the pairs (least to most). Peaks count pages of the mapped file, which the system takes "
        "back when it needs them."
    )
    with tempfile.TemporaryDirectory() as folder, one_thread():
        work = Work(folder, n_rows)
        for state in ("warm", "cold"):
            print(f"  {state}", flush=True)
            _measure(result, work, state, size)
        result.notes.append(
            f"Of the files, a cold run of ours reads {work.read_from_disk():.0%} from the disk."
        )
    return result


def _measure(result: Result, work: Work, state: str, size: str) -> None:
    quick, cold = size == "quick", state == "cold"

    def prepared(contender: Contender) -> Contender:
        return partial(work.cold, contender) if cold else contender

    slices = {
        f"{n} batches at a time, {'read by a thread' if t else 'inline'}": prepared(
            partial(work.slices, n, t)
        )
        for n, t in product((1,) if quick else (16, 128), (False, True))
    }
    # A row of a cold file costs the disk a visit: fewer do to know what.
    n_batches = 2 if quick else 10 if cold else 50
    rows = {
        f"{'batch' if b else 'row'} by {'batch' if b else 'row'}, {w} workers": prepared(
            partial(work.at_random, n_batches, b, w)
        )
        for b, w in product((True, False), (0,) if quick else (0, 1, 2))
    }
    best, kindest = best_of(slices), best_of(rows)
    contenders = {OURS: prepared(work.ours), SLICES: slices[best], RANDOM: rows[kindest]}
    samples = in_turn(contenders, 1 if quick else PAIRS)
    result.tables.append(_table(state, samples, work.n_rows))
    speed = Ratio.of(seconds_of(samples[SLICES]), seconds_of(samples[OURS]))
    result.bars.append(
        Bar(f"{state}, speed of the slices in their order", speed.median, str(speed), at_least=0.9)
    )
    result.notes.append(
        f"{state}: slices {best}; random rows {kindest}, extrapolated from {n_batches} batches."
    )


def _table(title: str, samples: dict[str, list[Sample]], n_rows: int) -> str:
    ours = seconds_of(samples[OURS])
    rows = []
    for name, own in samples.items():
        seconds = median(own, "seconds")
        ratio = "" if name == OURS else Ratio.of(ours, seconds_of(own))
        # What was extrapolated says nothing of processor time and memory.
        cpu = "" if name == RANDOM else f"{median(own, 'cpu') / n_rows * 1e6:.2f}"
        peak = "" if name == RANDOM else f"{median(own, 'peak_mb'):.0f}"
        rows.append([name, f"{seconds:.2f}", f"{n_rows / seconds:,.0f}", ratio, cpu, peak])
    header = ["", "s an epoch", "rows a second", "ours to it", "CPU us a row", "peak MB more"]
    return table(header, rows, f"**page cache {title}**")
