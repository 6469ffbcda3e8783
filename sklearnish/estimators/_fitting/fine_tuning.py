"""Which parts of a module are frozen, and which learn at what rate, at first and later."""

from numbers import Real
from typing import Any

from torch import nn

from sklearnish import training
from sklearnish.training import Net


def parts_of(estimator: Any, module: nn.Module) -> tuple[list[str], dict[str, float]]:
    """Check the names of parts that are frozen, or learn at rates of their own."""
    names, factors = estimator.freeze, estimator._lr_factors()
    freeze = [names] if isinstance(names, str) else list(names or ())
    if not all(isinstance(name, str) for name in freeze):
        raise TypeError(
            f"freeze={names!r} must be a name of a part of the module, or a list of names."
        )
    for name, factor in factors.items():
        number = isinstance(factor, Real) and not isinstance(factor, bool)
        if not (isinstance(name, str) and number and 0 < factor < float("inf")):
            raise ValueError(
                f"lr_factors has {name!r}: {factor!r}; wanted names of parts of the module and "
                "positive numbers, such as {'head': 10.0}. To keep weights, use freeze."
            )
    if factors and "param_groups" in (estimator.optimizer_params or {}):
        raise ValueError(
            "lr_factors and optimizer_params={'param_groups': ...} both make groups of weights. "
            "Use one of them: learning rates in lr_factors, or all options in param_groups."
        )
    training.check_parts(module, freeze, "freeze")
    training.check_parts(module, list(factors), "lr_factors")
    return freeze, {name: float(factor) for name, factor in factors.items()}


def take_over(estimator: Any, net: Net) -> None:
    """Let a net that goes on freeze what is asked for now, and learn at the rate of now."""
    net.freeze, factors = parts_of(estimator, net.module_)
    if factors != (net.lr_factors or {}):
        raise ValueError(
            f"lr_factors={factors} differs from {net.lr_factors or {}} before, and partial_fit "
            "keeps the optimizer with its groups of weights. Put it back; or call fit with "
            "warm_start=True, which keeps the weights and makes a new optimizer."
        )
    if estimator.lr != net.lr:
        _check_rate_can_change(estimator, net)
        net.descent_.multiply_lr(estimator.lr / net.lr)
        net.lr = estimator.lr


def _check_rate_can_change(estimator: Any, net: Net) -> None:
    """Refuse another rate where it is not `lr` alone that says what it is."""
    own = {"lr", "param_groups"} & set(estimator.optimizer_params or {})
    if own or not isinstance(net.lr_schedule, str | None):
        what = (
            f"optimizer_params has {own.pop()!r}"
            if own
            else "lr_schedule goes on from call to call"
        )
        raise ValueError(
            f"lr={estimator.lr} differs from {net.lr} before, and partial_fit cannot change it, "
            f"since {what}. Put it back; or call fit with warm_start=True, which keeps the weights "
            "and makes a new optimizer."
        )
