"""Batch normalisation by the rows that all processes have of a batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sklearnish.training._world import World


@contextmanager
def synchronised(module: nn.Module, world: World) -> Iterator[None]:
    """Let layers of batch normalisation use the statistics of whole batches, for a while.

    They stay what they are, and predict as before. ``nn.SyncBatchNorm`` is another class, and
    knows GPUs alone.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    for layer in layers:
        layer.forward = MethodType(partial(_forward, world), layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def is_synchronised(module: nn.Module) -> bool:
    """Say whether a module has layers that all processes must call at once."""
    return any("forward" in vars(layer) for layer in module.modules())


def _forward(world: World, layer: Any, X: Tensor) -> Tensor:
    """Normalise; in training, by the rows of all processes."""
    if not layer.training:
        normal: Tensor = type(layer).forward(layer, X)
        return normal
    layer._check_input_dim(X)
    axes, shape = [0, *range(2, X.ndim)], [1, -1, *[1] * (X.ndim - 2)]
    own = X.new_tensor([X.numel() / X.shape[1]])
    sums, n = _sum_of_all(torch.cat([X.sum(axes), own]), world).split([X.shape[1], 1])
    mean = sums / n
    away = X - mean.view(shape)
    variance = _sum_of_all(away.square().sum(axes), world) / n
    _track(layer, mean.detach(), variance.detach(), n.detach())
    normal = away * torch.rsqrt(variance + layer.eps).view(shape)
    if layer.affine:
        normal = normal * layer.weight.view(shape) + layer.bias.view(shape)
    return normal


@torch.no_grad()
def _track(layer: Any, mean: Tensor, variance: Tensor, n: Tensor) -> None:
    """Move the running statistics, as torch does."""
    if not layer.track_running_stats:
        return
    layer.num_batches_tracked.add_(1)
    momentum = layer.momentum
    if momentum is None:  # a mean over all batches
        momentum = 1.0 / float(layer.num_batches_tracked)
    unbiased = variance * (n / (n - 1).clamp(min=1))
    layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), momentum)
    layer.running_var.lerp_(unbiased.to(layer.running_var.dtype), momentum)


def _sum_of_all(tensor: Tensor, world: World) -> Any:
    """Add a tensor up over all processes."""
    return _SumOfAll.apply(tensor, world)  # type: ignore[no-untyped-call]


class _SumOfAll(torch.autograd.Function):
    """Adds up over all processes; what the sum changes is the sum of what it changes in each."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, world: World) -> Tensor:
        """Add up."""
        ctx.world = world
        total = tensor.clone()
        world.add_up([total])
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Add up, too."""
        total = gradients[0].clone()
        ctx.world.add_up([total])
        return total, None
