"""What a net trains with, looked at before torch takes it: settings, then the state they reached.

Building a net calls what its settings name, and with no more than a file of its size may ask for.
The state of optimizer and schedule is taken by torch as it is.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearnish.persistence._trust import Trust, unwrapped
from sklearnish.training import Net

_MOST_BOUND = 2**12
"""Values of one argument of an optimizer or a schedule."""

_KINDS = {"optimizer": torch.optim.Optimizer, "lr_schedule": torch.optim.lr_scheduler.LRScheduler}

_STEPS = frozenset({"step", "eta", "mu", "mu_product"})
"""States of optimizers that are one number, whatever the shape of the weight."""


def check_called(settings: dict[str, Any], trust: Trust) -> None:
    """Refuse settings of a net that call anything but what sn.save would name."""
    for name, kind in _KINDS.items():
        value = unwrapped(settings[name])
        right = isinstance(value, type) and issubclass(value, kind)
        if not (right or value is None or isinstance(value, str) or trust.chose(value)):
            raise ValueError(f"its {name} is {value!r}, which is no {kind.__name__}.")
        for argument in bound(settings[name]):
            _check_argument(argument, f"an argument of its {name}", trust)
    for name, value in settings.items():
        if name not in _KINDS:
            _check_argument(value, f"its {name}", trust)


def _check_argument(value: Any, where: str, trust: Trust) -> None:
    """Refuse code that the user has not named, and more values than make sense."""
    if (n := longest(value)) > _MOST_BOUND:
        raise ValueError(f"{where} has {n:,} values; the limit is {_MOST_BOUND:,}.")
    if isinstance(value, list | tuple):
        for item in value:
            _check_argument(item, where, trust)
    elif isinstance(value, dict):
        _check_argument(list(value.values()), where, trust)
    elif callable(value) and not trust.calls(value, frozenset()):
        raise ValueError(f"{where} is {value!r}, which is not trusted to be called by it.")


def bound(function: Any) -> Iterator[Any]:
    """Yield what functools.partial binds to a function or class."""
    while isinstance(function, partial):
        yield function.args
        yield function.keywords
        function = function.func


def longest(value: Any) -> int:
    """Count the values of the longest container in what something is built with."""
    if isinstance(value, Tensor | np.ndarray):
        return int(np.prod(value.shape))
    if isinstance(value, Mapping):
        return max(len(value), longest(list(value.values())))
    if isinstance(value, list | tuple | set | frozenset):
        return max(len(value), *map(longest, value), 0)
    return 1


def load_descent(net: Net, state: dict[str, Any], trust: Trust) -> None:
    """Let an optimizer and its schedule go on from a state that a stranger may have written."""
    descent = net.descent_
    descent.start(net.lr_schedule, state["steps"])
    if not trust.chose(unwrapped(net.optimizer)):
        _check_groups(net.optimizer_, state["optimizer"])
        _check_state(net.optimizer_, state["optimizer"])
    if descent.schedule is not None and not trust.chose(unwrapped(net.lr_schedule)):
        fresh = descent.schedule.state_dict()
        _check_schedule(
            fresh | fresh["scheduler"], state["schedule"] | state["schedule"]["scheduler"]
        )
    descent.load_state_dict(net.lr_schedule, state)


def _check_groups(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Refuse options that the optimizer does not have."""
    for group, other in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        if unknown := sorted(map(str, set(other) - set(group))):
            raise ValueError(f"its optimizer has {unknown[:5]}, which sn.save never writes.")


def _check_state(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Refuse states of another shape than their weights: fused steps do not look at shapes."""
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    places = [place for group in saved["param_groups"] for place in group["params"]]
    weight_at = dict(zip(places, weights, strict=True))
    for place, state in saved["state"].items():
        weight = weight_at[place]
        for name, value in state.items():
            wanted = torch.Size() if name in _STEPS else weight.shape
            if isinstance(value, Tensor) and value.shape != wanted:
                raise ValueError(
                    f"its optimizer has {name!r} of shape {tuple(value.shape)} for a weight of "
                    f"shape {tuple(weight.shape)}."
                )


def _check_schedule(fresh: dict[str, Any], saved: dict[str, Any]) -> None:
    """Refuse a state that is more than numbers in the place of numbers.

    torch makes attributes of all of it, those of the functions that a schedule calls included.
    """
    for name, value in saved.items():
        if name != "scheduler" and not (name in fresh and _goes_on(fresh[name], value)):
            raise ValueError(f"its schedule has {name!r} of another kind than sn.save writes.")


def _goes_on(fresh: Any, value: Any) -> bool:
    """Say whether a value can be what has become of a fresh one."""
    if isinstance(fresh, list) and isinstance(value, list) and fresh != value:
        return len(fresh) == len(value) and all(map(_goes_on, fresh, value))
    if isinstance(fresh, Tensor) or isinstance(value, Tensor):
        return isinstance(fresh, Real | Tensor) and isinstance(value, Real | Tensor)
    if isinstance(fresh, bool) or not isinstance(fresh, Real):
        return type(fresh) is type(value) and (isinstance(fresh, bool) or bool(fresh == value))
    return isinstance(value, Real) and not isinstance(value, bool)
