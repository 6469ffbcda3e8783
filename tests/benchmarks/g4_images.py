"""JPEG files to a ResNet-18 in bf16; how much of the time the accelerator computes."""

import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

import sklearnish as sn
from tests.benchmarks._gpu import Stepper, busy_seconds, device, finished, not_measured, wait
from tests.benchmarks._page import Bar, Result, table
from tests.benchmarks.c6_images import CLASSES, write_pictures

PICTURES = {"quick": 8, "default": 2_000, "full": 10_000}
SIDE = {"quick": 32, "default": 224, "full": 224}
BATCH = {"quick": 4, "default": 128, "full": 128}
RUNS = {"quick": 1, "default": 3, "full": 5}


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, X: Tensor) -> Tensor:
        return torch.relu(self.path(X) + self.shortcut(X))


class ResNet18(nn.Module):
    """The network of He et al. 2016, for bytes from 0 to 255."""

    def __init__(self, out_features: int = CLASSES) -> None:
        super().__init__()
        widths = (64, 64, 128, 256, 512)
        blocks = []
        for n_in, n_out in pairwise(widths):
            blocks += [Block(n_in, n_out, 1 if n_in == n_out else 2), Block(n_out, n_out, 1)]
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
            *blocks,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(512, out_features),
        ).to(memory_format=torch.channels_last)

    def forward(self, X: Tensor) -> Tensor:
        X = X.contiguous(memory_format=torch.channels_last)
        return self.layers(X.float() / 127.5 - 1)


class Busy(Callback):
    """Profiles the last epoch: seconds that it took, and of them those that kernels ran."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == self.epoch:
            kind = ProfilerActivity.CUDA if torch.cuda.is_available() else ProfilerActivity.CPU
            self._profile = profile(activities=[kind])
            self._profile.start()
            wait()
            self._begun = time.perf_counter()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == self.epoch:
            wait()
            self.seconds_ = time.perf_counter() - self._begun
            self._profile.stop()
            self.busy_ = busy_seconds(_kernels(self._profile)) / 1e6


def _kernels(profiled: Any) -> list[tuple[float, float]]:
    """Start and end of what the device computed, in microseconds; copies are no computing."""
    kind = DeviceType.CUDA if torch.cuda.is_available() else DeviceType.CPU
    return [
        (event.time_range.start, event.time_range.end)
        for event in profiled.events()
        if event.device_type == kind and not event.name.startswith(("Memcpy", "Memset"))
    ]


def _train(folder: Path, size: str) -> tuple[float, float]:
    """Pictures per second of the last epoch, and the share of it that kernels ran."""
    ds = sn.scan_images(folder, size=SIDE[size])
    busy = Busy(epoch=2)
    clf = sn.TorchClassifier(
        ResNet18,
        precision="bf16",
        batch_size=BATCH[size],
        max_epochs=2,
        callbacks=[busy],
        device=str(device()),
        random_state=0,
    )
    clf.fit(ds, ds.target)
    return len(ds) / busy.seconds_, busy.busy_ / busy.seconds_


def _compute(size: str) -> float:
    """Pictures per second of the step on one batch."""
    torch.manual_seed(0)
    X = torch.randint(
        256, (BATCH[size], 3, SIDE[size], SIDE[size]), dtype=torch.uint8, device=device()
    )
    y = torch.arange(BATCH[size], device=device()) % CLASSES
    stepper, steps = Stepper(ResNet18(), bf16=True), max(1, PICTURES[size] // BATCH[size])
    stepper.epoch((X, y) for _ in range(3))
    return steps * BATCH[size] / stepper.epoch((X, y) for _ in range(steps))


def run(size: str) -> Result:
    work = (
        f"{PICTURES[size]:,} JPEG files of 224 to 500 pixels, resized to {SIDE[size]}, ResNet-18 "
        f"in bf16, batch {BATCH[size]}; the second epoch of a fit, profiled. Busy is the share of "
        "the epoch in which a kernel ran, copies aside."
    )
    if none := not_measured(work, size):
        return none
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), PICTURES[size])
        if size != "quick":
            _train(Path(folder), size)  # warm-up
        found = [(*_train(Path(folder), size), _compute(size)) for _ in range(RUNS[size])]
    speeds, shares, limits = zip(*found, strict=True)
    busy = statistics.median(shares)
    shown = f"{busy:.2f} ({min(shares):.2f} to {max(shares):.2f})"
    rows = [
        ["`TorchClassifier`", f"{statistics.median(speeds):,.0f}", shown],
        ["the step on one batch", f"{statistics.median(limits):,.0f}", ""],
    ]
    tables = [table(["", "images a second", "busy"], rows)]
    return finished(Result(work, tables, [Bar("accelerator busy", busy, shown, at_least=0.9)]))
