"""An array of the host that does not fit the device, streamed to it."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

import sklearnish as sn
from sklearnish.data import prepare_loader
from tests.benchmarks._gpu import copy_seconds, device, fill_device, finished, not_measured, wait
from tests.benchmarks._harness import Ratio, in_turn, median, seconds_of
from tests.benchmarks._page import Bar, Result, table

N_FEATURES, BATCH = 256, {"quick": 1024, "default": 65_536, "full": 65_536}
GB = {"quick": 0.008, "default": 4, "full": 60}
PAIRS = {"quick": 1, "default": 5, "full": 3}
OURS, LOADER, COPY = "`TorchClassifier`", "our batches, no step", "copies of one page-locked batch"


class Linear(nn.Module):
    """As light as a module can be: the copy is what is measured."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(N_FEATURES, 2)

    def forward(self, X: Tensor) -> Tensor:
        return self.layer(X)


class Work:
    """The array, and who brings it to the device."""

    def __init__(self, n_rows: int, batch_size: int) -> None:
        self.X, self.batch_size = draw(n_rows), batch_size
        self.y = (self.X[:, 0] > 0.5).astype(np.int64)

    @property
    def nbytes(self) -> int:
        return self.X.nbytes + self.y.nbytes

    def ours(self) -> float:
        clf = sn.TorchClassifier(
            Linear, batch_size=self.batch_size, max_epochs=1, device=str(device()), random_state=0
        )
        clf.fit(self.X, self.y)
        return clf.history_[-1]["dur"]

    def loader(self) -> float:
        dataset, begun = sn.as_dataset(self.X, self.y), time.perf_counter()
        with prepare_loader(
            dataset, batch_size=self.batch_size, device=device(), finite=False
        ) as loader:
            assert sum(len(batch) for batch in loader) == len(self.X)
            wait()
        return time.perf_counter() - begun

    def copy(self) -> float:
        steps = len(self.X) // self.batch_size
        return copy_seconds(self.nbytes // steps, steps)


def draw(n_rows: int) -> npt.NDArray[np.float32]:
    """Random numbers in [0, 1), drawn by all cores."""
    X = np.empty((n_rows, N_FEATURES), np.float32)
    parts = np.array_split(X, 64)

    def fill(number: int) -> None:
        np.random.default_rng(number).random(out=parts[number], dtype=np.float32)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(fill, range(len(parts))))
    return X


def n_rows_of(size: str) -> int:
    """Rows of the size, or as many as take half of the memory; whole batches."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    nbytes = min(int(GB[size] * 1e9), memory // 2)
    return nbytes // (4 * N_FEATURES) // BATCH[size] * BATCH[size]


def run(size: str) -> Result:
    n_rows, batch_size = n_rows_of(size), BATCH[size]
    work = (
        f"{n_rows:,} x {N_FEATURES} float32 ({n_rows * N_FEATURES * 4 / 1e9:.3g} GB) in the memory "
        f"of the host, shuffled, batch {batch_size:,}, a linear module; the device has room for "
        "half of it. Ratios are ours to theirs: median of the pairs (least to most)."
    )
    if none := not_measured(work, size):
        return none
    cell = Work(n_rows, batch_size)
    filled = fill_device(leave=cell.nbytes // 2)
    samples = in_turn({OURS: cell.ours, LOADER: cell.loader, COPY: cell.copy}, PAIRS[size])
    del filled
    rate = partial(_gigabytes, cell.nbytes)
    rows = [[name, f"{median(own, 'seconds'):.3f}", rate(own)] for name, own in samples.items()]
    result = Result(work, [table(["", "s an epoch", "GB a second"], rows)])
    copied = seconds_of(samples[COPY])
    for name in (OURS, LOADER):
        speed = Ratio.of(copied, seconds_of(samples[name]))
        text = f"{name}, share of the rate of copies from page-locked memory"
        result.bars.append(Bar(text, speed.median, str(speed), at_least=0.9))
    return finished(result)


def _gigabytes(nbytes: int, samples) -> str:
    return f"{nbytes / 1e9 / median(samples, 'seconds'):.1f}"
