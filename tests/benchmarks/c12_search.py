"""A grid search over Parquet beside the fits that it is made of, and the rows it reads."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold

import sklearnish as sn
from tests.benchmarks._harness import PAIRS, Ratio, in_turn, seconds_of
from tests.benchmarks._page import Bar, Result, table
from tests.benchmarks._parquet import PIECE, Perceptron, write_parquet

ROWS = {"quick": PIECE, "default": 8 * PIECE, "full": 64 * PIECE}
GRID = {"batch_size": [1024, 2048, 4096], "lr": [1e-3, 1e-2]}
SEARCH, FITS = "search", "fits and scores"


class Work:
    """A dataset, and the search or its parts."""

    def __init__(self, path: Path) -> None:
        self.ds = sn.scan_parquet(path, target="y")
        self.folds = list(StratifiedKFold(3).split(np.empty(len(self.ds)), self.ds.target))
        self.fit_seconds: list[float] = []

    def search(self) -> float:
        begun = time.perf_counter()
        GridSearchCV(_classifier(), GRID, cv=3, refit=False).fit(self.ds, self.ds.target)
        return time.perf_counter() - begun

    def fits(self) -> float:
        """The same fits and scores, one after the other; the fits alone are kept apart."""
        fitting = scoring = 0.0
        for params in ParameterGrid(GRID):
            for train, test in self.folds:
                clf = clone(_classifier()).set_params(**params)
                begun = time.perf_counter()
                clf.fit(self.ds[train], self.ds.target[train])
                fitted = time.perf_counter()
                clf.score(self.ds[test], self.ds.target[test])
                fitting += fitted - begun
                scoring += time.perf_counter() - fitted
        self.fit_seconds.append(fitting)
        return fitting + scoring

    def count_rows(self) -> list[list[Any]]:
        """Rows read by the fit and the score of each fold, beside those of its row groups."""
        lines = []
        for number, (train, test) in enumerate(self.folds, start=1):
            clf = _classifier(batch_size=4096)
            fit_rows = self._read_by(lambda t=train, c=clf: c.fit(self.ds[t], self.ds.target[t]))
            score_rows = self._read_by(lambda t=test, c=clf: c.score(self.ds[t], self.ds.target[t]))
            ideal = self._rows_of_groups(train), self._rows_of_groups(test)
            lines.append([number, len(train), fit_rows, ideal[0], score_rows, ideal[1]])
        return lines

    def _read_by(self, action: Any) -> int:
        before = self.ds.source.rows_read
        action()
        return int(self.ds.source.rows_read - before)

    def _rows_of_groups(self, rows: npt.NDArray[np.int64]) -> int:
        """Rows of all row groups that hold at least one of the rows."""
        blocks = self.ds.source.blocks
        touched = np.unique(np.searchsorted(blocks, rows, side="right") - 1)
        return int(np.diff(blocks)[touched].sum())


def _classifier(**params: Any) -> Any:
    return sn.TorchClassifier(Perceptron, max_epochs=1, random_state=0, **params)


def run(size: str) -> Result:
    n_rows, threads = ROWS[size], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            work = Work(write_parquet(Path(folder, "data.parquet"), n_rows))
            pairs = 1 if size == "quick" else PAIRS
            samples = in_turn({SEARCH: work.search, FITS: work.fits}, pairs)
            counted = work.count_rows()
    finally:
        torch.set_num_threads(threads)
    search, parts = seconds_of(samples[SEARCH]), seconds_of(samples[FITS])
    whole, fits = Ratio.of(search, parts), Ratio.of(search, work.fit_seconds[-pairs:])
    surplus = max(line[2] / line[3] for line in counted)
    header = ["fold", "rows to fit", "read", "in its row groups", "read by score", "in its groups"]
    return Result(
        f"{n_rows:,} x 64 float32 in Parquet, row groups of {PIECE:,}; 6 candidates, 3 folds, "
        "one epoch, `refit=False`, against 18 fits of `ds[train]`, each scored on `ds[test]`.",
        [table(header, counted, "**rows read per fold**")],
        [
            Bar("search, time of its 18 fits and scores", whole.median, str(whole), at_most=1.10),
            Bar(
                "rows read by a fit, and to try the module on one, of those in its row groups",
                surplus,
                f"{surplus:.3f}",
                at_most=1.01,
            ),
        ],
        [f"The search takes {fits} of the time of the 18 fits alone, without their scores."],
    )
