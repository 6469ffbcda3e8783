"""JPEG images in folders and in a tar, decoded and resized while a light module trains."""

import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import sklearnish as sn
from sklearnish.data import prepare_loader
from sklearnish.data._decode import decode
from tests.benchmarks._harness import (
    Contender,
    Ratio,
    Sample,
    best_of,
    in_turn,
    median,
    one_thread,
    seconds_of,
)
from tests.benchmarks._page import Bar, Result, table

BATCH, LR, CLASSES = 64, 1e-3, 10
CORES = len(os.sched_getaffinity(0))
CELLS = {"quick": [(40, 64)], "default": [(3_000, 64)], "full": [(10_000, 64), (1_000, 224)]}
"""Pictures, and the side to which they are resized."""

TUNED_ON = 600
FETCH_BYTES, AHEAD, COUNTED = 2**22, 8, 16
"""What we read in one go, how many of those at most ahead, and over how many time is taken."""

OURS, TAR = 'folder, `num_workers="auto"`', 'tar, `num_workers="auto"`'
FIXED, PILLOW, LIMIT = "folder, `num_workers=2`", "`DataLoader` with Pillow", "the limit"


class Convolution(nn.Module):
    """A light module: decoding is what is measured. Both bytes and numbers up to 1 will do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
        )
        self.last = nn.Linear(128, CLASSES)

    def forward(self, X: Tensor) -> Tensor:
        return self.last(self.layers(X.float() / 255 if X.dtype == torch.uint8 else X))


class Folder(Dataset[tuple[Tensor, int]]):
    """What everybody writes: ImageFolder with Resize and ToTensor."""

    def __init__(self, folder: Path, side: int) -> None:
        classes = sorted(path.name for path in folder.iterdir())
        self._files = [
            (str(file), number)
            for number, name in enumerate(classes)
            for file in sorted((folder / name).iterdir())
        ]
        self._side = side

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        path, label = self._files[i]
        with Image.open(path) as file:
            picture = file.convert("RGB").resize(
                (self._side, self._side), Image.Resampling.BILINEAR
            )
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
        return pixels.float().div(255), label


class Shuffled:
    """Pictures in random order; at first a batch alone, for workers to start before the clock."""

    def __init__(self, n_all: int, n: int) -> None:
        self._n_all, self._n = n_all, n
        self._passes = 0

    def __iter__(self) -> Iterator[int]:
        self._passes += 1
        return iter(torch.randperm(self._n_all)[: BATCH if self._passes == 1 else self._n].tolist())


class Work:
    """Pictures, and who trains on them."""

    def __init__(self, folder: Path, tar: Path, side: int) -> None:
        self.folder, self.tar, self.side = folder, tar, side
        self.files = sorted(folder.rglob("*.jpg"))

    def ours(self, where: Path, num_workers: int | str) -> float:
        """Seconds of an epoch within fit, from the second on, a mean over many fetches.

        Workers bring several fetches at once, also of the next epochs: one short epoch alone
        would seem free, and the last ones are, whose images were decoded before.
        """
        ds = sn.scan_images(where, size=self.side)
        fetches = -(-len(ds) * 3 * self.side**2 // FETCH_BYTES)
        counted = -(-COUNTED // fetches)
        clf = sn.TorchClassifier(
            Convolution,
            batch_size=BATCH,
            max_epochs=1 + counted + -(-AHEAD // fetches),
            num_workers=num_workers,
            num_threads=1,
            lr=LR,
            random_state=0,
        )
        clf.fit(ds, ds.target)
        return statistics.fmean(epoch["dur"] for epoch in clf.history_[1 : 1 + counted])

    def pillow(self, n: int, num_workers: int, prefetch: int | None) -> float:
        """Seconds of an epoch over n images, the workers being there already."""
        loader, trainer = self._loader(num_workers, prefetch, n), Trainer()
        trainer.epoch(loader)
        return trainer.epoch(loader)

    def _loader(self, num_workers: int, prefetch: int | None, n: int) -> Any:
        return DataLoader(
            Folder(self.folder, self.side),
            batch_size=BATCH,
            sampler=Shuffled(len(self.files), n),
            num_workers=num_workers,
            prefetch_factor=prefetch,
            persistent_workers=num_workers > 0,
        )

    def limit(self) -> float:
        """Seconds of processor time to decode and to train, shared among the cores."""
        files = [path.read_bytes() for path in self.files]
        size, begun = (self.side, self.side), time.process_time()
        for data in files:
            decode(data, size)
        decoding = time.process_time() - begun
        trainer, X = Trainer(), torch.randint(256, (len(files), 3, *size), dtype=torch.uint8)
        y = torch.randint(CLASSES, (len(files),))
        trainer.epoch([(X[:BATCH], y[:BATCH])])
        begun = time.process_time()
        trainer.epoch(zip(X.split(BATCH), y.split(BATCH), strict=True))
        return (decoding + time.process_time() - begun) / CORES

    def first_batch(self) -> float:
        """Seconds from the path to the first batch."""
        begun = time.perf_counter()
        ds = sn.scan_images(self.folder, size=self.side)
        with prepare_loader(ds, batch_size=BATCH) as loader:
            next(iter(loader))
        return time.perf_counter() - begun

    def first_batch_pillow(self, num_workers: int, prefetch: int | None) -> float:
        begun = time.perf_counter()
        next(iter(self._loader(num_workers, prefetch, len(self.files))))
        return time.perf_counter() - begun


class Trainer:
    """The step of the hand-written loops."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = Convolution()
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=LR, fused=True)
        self.criterion = nn.CrossEntropyLoss()

    def epoch(self, batches: Iterable[Any]) -> float:
        begun, losses = time.perf_counter(), []
        for X, y in batches:
            loss = self.criterion(self.module(X), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        assert torch.isfinite(torch.stack(losses).mean())
        return time.perf_counter() - begun


def write_pictures(folder: Path, n: int) -> int:
    """Write JPEGs of 224 to 500 pixels a side into folders of classes; return their mean size."""
    rng = np.random.default_rng(0)
    canvas = _noise(rng, 2000)
    n_bytes = 0
    for i in range(n):
        height, width = rng.integers(224, 501, 2)
        top, left = rng.integers(0, 1500, 2)
        piece = canvas[top : top + height, left : left + width]
        path = folder / f"class {i % CLASSES}" / f"{i:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(piece).save(path, quality=90)
        n_bytes += path.stat().st_size
    return n_bytes // n


def _noise(rng: np.random.Generator, side: int) -> Any:
    """Noise of several wavelengths, as in a photograph: about 5 bits a pixel in a JPEG."""
    total = np.zeros((side, side, 3), np.float32)
    for wavelength, amplitude in ((100, 40), (25, 20), (6, 10), (2, 5)):
        few = side // wavelength
        coarse = rng.normal(128, amplitude, (few, few, 3)).clip(0, 255).astype(np.uint8)
        fine = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        total += np.asarray(fine, np.float32) - 128
    return (total + 128).clip(0, 255).astype(np.uint8)


def write_tar(path: Path, folder: Path) -> Path:
    with tarfile.open(path, "w") as tar:
        tar.add(folder, arcname=".")
    return path


def run(size: str) -> Result:
    result = Result(
        "Random JPEG of 224 to 500 pixels a side, in the page cache; seconds of an epoch from the "
        f"second on, batch {BATCH}, fused Adam, a module of one small convolution, one torch "
        "thread on all sides. Ours are `TorchClassifier`. The limit: processor seconds to decode "
        f"as we do and to train, over {CORES} cores. The peer reads the folder, with workers that "
        "have started."
    )
    for n, side in CELLS[size]:
        with tempfile.TemporaryDirectory() as name, one_thread():
            folder = Path(name, "pictures")
            mean_bytes = write_pictures(folder, n)
            title = f"{n:,} images of {mean_bytes / 1e3:.0f} KB, to {side} x {side}"
            print(f"  {title}", flush=True)
            tar = write_tar(Path(name, "pictures.tar"), folder)
            _measure(result, title, Work(folder, tar, side), size)
    return result


def _measure(result: Result, title: str, work: Work, size: str) -> None:
    n, pairs = len(work.files), {"quick": 1, "default": 2, "full": 3}[size]
    grid: dict[str, tuple[int, int | None]] = {"0 workers": (0, None)}
    if size != "quick":
        grid |= {f"{w} workers, prefetch {p}": (w, p) for w, p in product((1, 2), (2, 4))}
    tried = {name: partial(work.pillow, min(n, TUNED_ON), *with_) for name, with_ in grid.items()}
    best = best_of(tried)
    contenders: dict[str, Contender] = {
        OURS: partial(work.ours, work.folder, "auto"),
        TAR: partial(work.ours, work.tar, "auto"),
        FIXED: partial(work.ours, work.folder, 2),
        f"{PILLOW}, {best}": partial(work.pillow, n, *grid[best]),
        LIMIT: work.limit,
    }
    samples = in_turn(contenders, pairs)
    result.tables.append(_table(title, samples, n))
    result.bars += _bars(title, samples)
    first = {"ours": work.first_batch, "theirs": partial(work.first_batch_pillow, *grid[best])}
    waited = {name: median(own, "seconds") for name, own in in_turn(first, pairs).items()}
    result.notes.append(
        f"{title}: time to the first batch {waited['ours']:.2f} s, scanning included; with "
        f"Pillow, {best}, {waited['theirs']:.2f} s."
    )


def _table(title: str, samples: dict[str, list[Sample]], n: int) -> str:
    limit = seconds_of(samples[LIMIT])
    rows = []
    for name, own in samples.items():
        seconds = median(own, "seconds")
        figures = [f"{seconds:.2f}", f"{n / seconds:,.0f}", Ratio.of(limit, seconds_of(own))]
        rows.append([name, *figures, f"{median(own, 'cpu'):.2f}", f"{median(own, 'peak_mb'):.0f}"])
    header = ["", "s an epoch", "images a second", "of the limit", "CPU s in all", "peak MB more"]
    return table(header, rows, f"**{title}**")


def _bars(title: str, samples: dict[str, list[Sample]]) -> list[Bar]:
    limit = seconds_of(samples[LIMIT])
    theirs = next(seconds_of(own) for name, own in samples.items() if name.startswith(PILLOW))
    bars = []
    for name in (OURS, TAR):
        ours = seconds_of(samples[name])
        reached, faster = Ratio.of(limit, ours), Ratio.of(theirs, ours)
        bars.append(
            Bar(f"{title}, {name}, share of the limit", reached.median, str(reached), None, 0.9)
        )
        text = f"{title}, {name}, times as fast as {PILLOW}"
        bars.append(Bar(text, faster.median, str(faster), None, 1.5))
    return bars
