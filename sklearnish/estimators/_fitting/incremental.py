"""Rows for an estimator that learns in parts, and what it learns from them."""

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier, is_regressor
from sklearn.multioutput import MultiOutputClassifier
from sklearn.utils import check_consistent_length, check_random_state, get_tags
from sklearn.utils.validation import _check_sample_weight, _check_y

from sklearnish.data import Batch, Dataset, concat, prepare_loader, shown, with_codes
from sklearnish.estimators._fitting import labels
from sklearnish.estimators._fitting.epochs import with_labels
from sklearnish.estimators._fitting.inputs import check_some_rows, to_dataset
from sklearnish.estimators._fitting.rows import rows_that_train

Array = npt.NDArray[Any]


def check_learns_in_parts(estimator: Any) -> None:
    """Refuse an estimator that needs all rows at once."""
    if not isinstance(estimator, type) and hasattr(estimator, "partial_fit"):
        return
    if isinstance(estimator, type):
        raise TypeError(
            f"estimator is the class {estimator.__name__}; wanted an instance, such as "
            f"{estimator.__name__}()."
        )
    raise TypeError(
        f"{shown(estimator)} has no partial_fit, so it cannot learn from one batch after the "
        "other. Use one that has, such as SGDClassifier, SGDRegressor, MiniBatchKMeans or "
        "IncrementalPCA; or, for a transformer, sklearnish.preprocessing.Streamed, which fits "
        "others to a sample of the rows."
    )


def rows_of(
    estimator: Any, X: Any, y: Any, weight: Any, *, reset: bool, classes: Any = None
) -> Dataset:
    """Make a Dataset with encoded targets, if they are needed, and with weights."""
    if reset:
        vars(estimator).pop("classes_", None)
    dataset = to_dataset(estimator, X, reset=reset)
    check_some_rows(dataset)
    dataset = dataset._as_arrays_are()
    weight = dataset.weight if weight is None else weight
    if weight is not None:
        weight = _check_sample_weight(weight, dataset, dtype=np.float64, ensure_non_negative=True)
        _check_takes_weights(estimator)
    if not get_tags(estimator.estimator).target_tags.required:
        return rows_that_train(dataset.without_target().with_weight(weight))
    attach = with_codes if labels.are_own_labels(dataset, y) else Dataset.with_target
    y = labels.array_of_targets(dataset.target if y is None else y, estimator, X)
    check_consistent_length(dataset, y)
    codes = _codes(estimator, y, reset=reset, classes=classes)
    return rows_that_train(attach(dataset, codes).with_weight(weight))


def _check_takes_weights(estimator: Any) -> None:
    """Refuse weights that would not be used."""
    if estimator.sampler == "weighted" or "sample_weight" in _arguments(estimator.estimator):
        return
    raise TypeError(
        f"partial_fit of {type(estimator.estimator).__name__} takes no sample_weight. Fit without "
        'weights (ds.with_weight(None)), or with sampler="weighted", which draws rows by them.'
    )


def _arguments(estimator: Any) -> Any:
    """List the arguments of partial_fit."""
    return inspect.signature(estimator.partial_fit).parameters


def _codes(estimator: Any, y: Array, *, reset: bool, classes: Any) -> Array:
    """Check targets: numbers, or labels, of which the places among the classes are returned."""
    if not is_classifier(estimator):
        numbers: Array = _check_y(y, multi_output=True, y_numeric=is_regressor(estimator))
        return numbers
    y, multilabel, distinct = labels.check_labels(y)
    if reset:
        known = np.arange(y.shape[1]) if multilabel else distinct
        estimator.classes_ = known if classes is None else np.unique(np.asarray(classes))
    elif classes is not None and not np.array_equal(np.unique(classes), estimator.classes_):
        raise ValueError(
            f"classes={np.asarray(classes)} is not the same as in the first call to partial_fit, "
            f"{estimator.classes_}."
        )
    return y if multilabel else labels.number_labels(y, estimator.classes_)


def learn(estimator: Any, fitted: Any, rows: Dataset, *, epochs: int, past: int) -> None:
    """Give the rows to partial_fit, batch after batch."""
    if past == 0:
        estimator._seed = _seed(estimator.random_state)
    least = _least(fitted)
    estimator.batch_size_ = max(int(estimator.batch_size), least)
    once = _once(estimator, fitted) if past == 0 else {}
    with prepare_loader(
        rows,
        batch_size=estimator.batch_size_,
        epochs=epochs,
        first_epoch=past,
        sampler=with_labels(estimator.sampler, lambda: _labelled(estimator, rows)),
        seed=estimator._seed,
        shuffle_memory=estimator.shuffle_memory,
        num_workers=estimator.num_workers,
        timeout=estimator.worker_timeout,
    ) as loader:
        for _ in range(epochs):
            for batch in merged(loader, least):
                fitted.partial_fit(*_arrays(estimator, batch), **once, **_weight(estimator, batch))
                once = {}


def _seed(random_state: Any) -> int:
    """Take a number as it is, so that a loop over ds.batches has the same order."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _least(estimator: Any) -> int:
    """Say of how many rows an estimator can learn at once."""
    sizes = [getattr(estimator, name, 0) for name in ("n_components", "n_clusters")]
    return max(int(size) for size in [*sizes, 1] if isinstance(size, int | np.integer))


def _once(estimator: Any, fitted: Any) -> dict[str, Any]:
    """Name the classes, in the first call."""
    if not is_classifier(estimator) or "classes" not in _arguments(fitted):
        return {}
    if isinstance(fitted, MultiOutputClassifier):  # which wants those of each label
        return {"classes": [np.arange(2)] * len(estimator.classes_)}
    return {"classes": estimator.classes_}


def _labelled(estimator: Any, rows: Dataset) -> Dataset:
    """Show a sampler the user's labels."""
    y = rows.target
    return rows if y is None else rows.with_target(_decoded(estimator, y))


def _decoded(estimator: Any, y: Array) -> Array:
    """Turn places among the classes into labels."""
    if not is_classifier(estimator) or y.ndim > 1:
        return y
    labels: Array = estimator.classes_[y]
    return labels


def merged(batches: Iterable[Batch], least: int) -> Iterator[Batch]:
    """Join a batch of too few rows to the one before it."""
    held: Batch | None = None
    for batch in batches:
        if held is not None and len(batch) >= least:
            yield held
        held = batch if held is None or len(batch) >= least else concat([held, batch])
    if held is not None:
        yield held


def _arrays(estimator: Any, batch: Batch) -> tuple[Array, ...]:
    """Make arrays of a batch, with the user's labels."""
    if isinstance(batch.X, dict):
        raise ValueError(
            f"Rows are dicts of {', '.join(batch.X)}, but estimators of scikit-learn take one "
            "matrix. Pass it, as np.column_stack(list(X.values())) makes it."
        )
    X = batch.X.numpy()
    return (X,) if batch.y is None else (X, _decoded(estimator, batch.y.numpy()))


def _weight(estimator: Any, batch: Batch) -> dict[str, Any]:
    """Pass weights on, unless rows are drawn by them."""
    if batch.weight is None or estimator.sampler == "weighted":
        return {}
    return {"sample_weight": batch.weight.numpy()}
