"""Which rows are held out for early stopping."""

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def hold_out(
    n_rows: int, fraction: float, labels: npt.NDArray[np.int64] | None, seed: int
) -> tuple[IntArray, IntArray]:
    """Split positions into training and held-out ones, ascending; by class if labels are given.

    Each class gives its share of the held-out rows and keeps at least one.
    """
    if n_rows < 2:
        raise ValueError(
            f"early_stopping holds rows out, but there is {n_rows} row to train on; pass X_val "
            "and y_val, or early_stopping=False."
        )
    rng = np.random.default_rng(seed)
    held = np.zeros(n_rows, dtype=bool)
    if labels is None:
        held[_some(np.arange(n_rows), fraction, rng)] = True
    else:
        order = np.argsort(labels, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
            held[_some(rows, fraction, rng)] = True
    if not held.any():  # classes so small that none gives a row
        held[rng.integers(n_rows)] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _some(rows: IntArray, fraction: float, rng: np.random.Generator) -> IntArray:
    """Draw a share of rows, all but one at most."""
    n = min(round(fraction * len(rows)), len(rows) - 1)
    return rng.choice(rows, n, replace=False)
