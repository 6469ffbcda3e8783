"""A shuffled Parquet file, as the hand-tuned loop over row groups reads it."""

import statistics
import tempfile
import time
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

import sklearnish as sn
from sklearnish.data import prepare_loader
from tests.benchmarks._harness import (
    PAIRS,
    Contender,
    Ratio,
    Sample,
    best_of,
    in_turn,
    median,
    own_caches,
    seconds_of,
)
from tests.benchmarks._page import Bar, Result, table
from tests.benchmarks._parquet import (
    N_FEATURES,
    PANDAS_GROUP,
    PIECE,
    HandLoop,
    Perceptron,
    Trainer,
    write_parquet,
)

BATCH = 1024
# Whole multiples of both kinds of row group, so that all sides take the same number of steps.
ROWS = {"quick": 2 * PIECE, "default": PANDAS_GROUP, "full": 4 * PANDAS_GROUP}
EPOCHS = {"quick": 1, "default": 3, "full": 2}
WHOLE_ROWS = {"quick": 2 * PIECE, "default": 23 * PIECE, "full": 23 * PIECE}
"""Some 1.5 million: what a fit does beside its epoch shows."""
OURS, LOADER, HAND = "`TorchClassifier`", "our batches, hand-written step", "hand-tuned loop"
HF_ROWS, HF_BATCHES = "Hugging Face, shuffled `DataLoader`", "Hugging Face, `ds[batch of rows]`"


class Work:
    """One file, and who trains on it."""

    def __init__(self, path: Path, epochs: int) -> None:
        self.path, self.epochs = path, epochs
        self.n_rows = len(sn.scan_parquet(path, target="y"))

    def ours(self) -> float:
        """Seconds of an epoch within fit."""
        ds = sn.scan_parquet(self.path, target="y")
        clf = sn.TorchClassifier(
            Perceptron, batch_size=BATCH, max_epochs=self.epochs, random_state=0
        )
        clf.fit(ds, ds.target)
        return statistics.median(epoch["dur"] for epoch in clf.history_)

    def whole(self) -> float:
        """Seconds of a whole fit, from the path to the fitted estimator."""
        begun = time.perf_counter()
        ds = sn.scan_parquet(self.path, target="y")
        sn.TorchClassifier(Perceptron, batch_size=BATCH, max_epochs=1, random_state=0).fit(ds)
        return time.perf_counter() - begun

    def loader(self) -> float:
        trainer = Trainer()
        ds = sn.scan_parquet(self.path, target="y")
        with prepare_loader(ds, batch_size=BATCH, epochs=self.epochs) as loader:
            epochs = (((b.X, b.y) for b in loader) for _ in range(self.epochs))
            return statistics.median([trainer.epoch(batches) for batches in epochs])

    def by_hand(self, loop: HandLoop) -> float:
        trainer, rng = Trainer(), np.random.default_rng(0)
        epochs = (loop.batches(BATCH, rng) for _ in range(self.epochs))
        return statistics.median([trainer.epoch(batches) for batches in epochs])

    def best_hand_loop(self, tune: bool) -> HandLoop:
        group = PANDAS_GROUP if "pandas" in self.path.name else PIECE
        groups = (1, 2, 4) if tune and group == PIECE else (1,)
        grid = product(groups, (True, False), (False, True)) if tune else [(1, True, False)]
        loops = {str(settings): HandLoop(self.path, *settings) for settings in grid}
        return loops[best_of({name: partial(self.by_hand, loop) for name, loop in loops.items()})]

    def first_batch(self) -> float:
        """Seconds from the path to the first batch."""
        begun = time.perf_counter()
        with prepare_loader(sn.scan_parquet(self.path, target="y"), batch_size=BATCH) as loader:
            next(iter(loader))
        return time.perf_counter() - begun

    def first_batch_by_hand(self, loop: HandLoop) -> float:
        begun = time.perf_counter()
        next(loop.batches(BATCH, np.random.default_rng(0)))
        return time.perf_counter() - begun


class HuggingFace:
    """Their Dataset over the same file; an epoch is extrapolated from a few batches."""

    def __init__(self, path: Path, cache: Path, n_rows: int, n_batches: int) -> None:
        import datasets

        datasets.disable_progress_bars()
        begun = time.perf_counter()
        data = datasets.Dataset.from_parquet(str(path), cache_dir=str(cache))
        self.conversion = time.perf_counter() - begun
        self._data = data.with_format("torch")
        self._n_rows, self._n_batches = n_rows, n_batches

    def by_rows(self, num_workers: int) -> float:
        """Rows one by one, as their guide has it."""
        loader = DataLoader(self._data, batch_size=BATCH, shuffle=True, num_workers=num_workers)
        return self._epoch(loader)

    def by_batches(self, num_workers: int) -> float:
        """Rows of a batch asked for together, which is kinder to them."""
        sampler = BatchSampler(RandomSampler(self._data), BATCH, drop_last=False)
        loader = DataLoader(self._data, sampler=sampler, batch_size=None, num_workers=num_workers)
        return self._epoch(loader)

    def _epoch(self, loader: Any) -> float:
        trainer = Trainer()
        seconds = trainer.epoch(map(_pair, islice(loader, self._n_batches)))
        return seconds * self._n_rows / (BATCH * self._n_batches)


