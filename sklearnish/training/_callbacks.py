"""skorch's callbacks: which of them can be used, and what they are shown."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EpochScoring,
    InputShapeSetter,
    PassthroughScoring,
    PrintLog,
)
from skorch.dataset import Dataset as SkorchDataset
from skorch.exceptions import SkorchException
from skorch.history import History

from sklearnish.data import Batch, Dataset, to_device
from sklearnish.training._epochs.stopping import raised_to_stop

BATCH_HOOKS = ("on_batch_begin", "on_batch_end")

_SCORING = (BatchScoring, EpochScoring, PassthroughScoring)

_ROWS = 4096
"""Rows of a Dataset that a callback predicts for at a time."""


def check_callbacks(callbacks: Any) -> None:
    """Refuse what has none of the methods that skorch calls, and what cannot work here."""
    for given in callbacks or []:
        callback = given[1] if isinstance(given, tuple) and len(given) == 2 else given
        if hasattr(callback, "on_fit_task_end"):
            raise TypeError(
                f"callbacks has {given!r}, which is a callback of scikit-learn. `callbacks` takes "
                "those of skorch; pass scikit-learn's to estimator.set_callbacks(...)."
            )
        if not hasattr(callback, "on_train_begin"):
            raise TypeError(
                f"callbacks has {given!r}, which is no callback of skorch. Pass a list of them, "
                "such as [skorch.callbacks.EarlyStopping()], or of pairs (name, callback)."
            )
        if issubclass(callback if isinstance(callback, type) else type(callback), InputShapeSetter):
            raise ValueError(
                "InputShapeSetter cannot be used: the module is built before the callbacks are "
                "called. Remove it, and name the parameter `in_features` in the module's "
                "__init__: fit passes the number of inputs there."
            )


def check_scored(callbacks: Sequence[tuple[str, Callback]], valid: Any) -> None:
    """Refuse callbacks that score validation rows where there are none: they record nothing."""
    for _, callback in callbacks:
        if valid is None and isinstance(callback, _SCORING) and not callback.on_train:
            raise ValueError(
                f"Callback {type(callback).__name__} scores validation rows, but there are none. "
                "Pass X_val and y_val to fit, or set early_stopping=True, which holds rows out "
                "and stops by itself; or give the callback on_train=True to score training rows."
            )


def end_epoch(net: NeuralNet, rows: dict[str, Any]) -> bool:
    """Tell callbacks of the end of an epoch; say whether one raised skorch's way to stop."""
    stop = False
    for _, callback in net.callbacks_:
        verbose = net.verbose
        # PrintLog prints, which is asked for by passing it, although the fit itself is silent.
        net.verbose = max(verbose, isinstance(callback, PrintLog))
        try:
            callback.on_epoch_end(net, **rows)
        except KeyboardInterrupt as interrupt:
            if not raised_to_stop(interrupt):
                raise
            stop = True
        except (KeyError, SkorchException) as error:
            if "valid_" not in str(error) or "valid_loss" in net.history[-1]:
                raise
            raise ValueError(
                f"Callback {type(callback).__name__} found no validation loss ({error.args[0]}) "
                "Pass X_val and y_val to fit, or set early_stopping=True, which holds rows out and "
                "stops by itself; or let the callback monitor 'train_loss'."
            ) from error
        finally:
            net.verbose = verbose
    return stop


def hooks_of(callbacks: Sequence[tuple[str, Callback]]) -> frozenset[str]:
    """Name the hooks of a batch that some callback defines."""
    return frozenset(
        name
        for name in (*BATCH_HOOKS, "on_grad_computed")
        for _, callback in callbacks
        if getattr(type(callback), name) is not getattr(Callback, name)
    )


def end_gradients(net: NeuralNet, batch: Batch) -> None:
    """Tell callbacks of the gradients of a step, of which this batch is the last."""
    named = list(net.get_all_learnable_params())
    net.notify("on_grad_computed", named_parameters=named, batch=batch[:2], training=True)


def record_batch(history: History, loss: float, size: int, prefix: str) -> None:
    """Write a batch's record to the history."""
    history.record_batch(f"{prefix}_loss", loss)
    history.record_batch(f"{prefix}_batch_size", size)


def record_batches(
    history: History, losses: Iterable[float], sizes: Iterable[int], prefix: str
) -> None:
    """Write the records of an epoch's batches at its end."""
    for loss, size in zip(losses, sizes, strict=True):
        history.new_batch()
        record_batch(history, loss, size, prefix)


class ShownRows(SkorchDataset):
    """Rows as callbacks know them: X for `predict`, and y, the targets that the loss takes."""

    def __init__(self, X: Any, y: Any) -> None:
        super().__init__(X, y, length=len(y))


def shown(dataset: Dataset | None, valid: Sequence[Batch] | None) -> dict[str, Any]:
    """Show rows to callbacks, by the names under which skorch passes them."""
    return {"dataset_train": shown_rows(dataset), "dataset_valid": shown_batches(valid)}


def shown_rows(dataset: Dataset | None) -> ShownRows | None:
    """Show training rows to callbacks."""
    return None if dataset is None else ShownRows(dataset.without_target(), dataset.target)


def shown_batches(valid: Sequence[Batch] | None) -> ShownRows | None:
    """Show validation rows to callbacks."""
    if valid is None:
        return None
    return ShownRows(list(valid), torch.cat([batch.y for batch in valid if batch.y is not None]))


def batches_of(X: Any, device: torch.device, dtype: torch.dtype) -> Iterator[Batch]:
    """Bring rows of any kind that callbacks have to the device, batch by batch."""
    X = X.X if isinstance(X, ShownRows) else X
    if isinstance(X, list):
        yield from X
    elif isinstance(X, Dataset):
        for start in range(0, len(X), _ROWS):
            rows = X.read(np.arange(start, min(start + _ROWS, len(X))))
            yield to_device(rows, device)
    else:
        yield Batch(torch.as_tensor(np.asarray(X)).to(device, dtype))
