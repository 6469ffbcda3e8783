"""scikit-learn's MLPs and ours, by the same script: whole fits with default settings."""

import time
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import neural_network
from threadpoolctl import threadpool_limits

import sklearnish as sn
from tests.benchmarks._harness import (
    PAIRS,
    Contender,
    Ratio,
    Sample,
    in_turn,
    median,
    one_thread,
    seconds_of,
)
from tests.benchmarks._page import Bar, Result, table

N_FEATURES = {1_000: 20, 10_000: 20, 100_000: 100, 1_000_000: 100}
ROWS = {
    "quick": (1_000,),
    "default": (1_000, 10_000, 100_000),
    "full": (1_000, 10_000, 100_000, 1_000_000),
}
EPOCHS = {1_000: 200, 10_000: 30, 100_000: 3, 1_000_000: 1}
"""Most epochs: the default ones where that takes a second, fewer where it would take minutes."""

NAMES = ("MLPClassifier", "MLPRegressor")
DTYPES = (np.float32, np.float64)


class Work:
    """Rows, and who fits them."""

    def __init__(self, name: str, n_rows: int, dtype: type) -> None:
        self.name, self.epochs = name, EPOCHS[n_rows]
        self.X, self.y = make_rows(n_rows, dtype, classes=name == NAMES[0])
        self.scores: dict[str, float] = {}

    def fit(self, package: Any) -> float:
        mlp = getattr(package, self.name)(max_iter=self.epochs, random_state=0)
        with threadpool_limits(1, user_api="blas"), one_thread():
            begun = time.perf_counter()
            mlp.fit(self.X, self.y)
            seconds = time.perf_counter() - begun
        self.scores[package.__name__] = mlp.score(self.X[:10_000], self.y[:10_000])
        return seconds

    def contenders(self) -> dict[str, Contender]:
        return {
            f"`sn.{self.name}`": partial(self.fit, sn),
            f"scikit-learn `{self.name}`": partial(self.fit, neural_network),
        }


def make_rows(
    n_rows: int, dtype: type, *, classes: bool
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, N_FEATURES[n_rows]))
    hidden = np.tanh(X @ rng.standard_normal((X.shape[1], 8)) / 2)
    y = hidden @ rng.standard_normal(8) + rng.standard_normal(n_rows) / 2
    return X.astype(dtype), (y > 0).astype(int) if classes else y


def run(size: str) -> Result:
    result = Result(
        "Whole fits of arrays with default settings (Adam, a hidden layer of 100, batches of 200), "
        "the most epochs apart, on one thread. Seconds, median of pairs; ratios are ours to "
        "theirs: median of pairs (least to most). Scores are those of the training rows, ours and "
        "theirs."
    )
    for name in NAMES:
        lines = []
        for n_rows in ROWS[size]:
            for dtype in DTYPES:
                print(f"  {name}, {n_rows:,} rows, {dtype.__name__}", flush=True)
                work = Work(name, n_rows, dtype)
                samples = in_turn(work.contenders(), 1 if size == "quick" else PAIRS)
                lines.append(_line(work, n_rows, dtype, samples))
                result.bars.append(_bar(work, n_rows, dtype, samples))
        header = ["rows", "epochs", "numbers", "ours", "scikit-learn", "ours to it", "scores"]
        result.tables.append(table(header, lines, f"**{name}**"))
    return result


def _ratio(samples: dict[str, list[Sample]]) -> Ratio:
    return Ratio.of(*map(seconds_of, samples.values()))


def _line(work: Work, n_rows: int, dtype: type, samples: dict[str, list[Sample]]) -> list[object]:
    seconds = [f"{median(own, 'seconds'):.3f}" for own in samples.values()]
    scores = ", ".join(f"{score:.3f}" for score in work.scores.values())
    shape = f"{n_rows:,} x {N_FEATURES[n_rows]}"
    return [shape, work.epochs, dtype.__name__, *seconds, _ratio(samples), scores]


def _bar(work: Work, n_rows: int, dtype: type, samples: dict[str, list[Sample]]) -> Bar:
    ratio = _ratio(samples)
    text = f"{work.name}, {n_rows:,} rows, {dtype.__name__}, time of scikit-learn's"
    return Bar(text, ratio.median, str(ratio), at_most=1.0)
