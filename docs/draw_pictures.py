"""Draw the pictures of README and docs: ``python docs/draw_pictures.py`` rewrites docs/_static.

Another folder may be named. The fits are real ones, so times differ from machine to machine.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

import sklearnish as sn

mpl.use("Agg")

from matplotlib import pyplot as plt

DPI = 90


def sorted_sums(x):
    """Compute features of a row; it stands for any work that is done row by row."""
    return x.sort().values.cumsum(0)


def shifted(x, rng):
    """Shift an image by up to a pixel, and add noise."""
    moved = x.roll(tuple(rng.integers(-1, 2, size=2).tolist()), (1, 2))
    return moved + 0.1 * moved.max() * x.new_tensor(rng.random(x.shape))


def waiting(folder: Path) -> None:
    """Draw where the time of two fits went: one waits for its rows, the other does not."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 32), dtype=np.float32)
    slow = sn.as_dataset(X, X[:, 0] + X[:, 1] > 0).map(sorted_sums)
    clf = sn.TorchClassifier(max_epochs=5, num_workers=0, random_state=0)
    clf.fit(slow[:500])  # what is done once in a process is not of interest here
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
    with tempfile.TemporaryDirectory() as cache:
        fits = {
            "Functions of rows run in each epoch": slow,
            "After ds.cache": slow.cache(f"{cache}/x"),
        }
        for ax, (name, data) in zip(axes, fits.items(), strict=True):
            report = replace(clf.fit(data).pipeline_report_, source="20,000 rows")
            sn.plotting.PipelineReportDisplay.from_report(report, ax=ax)
            ax.set_title(f"{name}\n{ax.get_title(loc='left')}", loc="left", fontsize="medium")
    figure.savefig(folder / "waiting.png", dpi=DPI)


def history(folder: Path) -> None:
    """Draw the epochs of two fits."""
    X, y = load_digits(return_X_y=True)
    fits = {
        f"lr={lr:g}": sn.TorchClassifier(
            max_epochs=25, lr=lr, early_stopping=True, monitor="accuracy", random_state=0
        ).fit(X, y)
        for lr in (0.0003, 0.003)
    }
    display = sn.plotting.HistoryDisplay.from_estimator(fits)
    display.figure_.savefig(folder / "history.png", dpi=DPI)


def batch(folder: Path) -> None:
    """Draw images after augmentation."""
    digits = load_digits()
    ds = sn.as_dataset(digits.images[:, None].astype(np.float32), digits.target)
    display = sn.plotting.BatchDisplay.from_dataset(ds, augment=shifted, n_rows=20)
    display.figure_.savefig(folder / "batch.png", dpi=DPI)


def search(folder: Path) -> None:
    """Draw a search over two parameters."""
    X, y = load_digits(return_X_y=True)
    clf = sn.TorchClassifier(max_epochs=5, random_state=0)
    grid = {"batch_size": [32, 128, 512], "lr": [1e-4, 1e-3, 1e-2]}
    found = GridSearchCV(clf, grid, cv=3, scoring="accuracy").fit(X, y)
    display = sn.plotting.SearchDisplay.from_estimator(found)
    display.figure_.savefig(folder / "search.png", dpi=DPI)


def main(folder: Path) -> None:
    """Draw all of them."""
    waiting(folder)
    history(folder)
    batch(folder)
    search(folder)
    for path in sorted(folder.glob("*.png")):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else Path(__file__).parent / "_static").resolve())
