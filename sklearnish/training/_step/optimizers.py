"""Optimizers by name, and what changes their learning rate."""

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from sklearnish.training._step.classic import EpsilonFirstAdam
from sklearnish.training._step.loss import check_arguments, spell
from sklearnish.training._step.muon import Muon

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "muon": Muon,
    "sgd": torch.optim.SGD,
}
_FUSED = (
    *(torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.Adagrad),
    *(EpsilonFirstAdam, Muon),
)


def make_optimizer(
    optimizer: Callable[..., Optimizer], groups: list[dict[str, Any]], options: dict[str, Any]
) -> Optimizer:
    """Build the optimizer, fused where torch can: one kernel instead of several a weight."""
    if not any(group["params"] for group in groups):
        raise ValueError("module has no parameters to train.")
    check_arguments(optimizer, options, "optimizer")
    if optimizer in _FUSED and not {"fused", "foreach", "differentiable"} & set(options):
        options = {**options, "fused": _can_fuse(groups)}
    try:
        built = optimizer(groups, **options)
    except TypeError as error:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise TypeError(
            f"optimizer {spell(optimizer)} cannot be built with {given}: {error}. Correct "
            "optimizer_params; see the documentation of the optimizer."
        ) from error
    for group in built.param_groups:
        group["lr"] *= group.pop("lr_factor", 1.0)
    return built


def _can_fuse(groups: list[dict[str, Any]]) -> bool:
    """Say whether torch has a fused kernel for these weights."""
    return all(
        torch.is_floating_point(p)
        and p.device.type in ("cpu", "cuda")
        and p.layout is torch.strided
        for group in groups
        for p in group["params"]
    )


def take_step(optimizer: Optimizer) -> None:
    """Call the optimizer's step, without torch's wrapper around it if that has nothing to do.

    The wrapper records the step for a profiler, which takes as long as a fused step of a small
    module, and calls hooks. Learning-rate schedulers wrap the step again, to count.
    """
    step = type(optimizer).step
    if getattr(step, "hooked", False) and "step" not in vars(optimizer) and not _hooks(optimizer):
        step.__wrapped__(optimizer)  # type: ignore[attr-defined]
    else:
        optimizer.step()


def _hooks(optimizer: Optimizer) -> bool:
    """Say whether something is to be called before or after a step."""
    return bool(
        optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or _global_optimizer_pre_hooks
        or _global_optimizer_post_hooks
    )


class Schedule:
    """A learning-rate schedule, told of every step and every epoch."""

    def __init__(self, scheduler: Any, *, per_step: bool, total: int = 0) -> None:
        self.scheduler = scheduler
        self.per_step = per_step
        self.left = total

    def step(self) -> None:
        """Note one step of the optimizer."""
        if self.per_step and self.left > 0:
            self.left -= 1
            self.scheduler.step()

    def epoch(self, loss: float) -> None:
        """Note the end of an epoch."""
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(loss)
        elif not self.per_step:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Return where it is."""
        return {"left": self.left, "scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        self.left = state["left"]
        self.scheduler.load_state_dict(state["scheduler"])


def make_schedule(schedule: Any, optimizer: Optimizer, total_steps: int) -> Schedule | None:
    """Build the schedule: None, one that is named here, or a scheduler class of torch."""
    if schedule is None:
        return None
    if schedule in _SHAPES:
        shaped = LambdaLR(optimizer, partial(_SHAPES[schedule], total_steps))
        return Schedule(shaped, per_step=True, total=total_steps)
    if schedule == "onecycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        cycle = OneCycleLR(optimizer, peaks, total_steps=total_steps + 1)
        return Schedule(cycle, per_step=True, total=total_steps)
    return Schedule(_own_schedule(schedule, optimizer), per_step=False)


def _cosine(total: int, step: int) -> float:
    """Fall from 1 to 0 along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * min(step / total, 1)))


def _warmup_stable_decay(total: int, step: int) -> float:
    """Rise over the first twentieth, stay at 1, and fall over the last two fifths."""
    return max(0.0, min((step + 1) / (0.05 * total), 1.0, (total - step) / (0.4 * total)))


def _triangular(total: int, step: int) -> float:
    """Rise from a fifth to 1 over the first quarter, and fall to nearly 0."""
    peak = 0.25 * total
    return max(0.01, min(0.2 + 0.8 * step / peak, (total - step) / (total - peak)))


_SHAPES = {
    "cosine": _cosine,
    "triangular": _triangular,
    "warmup-stable-decay": _warmup_stable_decay,
}


def _own_schedule(schedule: Any, optimizer: Optimizer) -> Any:
    """Call the user's scheduler class, or a partial of one, with the optimizer."""
    needed = [
        name
        for name, p in list(inspect.signature(schedule).parameters.items())[1:]
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    if needed:
        name = spell(schedule)
        raise ValueError(
            f"lr_schedule={name} needs {', '.join(needed)} besides the optimizer; pass "
            f"functools.partial({name}, {'=..., '.join(needed)}=...)."
        )
    built = schedule(optimizer)
    if not (hasattr(built, "step") and hasattr(built, "state_dict")):
        raise TypeError(
            f"lr_schedule={spell(schedule)} was called with the optimizer and returned {built!r}; "
            "wanted a scheduler. Pass a class of torch.optim.lr_scheduler or a functools.partial "
            "of one; for a function of the epoch, functools.partial(LambdaLR, lr_lambda=function)."
        )
    return built
