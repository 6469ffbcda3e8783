"""Arrays in memory; what the loop costs beside the arithmetic of a small module."""

import math
import os
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import skorch
import torch
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch._inductor.utils import fresh_cache
from torch.utils.data import DataLoader, TensorDataset

import sklearnish as sn
from tests.benchmarks._harness import (
    PAIRS,
    Contender,
    Ratio,
    Sample,
    best_of,
    in_turn,
    median,
    seconds_of,
)
from tests.benchmarks._page import Bar, Result, table

N_FEATURES, N_CLASSES, LR = 100, 10, 1e-3
HAND, FUSED, OURS = (
    "hand-written loop",
    "hand-written loop, fused Adam",
    "`TorchClassifier`",
)
COMPILED = "`TorchClassifier(compile=True)`"
SKORCH, LOADER, SKLEARN = "skorch", "`DataLoader(TensorDataset)`", "scikit-learn `MLPClassifier`"
ROWS = {"quick": 4_000, "default": 20_000, "full": 100_000}
MODULES = {"linear": 0, "MLP 64": 64}
USED = {"quick": tuple(MODULES), "default": ("MLP 64",), "full": tuple(MODULES)}
EPOCHS = {"quick": 1, "default": 1, "full": 5}
BATCH_SIZES = {"quick": (1024,), "default": (128, 1024), "full": (32, 128, 1024, 8192)}


