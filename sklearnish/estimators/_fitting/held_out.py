"""The rows on which every epoch is evaluated: passed or held out, read once, and scored."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import get_tags

from sklearnish.data import (
    WHOLE,
    Batch,
    Dataset,
    Share,
    check_rows_alone,
    last_windows,
    narrow,
    read_finite,
    to_device,
    warn,
    with_codes,
)
from sklearnish.estimators._fitting.labels import targets
from sklearnish.estimators._fitting.monitor import check_monitor, make_score, name_of
from sklearnish.estimators._fitting.rows import weighed
from sklearnish.estimators._fitting.sizes import batch_rows
from sklearnish.training import EarlyStopping, Net

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]


def check_validation(estimator: Any, X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
    """Refuse parts of validation rows, and warn of a fraction that holds nothing out."""
    if X_val is None and (y_val is not None or sample_weight_val is not None):
        raise ValueError("y_val and sample_weight_val need X_val, their rows; it is None.")
    check_rows_alone(X_val)
    required = get_tags(estimator).target_tags.required
    without = required and not isinstance(X_val, torch.utils.data.Dataset)
    if required and isinstance(X_val, Dataset):
        without = X_val.target is None
    if X_val is not None and y_val is None and without:
        raise ValueError(
            "X_val has no targets: y_val is None. Pass both, fit(X, y, X_val=X_val, y_val=y_val), "
            "or as X_val a Dataset that has a target."
        )
    check_monitor(estimator.monitor)
    name = estimator._called.get("validation_fraction", "validation_fraction")
    default = getattr(type(estimator), name)
    fraction = estimator.validation_fraction
    if fraction != default and not (estimator.early_stopping and X_val is None):
        why = "X_val is given" if X_val is not None else "early_stopping=False"
        cure = "leave out X_val" if X_val is not None else "set early_stopping=True"
        warn(
            f"validation_fraction={fraction} has no effect, since {why}: no rows are held out. To "
            f"hold that share of the rows out, {cure}.",
            UserWarning,
        )


def rows_held_out(estimator: Any, data: Dataset) -> tuple[IntArray, IntArray]:
    """Split positions into training and held-out ones; of windows over a series, the last ones.

    Raises
    ------
    ValueError
        If no window is left that shares no row with those held out.
    """
    fraction = estimator.validation_fraction
    if not data.gap:
        return hold_out(len(data), fraction, estimator._strata(targets(data)), estimator._seed)
    n = min(max(1, round(fraction * len(data))), len(data) - 1)
    rows, rest = last_windows(data, n)
    if not len(rows):
        raise ValueError(
            f"early_stopping holds out the last {n} of {len(data)} windows, and all others share "
            "rows with them. Pass X_val and y_val, or a smaller validation_fraction."
        )
    return rows, rest


def hold_out(
    n_rows: int, fraction: float, labels: npt.NDArray[np.int64] | None, seed: int
) -> tuple[IntArray, IntArray]:
    """Split positions into training and held-out ones, ascending; by class if labels are given.

    Each class gives its share of the held-out rows and keeps at least one.
    """
    if n_rows < 2:
        raise ValueError(
            "early_stopping holds rows out, but there is one sample (row) to train on; "
            "pass X_val and y_val, or early_stopping=False."
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


def validation_options(
    estimator: Any, valid: Dataset, net: Net, share: Share = WHOLE
) -> dict[str, Any]:
    """Say how the net evaluates itself on its share of these rows, and when it stops."""
    valid, weight = weighed(estimator, valid, training=False)
    size = batch_rows(valid.row_nbytes, estimator.predict_batch_size)
    to_loss = with_codes(valid, estimator._to_loss(targets(valid)))
    rows = _validation_rows(to_loss, size, torch.device(net.device), share)
    options: dict[str, Any] = {"valid": rows}
    monitor = estimator.monitor
    loss = isinstance(monitor, str) and monitor == "loss"
    if not loss:
        y = estimator._from_codes(targets(valid))
        options["score"] = make_score(estimator, monitor, y, weight)
    if estimator.early_stopping:
        options["stopping"] = EarlyStopping(
            patience=estimator._patience(), tol=estimator.tol, greater_is_better=not loss
        )
        options["monitor"] = f"valid_{name_of(monitor)}"
    return options


def _validation_rows(
    dataset: Dataset, size: int, device: torch.device, share: Share
) -> list[Batch]:
    """Read the rows to the device, so that an epoch reads its blocks for training alone.

    All processes have as many batches; the last may be empty.
    """
    start, stop = share.between(len(dataset))
    positions = np.arange(start, max(stop, start + 1)) % len(dataset)
    whole = to_device(read_finite(dataset, positions), device)
    starts = range(0, -(-len(dataset) // share.size), size)
    return [narrow(whole, first, min(first + size, stop - start)) for first in starts]
