"""Processes that train together are asked for the same fit, where each of them runs the program."""

import json
from typing import Any

import numpy as np

from sklearnish.data import Dataset, fingerprint
from sklearnish.estimators._fitting.labels import targets
from sklearnish.training import World, spell

_LOOKED_AT = 1000
"""Rows that are compared."""

_PLAIN = (type(None), bool, int, float, str)


def check_alike(estimator: Any, data: Dataset, valid: Dataset | None, world: World) -> None:
    """Compare parameters and some rows with those of the first process, and raise in all.

    Raises
    ------
    ValueError
        If they differ: gradients of one net would be added to those of another.
    """
    if world.size == 1:
        return
    own = _described(estimator, data, valid)
    first = json.loads(world.same_bytes(json.dumps(own).encode()))
    differs = world.numbers_of_all([own.get(name) != told for name, told in first.items()])
    for rank, flags in enumerate(differs):
        names = [name for name, flag in zip(first, flags, strict=True) if flag]
        if names:
            raise ValueError(
                f"Processes 0 and {rank} of this fit differ in {', '.join(names)}. Each process "
                "runs the program, and must call fit with the same parameters and the same rows "
                "in the same order: give what draws at random a seed, such as "
                "train_test_split(X, y, random_state=0)."
            )


def _described(estimator: Any, data: Dataset, valid: Dataset | None) -> dict[str, str]:
    """Say what a fit depends on, by the names that the user knows."""
    params = estimator.get_params(deep=False)
    kept = set(params) - {n for n, p in estimator._parameters.items() if not p.in_fingerprint}
    found = {"the class of the estimator": spell(type(estimator))}
    found |= {f"the parameter {name}": _told(params[name]) for name in sorted(kept)}
    for rows, name in ((data, "the rows"), (valid, "the validation rows")):
        found[name] = "none" if rows is None else _of_rows(rows)
    return found


def _told(value: Any) -> str:
    """Write a plain value out; of another, only what it is: a module may begin with any weights."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) in _PLAIN:
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_told, value))}]"
    if isinstance(value, dict):
        return ", ".join(sorted(f"{_told(name)}: {_told(one)}" for name, one in value.items()))
    return spell(value if callable(value) and hasattr(value, "__name__") else type(value))


def _of_rows(data: Dataset) -> str:
    """Hash some rows: by their numbers and labels, and what is in memory by its values."""
    n, source = len(data), data.source
    places = np.unique(np.linspace(0, n - 1, _LOOKED_AT).astype(np.int64))
    rows, weight = data.rows[places].astype(np.int64), data.weight
    parts = [n, source.n_rows, rows, None if weight is None else weight[places]]
    if not source.uses_global_generators:  # a torch Dataset may draw its items, labels included
        parts.append(targets(data)[places])
    if source.in_memory:
        parts.append(source.read(rows, list(source.schema)))
    return fingerprint(*parts)
