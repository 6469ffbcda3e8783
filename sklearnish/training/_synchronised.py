"""Batch normalisation by the rows that all processes have of a batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from sklearnish.training._world import ALONE, World

_HALF = (torch.float16, torch.bfloat16)


@contextmanager
def synchronised(step: Any, world: World) -> Iterator[None]:
    """Let the steps of a fit normalise by whole batches."""
    step.normalising = world
    try:
        yield
    finally:
        step.normalising = ALONE


def batch_norms(module: nn.Module) -> list[nn.Module]:
    """List layers of batch normalisation."""
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


@contextmanager
def whole_batches(module: nn.Module, world: World, *, counts: bool = True) -> Iterator[None]:
    """Let layers normalise by the rows of all processes, for one step.

    They stay what they are, also for callbacks, which are called between steps: a layer computes
    what it always does, but where it calls torch's function, ours answers. ``nn.SyncBatchNorm`` is
    another class, and knows GPUs alone.
    """
    mode = _WholeBatches(world, counts)
    kept = [(vars(layer), vars(layer).get("forward")) for layer in batch_norms(module)]
    for layer in batch_norms(module):
        layer.forward = partial(mode.call, layer.forward)
    try:
        yield
    finally:
        for attributes, forward in kept:
            del attributes["forward"]
            if forward is not None:
                attributes["forward"] = forward


class _WholeBatches(TorchFunctionMode):
    """Normalises by the rows of all processes, which call the same layers in the same order.

    Parameters
    ----------
    world : World
        The processes.
    counts : bool
        Whether the rows of this process are among those of the batch.
    """

    def __init__(self, world: World, counts: bool) -> None:
        super().__init__()
        self._world, self._counts = world, counts

    def call(self, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a layer; backward does it once more, if it recomputes activations."""
        with self:
            return forward(*args, **kwargs)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Answer for batch normalisation."""
        asked = self._normalise if func is functional.batch_norm else func
        return asked(*args, **kwargs or {})

    def _normalise(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """Take the arguments of torch's function; half precision is added up in float32."""
        if not training:
            return functional.batch_norm(
                input, running_mean, running_var, weight, bias, training, momentum, eps
            )
        X = input.float() if input.dtype in _HALF else input
        axes, shape = [0, *range(2, X.ndim)], [1, -1, *[1] * (X.ndim - 2)]
        mean, n = self._mean(X, axes)
        away = X - mean.view(shape)
        variance = self._total(away.square().sum(axes)) / n
        if running_mean is not None and running_var is not None:
            _track(running_mean, mean, momentum)
            _track(running_var, variance * (n / (n - 1)), momentum)
        normal = away * torch.rsqrt(variance + eps).view(shape)
        normal = normal if weight is None else normal * weight.view(shape)
        normal = normal if bias is None else normal + bias.view(shape)
        return normal.to(input.dtype)

    def _mean(self, X: Tensor, axes: list[int]) -> tuple[Tensor, Tensor]:
        """Return the means of channels, and of how many values each is; refuse a single one."""
        values = X.numel() // X.shape[1]
        sums = self._total(torch.cat([X.sum(axes), X.new_tensor([values])]))
        n = sums[-1].detach()
        # Who has several need not wait for the device.
        if values * self._counts <= 1 and float(n) <= 1:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {X.shape}"
            )
        return sums[:-1] / n, n

    def _total(self, own: Tensor) -> Any:
        """Add up over all processes."""
        return _Total.apply(own, self._world, self._counts)  # type: ignore[no-untyped-call]


class _Total(torch.autograd.Function):
    """Adds up over all processes; what the sum changes is the sum of what it changes in each.

    A process whose rows do not count takes part with zeros, whatever it computed.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, world: World, counts: bool) -> Tensor:
        """Add up."""
        ctx.world, ctx.counts = world, counts
        return _sum(own, world, counts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Add up, too."""
        return _sum(gradients[0], ctx.world, ctx.counts), None, None


def _sum(own: Tensor, world: World, counts: bool) -> Tensor:
    """Return the sum over those processes that count."""
    total = own.clone() if counts else torch.zeros_like(own)
    world.add_up([total])
    return total


@torch.no_grad()
def _track(running: Tensor, value: Tensor, momentum: float) -> None:
    """Move a running statistic, as torch does."""
    running.lerp_(value.to(running.dtype), momentum)
