"""How far a score falls when the values of one column are shuffled among the rows."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.metrics import check_scoring
from sklearn.utils import Bunch, check_random_state

from sklearnish.data import Dataset, read_frames

IntArray = npt.NDArray[np.int64]


def permutation_importance(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    scoring: Any = None,
    n_repeats: int = 5,
    random_state: Any = None,
    sample_weight: Any = None,
) -> Bunch:
    """Measure how much a fitted model relies on each column [1]_.

    The rows of a Dataset are read as they are scored, and nothing is copied but the values of one
    column at a time. Anything else is handed to :func:`sklearn.inspection.permutation_importance`.

    Parameters
    ----------
    estimator : estimator
        A fitted model, or a Pipeline of one.
    X : Dataset, DataFrame or array-like of shape (n_rows, n_columns)
        Rows, better those that the model has not seen. If a row is in a Dataset several times, it
        gets the same shuffled value each time.
    y : array-like of shape (n_rows,), default=None
        Targets. None takes those of the Dataset.
    scoring : str or callable, default=None
        The score; None is the ``score`` of the estimator.
    n_repeats : int, default=5
        How often each column is shuffled.
    random_state : int, RandomState instance or None, default=None
        Where the random orders come from.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the rows in the score.

    Returns
    -------
    Bunch
        `importances`, an array of shape (n_columns, n_repeats): the score of the rows as they are
        less that with the column shuffled; `importances_mean` and `importances_std` of shape
        (n_columns,).

    Raises
    ------
    ValueError
        If `n_repeats` is below 1, there are no targets, or functions of tensors are applied to the
        rows of a Dataset, which then has no columns to shuffle.
    TypeError
        If `scoring` is several scores and X a Dataset.

    References
    ----------
    .. [1] L. Breiman, "Random Forests", Machine Learning 45 (2001).

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import sklearnish as sn
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"size": rng.normal(size=300), "noise": rng.normal(size=300)})
    >>> ds = sn.as_dataset(frame, y=2 * frame["size"])
    >>> reg = sn.TorchRegressor(random_state=0).fit(ds)
    >>> found = sn.inspection.permutation_importance(reg, ds, random_state=0)
    >>> (found.importances_mean > 0.5).tolist()
    [True, False]
    """
    if isinstance(n_repeats, bool) or not isinstance(n_repeats, int) or n_repeats < 1:
        raise ValueError(f"n_repeats must be an integer of at least 1, got {n_repeats!r}.")
    options = {} if sample_weight is None else {"sample_weight": sample_weight}
    if not isinstance(X, Dataset):
        from sklearn.inspection import permutation_importance as in_memory

        options |= {"scoring": scoring, "n_repeats": n_repeats, "random_state": random_state}
        return in_memory(estimator, X, y, **options)
    y = _targets(X, y)
    if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
        raise TypeError(
            f"scoring={scoring!r} must be one name or one function for a Dataset, which is read "
            "for each score: call permutation_importance once for each of several."
        )
    scorer, named = check_scoring(estimator, scoring), hasattr(X, "columns")
    rng = check_random_state(random_state)
    rows, first = np.unique(X.rows, return_index=True)
    score = scorer(estimator, X, y, **options)
    falls = []
    for place in range(X.row_shape[0]):
        values = _column(X[first], place)
        for _ in range(n_repeats):
            shuffled = _Shuffled(place, rows, values.take(rng.permutation(len(rows))), named)
            changed = X.map_frames(shuffled, frame="arrow")
            falls.append(score - scorer(estimator, changed, y, **options))
    importances = np.reshape(falls, (-1, n_repeats))
    return Bunch(
        importances_mean=importances.mean(1),
        importances_std=importances.std(1),
        importances=importances,
    )


def _targets(X: Dataset, y: Any) -> Any:
    """Take the targets of the Dataset where none are given, and refuse rows without columns."""
    if X.transforms:
        raise ValueError(
            f"The rows of {X.source.name} pass through functions of tensors (ds.map or "
            "ds.map_batches), after which there are no columns to shuffle. Pass the Dataset before "
            "them, and a Pipeline that applies them."
        )
    y = X.target if y is None else y
    if y is None:
        raise ValueError(f"{X.source.name} has no target. Pass y, or scan it with target=...")
    return y


def _column(X: Dataset, place: int) -> Any:
    """Read the values of a column as they are stored, in the order of the rows."""
    pieces, positions = zip(*read_frames(X[:, [place]], frame="arrow"), strict=True)
    order = np.argsort(np.concatenate(positions))
    return pa.concat_tables(pieces).unify_dictionaries().column(0).take(order)


class _Shuffled:
    """Gives other values to a column, as a function of frames: the same to a row wherever it is."""

    draws, takes_rows = False, True

    def __init__(self, place: int, rows: IntArray, values: Any, named: bool) -> None:
        self.place, self.rows, self.values, self.named = place, rows, values, named

    def __call__(self, table: pa.Table, rows: IntArray) -> Any:
        """Put the values of these rows, by their numbers in the source, into their column."""
        values = self.values.take(np.searchsorted(self.rows, rows))
        changed = table.set_column(self.place, table.column_names[self.place], values)
        return changed if self.named else np.column_stack(changed.columns)
