"""The units of a regressor's targets: what changes with them, and what float32 makes of them."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from sklearnish.data import IN_FLOAT64
from sklearnish.modules import QuantileLoss

Array = npt.NDArray[Any]

_POWERS = {nn.MSELoss: 2, nn.HuberLoss: 2, nn.L1Loss: 1, nn.SmoothL1Loss: 1, QuantileLoss: 1}
"""Losses that a change of units multiplies by a power of it."""

_COARSE = 0.001
"""Rounding, as a share of the deviation of the target, from which on predictions are float64."""

_BEYOND = 100
"""Deviations of the target from its mean that predictions may have in float32."""


def scales(criterion: Any) -> bool:
    """Say whether a loss, class or instance, allows the target to be standardised."""
    criterion = nn.MSELoss if criterion is None else criterion
    return (criterion if isinstance(criterion, type) else type(criterion)) in _POWERS


def loss_units(criterion: nn.Module, scale: Array) -> Array:
    """Return by what a loss of standardised targets is multiplied."""
    units: Array = scale ** _POWERS.get(type(criterion), 0)
    return units


def is_far(mean: Array, scale: Array) -> bool:
    """Say whether float32 would round targets by much, for how little they vary, or overflow."""
    mean, limits = np.abs(mean), np.finfo(np.float32)
    step = np.maximum(limits.eps * mean, np.where(scale > 0, limits.smallest_subnormal, 0.0))
    return bool(((step > _COARSE * scale) | (mean > limits.max - _BEYOND * scale)).any())


def check_range(y: Array) -> None:
    """Refuse targets that float32 cannot hold."""
    bad = np.abs(y) > np.finfo(np.float32).max
    if bad.any():
        row = int(np.argwhere(bad)[0, 0])
        raise ValueError(
            f"y contains {y[bad][0]:g} (row {row}), which is beyond float32; divide y by a "
            f"constant, take its logarithm, or {IN_FLOAT64}."
        )