class Perceptron(nn.Module):
    """The same module on all sides; width 0 is a linear one."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        layers = [nn.Linear(N_FEATURES, hidden), nn.ReLU()] if hidden else []
        self.layers = nn.Sequential(*layers, nn.Linear(hidden or N_FEATURES, N_CLASSES))

    def forward(self, X: Tensor) -> Tensor:
        return self.layers(X)


class Work:
    """One cell of the table: data, module, batch size, and who does the work."""

    def __init__(self, n_rows: int, hidden: int, batch_size: int, epochs: int) -> None:
        self.X, self.y = make_arrays(n_rows)
        self.hidden, self.batch_size, self.epochs = hidden, batch_size, epochs

    def ours(self) -> float:
        """Seconds of an epoch within fit; the whole fit is measured around it."""
        return statistics.median(self._fit(self.epochs))

    def compiled(self) -> float:
        """Seconds of an epoch after the first, which has the compiling."""
        return statistics.median(self._fit(self.epochs + 1, compile=True)[1:])

    def compiling(self, fresh: bool) -> tuple[float, float]:
        """Seconds of compiling: with nothing kept from another fit, and then with it."""
        with fresh_cache() if fresh else nullcontext():
            fits = [self._fit(2, compile=True) for _ in range(2)]
        return fits[0][0] - fits[0][1], fits[1][0] - fits[1][1]

    def _fit(self, epochs: int, **params: Any) -> list[float]:
        clf = sn.TorchClassifier(
            Perceptron,
            module_params={"hidden": self.hidden},
            lr=LR,
            batch_size=self.batch_size,
            max_epochs=epochs,
            random_state=0,
            **params,
        )
        clf.fit(self.X, self.y)
        return [epoch["dur"] for epoch in clf.history_]

    def by_hand(self, fused: bool | None) -> float:
        X, y = torch.from_numpy(self.X), torch.from_numpy(self.y)

        def batches() -> Iterable[tuple[Tensor, Tensor]]:
            for rows in torch.randperm(len(X)).split(self.batch_size):
                yield X[rows], y[rows]

        return self._train(batches, fused)

    def with_threads(self, num_threads: int) -> float:
        """The hand-written loop on some number of threads, which stay set."""
        torch.set_num_threads(num_threads)
        return self.by_hand(True)

    def data_loader(self, num_workers: int) -> float:
        loader = DataLoader(
            TensorDataset(torch.from_numpy(self.X), torch.from_numpy(self.y)),
            batch_size=self.batch_size,
            shuffle=True,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
        )
        return self._train(lambda: loader, None)

    def _train(self, batches: Callable[[], Iterable[Any]], fused: bool | None) -> float:
        """The best loop we can write: the losses are looked at once an epoch."""
        torch.manual_seed(0)
        module = Perceptron(self.hidden)
        optimizer = torch.optim.Adam(module.parameters(), lr=LR, fused=fused)
        criterion = nn.CrossEntropyLoss()
        seconds = []
        for _ in range(self.epochs):
            begun, losses = time.perf_counter(), []
            for X, y in batches():
                loss = criterion(module(X), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            assert torch.isfinite(torch.stack(losses).mean())
            seconds.append(time.perf_counter() - begun)
        return statistics.median(seconds)

    def skorch(self, num_workers: int) -> float:
        torch.manual_seed(0)
        net = skorch.NeuralNetClassifier(
            Perceptron,
            module__hidden=self.hidden,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=LR,
            batch_size=self.batch_size,
            max_epochs=self.epochs,
            train_split=None,
            iterator_train__shuffle=True,
            iterator_train__num_workers=num_workers,
            verbose=0,
        )
        net.fit(self.X, self.y)
        return statistics.median(net.history[:, "dur"])

    def sklearn(self, num_threads: int) -> float:
        """No clock of its own: an epoch is a share of the whole fit."""
        mlp = MLPClassifier(
            (self.hidden,) if self.hidden else (),
            alpha=0.0,
            learning_rate_init=LR,
            batch_size=self.batch_size,
            max_iter=self.epochs,
            n_iter_no_change=self.epochs + 1,
            random_state=0,
        )
        with threadpool_limits(num_threads, user_api="blas"):
            begun = time.perf_counter()
            mlp.fit(self.X, self.y)
            return (time.perf_counter() - begun) / mlp.n_iter_

    def contenders(self, tune: bool) -> dict[str, Contender]:
        """Everybody, the peers at their best number of workers or threads."""
        workers = (0, 1, 2) if tune else (0,)
        threads = (1, os.cpu_count() or 1) if tune else (1,)
        skorch_at = best_of({str(n): partial(self.skorch, n) for n in workers})
        loader_at = best_of({str(n): partial(self.data_loader, n) for n in workers})
        sklearn_at = best_of({str(n): partial(self.sklearn, n) for n in threads})
        return {
            OURS: self.ours,
            COMPILED: self.compiled,
            HAND: partial(self.by_hand, None),
            FUSED: partial(self.by_hand, True),
            f"{SKORCH}, {skorch_at} workers": partial(self.skorch, int(skorch_at)),
            f"{LOADER}, {loader_at} workers": partial(self.data_loader, int(loader_at)),
            SKLEARN: partial(self.sklearn, int(sklearn_at)),
        }


def make_arrays(n_rows: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, N_FEATURES), dtype=np.float32)
    noise = rng.gumbel(size=(n_rows, N_CLASSES))
    y = (X @ rng.standard_normal((N_FEATURES, N_CLASSES)) / 3 + noise).argmax(axis=1)
    return X, y


def run(size: str) -> Result:
    n_rows, epochs = ROWS[size], EPOCHS[size]
    result = Result(
        f"{n_rows:,} x {N_FEATURES} float32, {N_CLASSES} classes; seconds of an epoch (median of "
        f"{epochs} in a fit), Adam, the same module on all sides, and as many torch threads as "
        "suit the hand-written loop. Ratios are ours to theirs: median of pairs (least to most)."
    )
    threads = torch.get_num_threads()
    for label in USED[size]:
        for batch_size in BATCH_SIZES[size]:
            print(f"  {label}, batch {batch_size}", flush=True)
            work = Work(n_rows, MODULES[label], batch_size, epochs)
            quick = size == "quick"
            tried = {1} if quick else {1, threads}
            used = int(best_of({str(n): partial(work.with_threads, n) for n in sorted(tried)}))
            torch.set_num_threads(used)
            compiling = work.compiling(fresh=not quick)
            samples = in_turn(work.contenders(tune=not quick), 1 if quick else PAIRS)
            torch.set_num_threads(threads)
            title = f"{label}, batch {batch_size}, {used} thread{'s' * (used > 1)}"
            result.notes.append(_when_it_pays(title, samples, *compiling))
            result.tables.append(_table(title, samples, n_rows * epochs))
            result.bars += _bars(title, batch_size, samples)
    result.notes.append(
        f"The whole fit of {OURS} includes checking the input for NaN and infinity, and encoding "
        f"labels. Its Adam is fused by default, as in the line {FUSED!r}; torch's own default "
        f"is not. The epochs of {COMPILED} are those after the first, "
        "its whole fit has one more than the others."
    )
    return result


def _table(title: str, samples: dict[str, list[Sample]], n_trained: int) -> str:
    ours = seconds_of(samples[OURS])
    rows = []
    for name, own in samples.items():
        ratio = "" if name == OURS else Ratio.of(ours, seconds_of(own))
        cpu = median(own, "cpu") / n_trained * 1e6
        figures = (f"{median(own, field):.3f}" for field in ("seconds", "whole"))
        rows.append([name, *figures, ratio, f"{cpu:.2f}", f"{median(own, 'peak_mb'):.0f}"])
    header = ["", "s an epoch", "s in all", "ours to it", "CPU us a row", "peak MB more"]
    return table(header, rows, f"**{title}**")


def _when_it_pays(title: str, samples: dict[str, list[Sample]], cold: float, warm: float) -> str:
    saved = median(samples[OURS], "seconds") - median(samples[COMPILED], "seconds")
    first, again = (
        f"from epoch {math.ceil(seconds / saved)}" if saved > 0 else "never"
        for seconds in (cold, warm)
    )
    return (
        f"{title}: `compile=True` compiles for {cold:.1f} s, and for {warm:.1f} s where torch has "
        f"kept the result of an earlier fit; it pays {first}, and {again}."
    )


def _bars(title: str, batch_size: int, samples: dict[str, list[Sample]]) -> list[Bar]:
    """What was promised, held against the loop with the same optimizer as ours."""
    ours, compiled = seconds_of(samples[OURS]), seconds_of(samples[COMPILED])
    limit = Ratio.of(ours, seconds_of(samples[FUSED]))
    text = f"{title}, time of the hand-written loop with the same fused Adam"
    bars = [Bar(text, limit.median, str(limit), at_most=1.05)]
    sklearn = Ratio.of(compiled, seconds_of(samples[SKLEARN]))
    text = f"{title}, compiled, time of {SKLEARN}, compiling apart,"
    bars.append(Bar(text, sklearn.median, str(sklearn), at_most=1.0))
    if batch_size in (128, 1024):
        theirs = next(own for name, own in samples.items() if name.startswith(SKORCH))
        faster = Ratio.of(seconds_of(theirs), ours)
        least = 2.5 if batch_size == 128 else 5
        text = f"{title}, times as fast as skorch"
        bars.append(Bar(text, faster.median, str(faster), at_least=least))
    return bars
