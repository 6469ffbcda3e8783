"""Which fit this is: the folder of its checkpoints."""

from pathlib import Path
from typing import Any

from sklearnish.data import Dataset
from sklearnish.training import Checkpoints, fingerprint, fingerprint_of_rows

_FORMAT = 1
"""Counted up when a fit of the same name would no longer go on as it began."""

_WHERE = (
    *("device", "isolate", "num_threads", "num_workers", "pin_memory", "verbose"),
    "worker_timeout",
)
"""Parameters that say where and how fast something is computed, not what."""

_ELSEWHERE = ("callbacks", "checkpoint_dir", "random_state", "warm_start")
"""Parameters that are refused, or whose effect is known in another way: seed, earlier net."""


def check_can_resume(estimator: Any) -> None:
    """Refuse what could not be recognised, or not be put back, after an interruption."""
    if estimator.checkpoint_dir is None:
        return
    if Path(estimator.checkpoint_dir).expanduser().is_file():
        raise NotADirectoryError(
            f"checkpoint_dir={str(estimator.checkpoint_dir)!r} is a file; give a folder, which is "
            "made if it is not there."
        )
    if estimator.random_state is None:
        raise ValueError(
            "checkpoint_dir needs random_state: with None every fit draws another seed, so none "
            "could go on from a checkpoint. Pass a number, such as random_state=0."
        )
    if estimator.callbacks:
        raise ValueError(
            "checkpoint_dir and callbacks cannot be combined: what a callback remembers is not in "
            "a checkpoint, so a resumed fit would not be the uninterrupted one. Leave one out."
        )


def checkpoints_of(
    estimator: Any, data: Dataset, valid: Dataset | None, net: Any, *, resumable: bool
) -> Checkpoints:
    """Find the checkpoints of the fit of these rows, which may go on from an earlier net."""
    if estimator.checkpoint_dir is None or not resumable:
        return Checkpoints(None)
    params = estimator.get_params(deep=False)
    scale = [vars(estimator).get(name) for name in ("target_mean_", "target_scale_")]
    earlier = None if net is None else (net.module_.state_dict(), len(net.history), scale)
    name = fingerprint(
        _FORMAT,
        type(estimator),
        {name: params[name] for name in sorted(set(params) - {*_WHERE, *_ELSEWHERE})},
        estimator._seed,
        getattr(estimator, "classes_", None),
        fingerprint_of_rows(data),
        None if valid is None else fingerprint_of_rows(valid),
        earlier,
    )
    past = 0 if net is None else len(net.history)
    return Checkpoints(Path(estimator.checkpoint_dir).expanduser() / name, past)
