"""Which fit this is: the folder of its checkpoints."""

import os
from pathlib import Path
from typing import Any

from sklearn.utils._param_validation import InvalidParameterError

from sklearnish.data import Dataset, fingerprint, fingerprint_of_rows
from sklearnish.estimators._fitting.sizes import choose_schedule
from sklearnish.training import Checkpoints

_FORMAT = 2
"""Counted up when a fit of the same name could no longer be resumed."""


def check_dir(folder: Any) -> None:
    """Refuse what names no folder; an empty text would stand for the current one."""
    if isinstance(folder, str | os.PathLike | None) and folder != "":
        return
    raise InvalidParameterError(
        f"checkpoint_dir={folder!r} names no folder. Pass the name of one (str or pathlib.Path), "
        "such as 'checkpoints', or None to keep no checkpoints."
    )


def check_can_resume(estimator: Any) -> None:
    """Refuse what could not be recognised, or not be put back, after an interruption."""
    if estimator.checkpoint_dir is None:
        return
    if Path(estimator.checkpoint_dir).expanduser().is_file():
        raise NotADirectoryError(
            f"checkpoint_dir={str(estimator.checkpoint_dir)!r} is a file. Pass a folder; it is "
            "created if it does not exist."
        )
    if estimator.random_state is None:
        raise ValueError(
            "checkpoint_dir needs random_state: with None every fit draws another seed, so no "
            "fit could be resumed. Pass a number, such as random_state=0."
        )
    if estimator.callbacks:
        raise ValueError(
            "checkpoint_dir cannot be used with callbacks: their state is not saved, so a "
            "resumed fit could differ. Use only one of them."
        )


def checkpoints_of(
    estimator: Any, data: Dataset, valid: Dataset | None, net: Any, *, resumable: bool
) -> Checkpoints:
    """Find the checkpoints of the fit of these rows, which may continue from an earlier net."""
    if estimator.checkpoint_dir is None or not resumable:
        return Checkpoints(None)
    chosen = {
        "batch_size": estimator.batch_size_,
        "max_epochs": estimator.max_epochs_,
        "lr_schedule": choose_schedule(estimator, len(data)),
    }
    params = estimator.get_params(deep=False) | chosen
    left_out = {n for n, one in estimator._parameters.items() if not one.in_fingerprint}
    scale = [vars(estimator).get(name) for name in ("target_mean_", "target_scale_")]
    earlier = None if net is None else (net.module_.state_dict(), len(net.history), scale)
    name = fingerprint(
        _FORMAT,
        type(estimator),
        {n: _in_order(params[n]) for n in sorted(set(params) - left_out)},
        estimator._seed,
        getattr(estimator, "classes_", None),
        fingerprint_of_rows(data),
        None if valid is None else fingerprint_of_rows(valid),
        earlier,
    )
    past = 0 if net is None else len(net.history)
    return Checkpoints(Path(estimator.checkpoint_dir).expanduser() / name, past)


def _in_order(value: Any) -> Any:
    """Sort the names in a parameter: in which order a dict was written says nothing."""
    if type(value) is not dict:
        return value
    return dict(sorted(value.items(), key=lambda item: fingerprint(item[0])))
