"""A DataFrame of numbers and categories; what is paid for not converting it by hand."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

import sklearnish as sn
from tests.benchmarks._harness import (
    PAIRS,
    Ratio,
    Sample,
    best_of,
    in_turn,
    median,
    one_thread,
    seconds_of,
)
from tests.benchmarks._page import Bar, Result, table
from tests.benchmarks._parquet import Trainer

BATCH, N_NUMBERS, WIDTHS = 1024, 10, (4, 12, 30, 100, 1000)
ROWS = {"quick": 20_000, "default": 500_000, "full": 2_000_000}
EPOCHS = 3
OURS, HAND = "`TorchClassifier` on the DataFrame", "hand-made tensors, hand-written loop"


class Embedded(nn.Module):
    """Numbers beside an embedding of each category, whose codes come as numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(n, 4) for n in WIDTHS)
        self.layers = nn.Sequential(
            nn.Linear(N_NUMBERS + 4 * len(WIDTHS), 32), nn.ReLU(), nn.Linear(32, 2)
        )

    def forward(self, X: Tensor) -> Tensor:
        codes = X[:, N_NUMBERS:].long()
        found = [each(codes[:, j]) for j, each in enumerate(self.embeddings)]
        return self.layers(torch.cat([X[:, :N_NUMBERS], *found], dim=1))


class Plain(nn.Module):
    """A lighter module, to which codes are numbers: what reading costs shows best."""

    def __init__(self) -> None:
        super().__init__()
        n_features = N_NUMBERS + len(WIDTHS)
        self.layers = nn.Sequential(nn.Linear(n_features, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, X: Tensor) -> Tensor:
        return self.layers(X)


class Work:
    """A DataFrame, and who trains on it."""

    def __init__(
        self, frame: pd.DataFrame, y: npt.NDArray[np.int64], module: type[nn.Module]
    ) -> None:
        self.frame, self.y, self.module = frame, y, module

    def ours(self) -> float:
        """Seconds of everything come from the harness; those of fit are returned."""
        clf = sn.TorchClassifier(self.module, batch_size=BATCH, max_epochs=EPOCHS, random_state=0)
        clf.fit(_coded(self.frame), self.y)
        return float(sum(epoch["dur"] for epoch in clf.history_))

    def by_hand(self, gather: Callable[[Tensor, Tensor], Tensor]) -> float:
        matrix = _coded(self.frame).to_numpy(np.float32)
        X, y = torch.from_numpy(matrix), torch.from_numpy(self.y)
        trainer = Trainer(make=self.module)

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            for rows in torch.randperm(len(X)).split(BATCH):
                yield gather(X, rows), gather(y, rows)

        return sum(trainer.epoch(batches()) for _ in range(EPOCHS))


GATHERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "X[rows]": lambda X, rows: X[rows],
    "index_select": lambda X, rows: X.index_select(0, rows),
}


def make_frame(n_rows: int) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Draw float64 numbers, categories of text, and labels that depend on the numbers."""
    rng = np.random.default_rng(0)
    numbers = {f"x{j}": rng.standard_normal(n_rows) for j in range(N_NUMBERS)}
    categories = {
        f"c{j}": pd.Categorical.from_codes(rng.integers(n, size=n_rows), _words(n))
        for j, n in enumerate(WIDTHS)
    }
    y = (sum(numbers.values()) > rng.logistic(size=n_rows)).astype(np.int64)
    return pd.DataFrame(numbers | categories), y


def _words(n: int) -> list[str]:
    return [f"word {i}" for i in range(n)]


def _coded(frame: pd.DataFrame) -> pd.DataFrame:
    """Categories as their codes, as a pandas user has them; the numbers are not copied."""
    codes = {f"c{j}": frame[f"c{j}"].cat.codes for j in range(len(WIDTHS))}
    return frame.assign(**codes)


def run(size: str) -> Result:
    frame, y = make_frame(ROWS[size])
    data_mb = (int(frame.memory_usage(index=False).sum()) + y.nbytes) / 2**20
    result = Result(
        f"A pandas DataFrame of {ROWS[size]:,} rows, {N_NUMBERS} float64 and {len(WIDTHS)} "
        f"categories of text ({data_mb:.0f} MB with the labels), which become their codes "
        "(`.cat.codes`) on both sides, in the time that is measured: `TorchClassifier` takes "
        f"numbers only. {EPOCHS} epochs in random order, batch {BATCH}, fused Adam, one torch "
        "thread on both sides. Ratios are ours to the hand-made: median of the pairs (least to "
        "most)."
    )
    with one_thread():
        for name, module in (("embedded categories", Embedded), ("codes as numbers", Plain)):
            print(f"  {name}", flush=True)
            _measure(result, name, Work(frame, y, module), data_mb, size == "quick")
    return result


def _measure(result: Result, title: str, work: Work, data_mb: float, quick: bool) -> None:
    grid = {name: partial(work.by_hand, gather) for name, gather in GATHERS.items()}
    gather = "X[rows]" if quick else best_of(grid)
    samples = in_turn({OURS: work.ours, HAND: grid[gather]}, 1 if quick else PAIRS)
    result.tables.append(_table(title, samples, data_mb))
    result.bars += _bars(title, samples, data_mb)
    result.notes.append(f"{title}: the hand-made tensors are gathered by `{gather}`.")


def _whole(samples: list[Sample]) -> list[float]:
    return [sample.whole for sample in samples]


def _peak(samples: list[Sample], data_mb: float) -> float:
    """Data and what the fit adds to it, over the data."""
    return 1 + median(samples, "peak_mb") / data_mb


def _table(title: str, samples: dict[str, list[Sample]], data_mb: float) -> str:
    ours = _whole(samples[OURS])
    rows = []
    for name, own in samples.items():
        figures = [f"{median(own, field):.2f}" for field in ("whole", "seconds", "cpu")]
        ratio = "" if name == OURS else Ratio.of(ours, _whole(own))
        rows.append([name, *figures, ratio, f"{_peak(own, data_mb):.2f}"])
    header = ["", "s in all", "s of epochs", "CPU s", "ours to it, in all", "peak / data"]
    return table(header, rows, f"**{title}**")


def _bars(title: str, samples: dict[str, list[Sample]], data_mb: float) -> list[Bar]:
    time = Ratio.of(_whole(samples[OURS]), _whole(samples[HAND]))
    epochs = Ratio.of(seconds_of(samples[OURS]), seconds_of(samples[HAND]))
    peak = _peak(samples[OURS], data_mb)
    return [
        Bar(
            f"{title}, time of the hand-made loop, conversion included",
            time.median,
            f"{time}; of the epochs alone {epochs}",
            at_most=1.10,
        ),
        Bar(f"{title}, peak memory over the data", peak, f"{peak:.2f}", at_most=1.3),
    ]
