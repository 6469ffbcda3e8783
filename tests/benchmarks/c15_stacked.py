"""Candidates that differ in numbers alone: apart, apart over cached rows, and stacked.

The trial of docs/decisions/023: processor seconds, so that other programs count less.
"""

import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

import sklearnish as sn
from tests.benchmarks._harness import Ratio, in_turn, median, one_thread, seconds_of
from tests.benchmarks._page import Result, table
from tests.benchmarks.c6_images import CLASSES, _noise

PICTURES = {"quick": 60, "default": 1_000, "full": 5_000}
ROWS = {"quick": 600, "default": 10_000, "full": 50_000}
ROUNDS = {"quick": 1, "default": 3, "full": 5}
SIDE, EPOCHS, N_FEATURES = 64, 2, 20
LRS, DECAYS = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2], [0.0, 1e-4, 1e-2]
SEED = int(np.random.RandomState(0).randint(2**31 - 1))
"""What `fit` draws from ``random_state=0``: the same order of rows on both sides."""

APART, CACHED = "`GridSearchCV`", "`GridSearchCV` over `ds.cache(folder)`"
STACKED, BOTH = "stacked, by `vmap`", "stacked, over `ds.cache(folder)`"

Scores = npt.NDArray[np.float64]
Forward = Callable[[dict[str, Tensor], Tensor], Tensor]


class Light(nn.Sequential):
    """One small convolution: decoding is most of the work."""

    def __init__(self) -> None:
        first = nn.Conv2d(3, 8, 5, stride=4)
        pooled = nn.AdaptiveAvgPool2d(4)
        super().__init__(first, nn.ReLU(), pooled, nn.Flatten(), nn.Linear(128, CLASSES))

    def forward(self, X: Tensor) -> Tensor:
        return super().forward(X.float() / 255)


class Deeper(nn.Sequential):
    """Two convolutions: training is most of the work."""

    def __init__(self) -> None:
        first, second = nn.Conv2d(3, 16, 3, stride=2), nn.Conv2d(16, 32, 3, stride=2)
        end = nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, CLASSES)
        super().__init__(first, nn.ReLU(), second, nn.ReLU(), *end)

    def forward(self, X: Tensor) -> Tensor:
        return super().forward(X.float() / 255)


