"""`num_workers="auto"` against the best of a fixed grid, the whole fit, tuning included."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import sklearnish as sn
from tests.benchmarks._harness import (
    Contender,
    Ratio,
    Sample,
    in_turn,
    median,
    own_caches,
    seconds_of,
)
from tests.benchmarks._page import Bar, Result, table
from tests.benchmarks._parquet import PIECE, write_parquet
from tests.benchmarks.c1_arrays import make_arrays
from tests.benchmarks.c6_images import write_pictures

AUTO = 'num_workers="auto"'
GRID = (0, 1, 2)
ARRAY_ROWS = {"quick": 4_000, "default": 20_000, "full": 100_000}
PIECES = {"quick": 1, "default": 2, "full": 16}
PICTURES = {"quick": 40, "default": 120, "full": 2_000}
EPOCHS = {"quick": 1, "default": 2, "full": 2}
ROUNDS = {"quick": 1, "default": 3, "full": 3}
SIDE = 64


class Dense(nn.Module):
    """Light or heavy, by its width."""

    def __init__(self, in_features: int, out_features: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_features, hidden), nn.ReLU(), nn.Linear(hidden, out_features)
        )

    def forward(self, X: Tensor) -> Tensor:
        return self.layers(X)


class Convolutions(nn.Module):
    """Light or heavy, by its channels."""

    def __init__(self, out_features: int, channels: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, channels, 5, stride=stride),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(16 * channels, out_features),
        )

    def forward(self, X: Tensor) -> Tensor:
        return self.layers(X.float() / 255)


@dataclass
class Work:
    """Data that is opened anew for each fit, a module, and what auto chose."""

    open: Callable[[], tuple[Any, Any]]
    module: type[nn.Module]
    params: dict[str, int]
    batch_size: int
    epochs: int
    chosen: list[str] = field(default_factory=list)

    def fit(self, num_workers: int | str) -> float:
        """Seconds of a whole fit."""
        begun = time.perf_counter()
        clf = sn.TorchClassifier(
            self.module,
            module_params=self.params,
            batch_size=self.batch_size,
            max_epochs=self.epochs,
            num_workers=num_workers,
            random_state=0,
        )
        clf.fit(*self.open())
        seconds = time.perf_counter() - begun
        if num_workers == "auto":
            report = clf.pipeline_report_
            workers = f", {report.num_workers} workers" if report.num_workers else ""
            self.chosen.append(f"{report.mode}{workers} ({report.reason})")
        return seconds


def run(size: str) -> Result:
    result = Result(
        f"The whole fit of {EPOCHS[size]} epochs, opening and tuning included, with {AUTO} and "
        f"with {', '.join(map(str, GRID))} workers, on arrays ({ARRAY_ROWS[size]:,} x 100), "
        f"Parquet ({PIECES[size] * PIECE:,} x 64) and a folder of {PICTURES[size]:,} JPEG, each "
        "with a light and a heavy module. The best of the grid is that of the least median."
    )
    header = ["", AUTO, *(f"{n} workers" for n in GRID), "speed of the best", "auto chose"]
    rows = []
    with tempfile.TemporaryDirectory() as folder, own_caches(folder):
        for title, work in _works(Path(folder), size).items():
            print(f"  {title}", flush=True)
            contenders: dict[str, Contender] = {
                str(n): partial(work.fit, n) for n in ("auto", *GRID)
            }
            samples = in_turn(contenders, ROUNDS[size])
            rows.append([title, *_figures(samples), *_verdict(result, title, samples, work)])
    result.tables.append(table(header, rows, "**seconds of a fit (CPU seconds)**"))
    return result


def _works(folder: Path, size: str) -> dict[str, Work]:
    X, y = make_arrays(ARRAY_ROWS[size])
    parquet = write_parquet(folder / "data.parquet", PIECES[size] * PIECE)
    write_pictures(folder / "pictures", PICTURES[size])

    def scanned(scan: Callable[[], Any]) -> tuple[Any, Any]:
        ds = scan()
        return ds, ds.target

    arrays = partial(tuple, (X, y))
    rows = partial(scanned, partial(sn.scan_parquet, parquet, target="y"))
    pictures = partial(scanned, partial(sn.scan_images, folder / "pictures", size=SIDE))
    light, heavy = {"hidden": 16}, {"hidden": 256}
    few, many = {"channels": 4, "stride": 4}, {"channels": 16, "stride": 1}
    kinds: dict[str, tuple[Any, type[nn.Module], dict[str, int], int]] = {
        "arrays, light": (arrays, Dense, light, 1024),
        "arrays, heavy": (arrays, Dense, heavy, 1024),
        "Parquet, light": (rows, Dense, light, 1024),
        "Parquet, heavy": (rows, Dense, heavy, 1024),
        "JPEG, light": (pictures, Convolutions, few, 64),
        "JPEG, heavy": (pictures, Convolutions, many, 64),
    }
    return {title: Work(*kind, EPOCHS[size]) for title, kind in kinds.items()}


def _figures(samples: dict[str, list[Sample]]) -> list[str]:
    return [f"{median(own, 'seconds'):.2f} ({median(own, 'cpu'):.2f})" for own in samples.values()]


def _verdict(result: Result, title: str, samples: dict[str, list[Sample]], work: Work) -> list[Any]:
    """Hold auto against the best of the grid, and say what it chose."""
    best = min(map(str, GRID), key=lambda n: median(samples[n], "seconds"))
    speed = Ratio.of(seconds_of(samples[best]), seconds_of(samples["auto"]))
    text = f"{title}, speed of {AUTO} to that of {best} workers, the best,"
    result.bars.append(Bar(text, speed.median, str(speed), at_least=0.95))
    return [speed, "; ".join(sorted(set(work.chosen[1:])))]
