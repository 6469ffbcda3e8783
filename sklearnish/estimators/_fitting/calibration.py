"""Probabilities that are as sure as they are right."""

import math

import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

_MOST = math.log(20)
"""By what factor logits may be scaled, up or down."""

_EVEN = torch.tensor(0.5, dtype=torch.float64)


def temperature(logits: Tensor, y: Tensor, weight: Tensor | None) -> float:
    """Return by what logits are divided to have the least loss, after Guo et al. (2017).

    "On calibration of modern neural networks", https://arxiv.org/abs/1706.04599. The labels are
    numbers of classes, or floats from 0 to 1 for each of several labels, or one label. To become
    surer takes more: n rows that are all right do not show that fewer than one in n is wrong, so
    that one more row counts then, of which each label is as likely.
    """
    found = _best(logits.double(), y, weight, 0.0)
    if found >= 1:
        return found
    n_rows = len(y) if weight is None else float(weight.sum() ** 2 / (weight**2).sum())
    return min(1.0, _best(logits.double(), y, weight, 1 / (n_rows + 1)))


def _best(logits: Tensor, y: Tensor, weight: Tensor | None, unknown: float) -> float:
    """Return the temperature of the least loss, where a share of the labels is unknown."""

    def loss(log: float) -> float:
        scaled = logits / math.exp(log)
        if y.is_floating_point():
            of_labels = torch.lerp(y.double().reshape(scaled.shape), _EVEN, unknown)
            losses = F.binary_cross_entropy_with_logits(scaled, of_labels, reduction="none")
            losses = losses.flatten(1).mean(1) if losses.ndim > 1 else losses
        else:
            losses = F.cross_entropy(scaled, y.long(), reduction="none", label_smoothing=unknown)
        total = losses.mean() if weight is None else (losses * weight).sum() / weight.sum()
        return float(total)

    with torch.no_grad():
        found = minimize_scalar(loss, bounds=(-_MOST, _MOST), method="bounded")
    return math.exp(found.x)