class Perceptron(nn.Sequential):
    def __init__(self) -> None:
        inner = nn.Linear(N_FEATURES, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()
        super().__init__(*inner, nn.Linear(64, CLASSES))


class StackedAdam:
    """Adam with a learning rate and a weight decay for each candidate."""

    def __init__(self, weights: list[Tensor], grid: list[dict[str, float]]) -> None:
        self._weights, self._steps = weights, 0
        self._mean, self._square = ([torch.zeros_like(w) for w in weights] for _ in range(2))
        self._lr = self._for_each("lr", grid)
        self._decay = self._for_each("optimizer__weight_decay", grid)

    def _for_each(self, name: str, grid: list[dict[str, float]]) -> list[Tensor]:
        values = torch.tensor([params[name] for params in grid])
        return [values.view(-1, *[1] * (w.ndim - 1)) for w in self._weights]

    @torch.no_grad()
    def step(self, gradients: Any) -> None:
        self._steps += 1
        gradients = torch._foreach_addcmul(gradients, self._weights, self._decay)
        torch._foreach_lerp_(self._mean, gradients, 0.1)
        torch._foreach_mul_(self._square, 0.999)
        torch._foreach_addcmul_(self._square, gradients, gradients, 0.001)
        root = torch._foreach_sqrt(self._square)
        torch._foreach_div_(root, (1 - 0.999**self._steps) ** 0.5)
        torch._foreach_add_(root, 1e-8)
        moved = torch._foreach_mul(self._mean, self._lr)
        torch._foreach_div_(moved, 0.9**self._steps - 1)
        torch._foreach_addcdiv_(self._weights, moved, root)


class Search:
    """A grid over a dataset, the folds, and the weights that all begin with."""

    def __init__(self, ds: Any, module: nn.Module, n_lr: int, n_decay: int, batch: int) -> None:
        self.ds, self.module, self.batch = ds, module, batch
        self.params = {"lr": LRS[:n_lr], "optimizer__weight_decay": DECAYS[:n_decay]}
        self.folds = list(StratifiedKFold(3).split(np.empty(len(ds)), ds.target))
        self.scores: dict[str, Scores] = {}

    def apart(self, name: str, rows: Callable[[], Any]) -> float:
        begun, ds = time.process_time(), rows()
        clf = sn.TorchClassifier(
            self.module,
            batch_size=self.batch,
            max_epochs=EPOCHS,
            lr_schedule=None,
            num_workers=0,
            num_threads=1,
            device="cpu",
            random_state=0,
        )
        search = GridSearchCV(clf, self.params, cv=self.folds, refit=False, error_score="raise")
        results = search.fit(ds, ds.target).cv_results_
        self.scores[name] = np.stack([results[f"split{f}_test_score"] for f in range(3)])
        return time.process_time() - begun

    def stacked(self, name: str, rows: Callable[[], Any]) -> float:
        begun, ds = time.process_time(), rows()
        base = copy.deepcopy(self.module).to("meta")
        forward = vmap(lambda weights, X: functional_call(base, weights, (X,)), (0, None))
        self.scores[name] = np.stack([self._fold(ds[i], ds[j], forward) for i, j in self.folds])
        return time.process_time() - begun

    def _fold(self, train: Any, test: Any, forward: Forward) -> Scores:
        """Train all candidates on one stream of batches; return the accuracy of each."""
        grid = list(ParameterGrid(self.params))
        weights = stack_module_state([self.module] * len(grid))[0]
        weights = {name: w.detach().requires_grad_() for name, w in weights.items()}
        leaves = list(weights.values())
        adam = StackedAdam(leaves, grid)
        for X, y in train.batches(
            self.batch, shuffle=True, epochs=EPOCHS, random_state=SEED, num_workers=0
        ):
            answers = forward(weights, X).flatten(0, 1)
            losses = nn.functional.cross_entropy(answers, y.repeat(len(grid)), reduction="sum")
            adam.step(torch.autograd.grad(losses / len(y), leaves))
        with torch.no_grad():
            right = [
                (forward(weights, X).argmax(-1) == y).sum(1)
                for X, y in test.batches(1024, num_workers=0)
            ]
        return torch.stack(right).sum(0).double().numpy() / len(test)


def write_pictures(folder: Path, n: int) -> Path:
    """Write JPEGs of 64 to 224 pixels a side, which differ in colour by class."""
    rng = np.random.default_rng(0)
    canvas = _noise(rng, 2000)
    for i in range(n):
        (height, width), (top, left) = rng.integers(64, 225, 2), rng.integers(0, 1500, 2)
        piece, label = canvas[top : top + height, left : left + width].astype(int), i % CLASSES
        piece[..., label % 3] += 6 * label
        path = folder / f"class {label}" / f"{i:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(piece.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return folder


def run(size: str) -> Result:
    result = Result(
        "Processor seconds of one process on one core, three folds, two epochs, Adam, candidates "
        "of `lr` and `weight_decay`, no refit. Caching is part of the time. All have the same "
        "first weights and batches."
    )
    with one_thread(), tempfile.TemporaryDirectory() as name:
        ds = sn.scan_images(write_pictures(Path(name, "pictures"), PICTURES[size]), size=SIDE)
        for net in (Light, Deeper):
            _pictures(result, ds, net, Path(name, net.__name__), ROUNDS[size])
        for batch in (128, 512):
            _rows(result, ROWS[size], batch, ROUNDS[size])
    return result


def _pictures(result: Result, ds: Any, net: type[nn.Module], folder: Path, rounds: int) -> None:
    torch.manual_seed(0)
    search, new = Search(ds, net(), 3, 2, 64), _new_folders(folder)
    contenders = {
        APART: partial(search.apart, APART, lambda: ds),
        CACHED: partial(search.apart, CACHED, lambda: ds.cache(next(new))),
        STACKED: partial(search.stacked, STACKED, lambda: ds),
        BOTH: partial(search.stacked, BOTH, lambda: ds.cache(next(new))),
    }
    title = f"{len(ds):,} JPEGs to {SIDE} x {SIDE}, `{net.__name__}`, 6 candidates, batch 64"
    _measure(result, title, search, contenders, rounds)


def _rows(result: Result, n: int, batch: int, rounds: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, N_FEATURES)).astype(np.float32)
    y = (X @ rng.normal(size=(N_FEATURES, CLASSES)) + rng.gumbel(size=(n, CLASSES))).argmax(1)
    torch.manual_seed(0)
    ds = sn.as_dataset(X, y)
    search = Search(ds, Perceptron(), 6, 3, batch)
    contenders = {
        APART: partial(search.apart, APART, lambda: ds),
        STACKED: partial(search.stacked, STACKED, lambda: ds),
    }
    title = f"{n:,} x {N_FEATURES} in memory, MLP 64-64, 18 candidates, batch {batch}"
    _measure(result, title, search, contenders, rounds)


def _new_folders(parent: Path) -> Iterator[Path]:
    parent.mkdir()
    return (parent / str(i) for i in count())


def _measure(
    result: Result, title: str, search: Search, contenders: dict[str, Any], rounds: int
) -> None:
    print(f"  {title}", flush=True)
    samples, lines = in_turn(contenders, rounds), []
    for name, own in samples.items():
        ratio = Ratio.of(seconds_of(samples[APART]), seconds_of(own))
        differ = np.abs(search.scores[name] - search.scores[APART]).max()
        lines.append([name, f"{median(own, 'seconds'):.2f}", str(ratio), f"{differ:.5f}"])
    header = ["", "seconds", "apart takes", "largest difference of a score"]
    result.tables.append(table(header, lines, f"**{title}**"))
