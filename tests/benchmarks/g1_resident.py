"""Arrays that live on the device; what a batch costs beside the step."""

import statistics
from collections.abc import Iterator
from functools import partial

import skorch
import torch
from torch import Tensor, nn

import sklearnish as sn
from tests.benchmarks._gpu import Stepper, device, finished, not_measured
from tests.benchmarks._harness import PAIRS, Ratio, Sample, best_of, in_turn, median, seconds_of
from tests.benchmarks._page import Bar, Result, table
from tests.benchmarks.c1_arrays import LR, N_FEATURES, Perceptron, make_arrays

OURS, FIXED = "`TorchClassifier`", "the step on one batch, again and again"
HAND, SKORCH = "hand-written loop, rows on the device", "skorch"
ROWS = {"quick": 2**12, "default": 2**20, "full": 2**22}
EPOCHS = {"quick": 1, "default": 5, "full": 5}
BATCH_SIZES = {
    "quick": (512,),
    "default": (8_192, 65_536),
    "full": (8_192, 16_384, 32_768, 65_536),
}
SKORCH_ROWS = 2**18
"""At most; its epoch is as many times as long as there are more rows."""


class Work:
    """Data, batch size, and who trains on it."""

    def __init__(self, n_rows: int, batch_size: int, epochs: int) -> None:
        self.X, self.y = make_arrays(n_rows)
        self.batch_size, self.epochs = batch_size, epochs

    def ours(self) -> float:
        """Seconds of an epoch within fit."""
        clf = sn.TorchClassifier(
            Perceptron,
            lr=LR,
            batch_size=self.batch_size,
            max_epochs=self.epochs,
            device=str(device()),
            random_state=0,
        )
        clf.fit(self.X, self.y)
        return statistics.median(epoch["dur"] for epoch in clf.history_)

    def fixed(self) -> float:
        X, y = (torch.from_numpy(a[: self.batch_size]).to(device()) for a in (self.X, self.y))
        steps = len(self.X) // self.batch_size
        return self._train(lambda: ((X, y) for _ in range(steps)))

    def by_hand(self) -> float:
        X, y = (torch.from_numpy(a).to(device()) for a in (self.X, self.y))

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            for rows in torch.randperm(len(X), device=device()).split(self.batch_size):
                yield X[rows], y[rows]

        return self._train(batches)

    def _train(self, batches) -> float:
        torch.manual_seed(0)
        stepper = Stepper(Perceptron())
        return statistics.median(stepper.epoch(batches()) for _ in range(self.epochs))

    def skorch(self, num_workers: int) -> float:
        rows = max(self.batch_size, min(len(self.X), SKORCH_ROWS))
        torch.manual_seed(0)
        net = skorch.NeuralNetClassifier(
            Perceptron,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            optimizer__fused=True,
            lr=LR,
            batch_size=self.batch_size,
            max_epochs=2,
            train_split=None,
            iterator_train__shuffle=True,
            iterator_train__num_workers=num_workers,
            device=str(device()),
            verbose=0,
        )
        net.fit(self.X[:rows], self.y[:rows])
        return min(net.history[:, "dur"]) * len(self.X) / rows


def run(size: str) -> Result:
    n_rows, epochs, quick = ROWS[size], EPOCHS[size], size == "quick"
    work = (
        f"{n_rows:,} x {N_FEATURES} float32 on the device, MLP 64, fused Adam; seconds of an epoch "
        f"(median of {epochs}). Ratios are ours to theirs: median of the pairs (least to most)."
    )
    if none := not_measured(work, size):
        return none
    result = Result(work)
    for batch_size in BATCH_SIZES[size]:
        title = f"batch {batch_size:,}"
        print(f"  {title}", flush=True)
        cell = Work(n_rows, batch_size, epochs)
        workers = best_of({str(n): partial(cell.skorch, n) for n in ((0,) if quick else (0, 2, 4))})
        contenders = {
            OURS: cell.ours,
            FIXED: cell.fixed,
            HAND: cell.by_hand,
            SKORCH: partial(cell.skorch, int(workers)),
        }
        samples = in_turn(contenders, 1 if quick else PAIRS)
        result.tables.append(_table(f"{title}, skorch with {workers} workers", samples, n_rows))
        result.bars += _bars(title, samples)
    result.notes.append(
        f"skorch trains on at most {SKORCH_ROWS:,} of the rows; its epoch is scaled to all of them."
    )
    return finished(result)


def _table(title: str, samples: dict[str, list[Sample]], n_rows: int) -> str:
    ours, rows = seconds_of(samples[OURS]), []
    for name, own in samples.items():
        seconds = median(own, "seconds")
        ratio = "" if name == OURS else Ratio.of(ours, seconds_of(own))
        figures = [f"{seconds:.4f}", f"{n_rows / seconds:,.0f}", f"{median(own, 'whole'):.2f}"]
        rows.append([name, *figures, ratio, f"{median(own, 'cpu'):.2f}"])
    header = ["", "s an epoch", "rows a second", "s in all", "ours to it", "CPU s"]
    return table(header, rows, f"**{title}**")


def _bars(title: str, samples: dict[str, list[Sample]]) -> list[Bar]:
    ours = seconds_of(samples[OURS])
    speed = Ratio.of(seconds_of(samples[FIXED]), ours)
    faster = Ratio.of(seconds_of(samples[SKORCH]), ours)
    return [
        Bar(f"{title}, speed of {FIXED}", speed.median, str(speed), at_least=0.95),
        Bar(f"{title}, times as fast as skorch", faster.median, str(faster), at_least=10),
    ]