def _pair(row: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.stack([row[f"x{j}"] for j in range(N_FEATURES)], dim=1), row["y"]


def run(size: str) -> Result:
    n_rows, threads = ROWS[size], torch.get_num_threads()
    result = Result(
        f"{n_rows:,} x {N_FEATURES} float32 in Parquet as pyarrow writes it, in the page cache; "
        f"seconds of an epoch in random order, batch {BATCH}, fused Adam, a module of 32 hidden "
        "units, one torch thread on all sides (two are slower: one core reads). Ratios are ours to "
        "theirs: median of the pairs (least to most)."
    )
    with tempfile.TemporaryDirectory() as folder, own_caches(folder):
        torch.set_num_threads(1)
        try:
            for name, group in (("groups", PIECE), ("pandas", PANDAS_GROUP)):
                path = write_parquet(Path(folder, f"{name}.parquet"), n_rows, group)
                _measure(result, path, group, size)
            path = write_parquet(Path(folder, "whole.parquet"), WHOLE_ROWS[size])
            _measure_whole(result, path, size)
        finally:
            torch.set_num_threads(threads)
    return result


def _measure(result: Result, path: Path, group: int, size: str) -> None:
    quick = size == "quick"
    title = f"row groups of {group:,}"
    print(f"  {title}", flush=True)
    work = Work(path, EPOCHS[size])
    cold = work.first_batch()
    hand = work.best_hand_loop(tune=not quick)
    hf = HuggingFace(path, path.parent / "hf", work.n_rows, 1 if quick else 4)
    contenders: dict[str, Contender] = {
        OURS: work.ours,
        LOADER: work.loader,
        HAND: partial(work.by_hand, hand),
        HF_ROWS: _tuned(hf.by_rows, quick),
        HF_BATCHES: _tuned(hf.by_batches, quick),
    }
    samples = in_turn(contenders, 1 if quick else PAIRS)
    result.tables.append(_table(title, samples, work.n_rows))
    result.bars += _bars(title, samples)
    first = {"ours": work.first_batch, "by hand": partial(work.first_batch_by_hand, hand)}
    again = {name: median(s, "seconds") for name, s in in_turn(first, 1 if quick else 5).items()}
    result.notes.append(
        f"{title}: time to the first batch {again['ours']:.2f} s ({cold:.2f} s the first time "
        f"the file is seen), by hand {again['by hand']:.2f} s; Hugging Face's conversion takes "
        f"{hf.conversion:.1f} s. The hand-tuned loop: {hand.groups} row groups at a time, "
        f"{'stripes' if hand.stripes else 'stacked columns'}, "
        f"{'mapped' if hand.memory_map else 'read'}."
    )


def _measure_whole(result: Result, path: Path, size: str) -> None:
    """Compare fits of one epoch, with all that a fit does beside it."""
    print("  whole fits", flush=True)
    work = Work(path, epochs=1)
    hand = work.best_hand_loop(tune=size != "quick")
    contenders: dict[str, Contender] = {OURS: work.whole, HAND: partial(work.by_hand, hand)}
    samples = in_turn(contenders, 1 if size == "quick" else PAIRS)
    title = f"whole fits of one epoch, {work.n_rows:,} rows"
    result.tables.append(_table(title, samples, work.n_rows))
    ratio = Ratio.of(seconds_of(samples[OURS]), seconds_of(samples[HAND]))
    result.bars.append(
        Bar(f"{title}, times the hand-tuned loop", ratio.median, str(ratio), at_most=1.08)
    )


def _tuned(contender: Any, quick: bool) -> Contender:
    workers = (0,) if quick else (0, 1, 2)
    return partial(contender, int(best_of({str(n): partial(contender, n) for n in workers})))


def _table(title: str, samples: dict[str, list[Sample]], n_rows: int) -> str:
    ours = seconds_of(samples[OURS])
    rows = []
    for name, own in samples.items():
        seconds = median(own, "seconds")
        ratio = "" if name == OURS else Ratio.of(ours, seconds_of(own))
        figures = [f"{seconds:.2f}", f"{n_rows / seconds:,.0f}", f"{median(own, 'whole'):.2f}"]
        cpu = median(own, "cpu")
        rows.append([name, *figures, ratio, f"{cpu:.2f}", f"{median(own, 'peak_mb'):.0f}"])
    header = ["", "s an epoch", "rows a second", "s in all", "ours to it", "CPU s", "peak MB more"]
    return table(header, rows, f"**{title}**")


def _bars(title: str, samples: dict[str, list[Sample]]) -> list[Bar]:
    ours = seconds_of(samples[OURS])
    speed = Ratio.of(seconds_of(samples[HAND]), ours)
    bars = [Bar(f"{title}, speed of the hand-tuned loop", speed.median, str(speed), at_least=0.95)]
    faster = Ratio.of(seconds_of(samples[HF_ROWS]), ours)
    text = f"{title}, times as fast as {HF_ROWS}"
    return [*bars, Bar(text, faster.median, str(faster), at_least=50)]
