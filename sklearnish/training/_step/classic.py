"""Adam and SGD as first written down, and as scikit-learn's MLPs take their steps."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class EpsilonFirstAdam(torch.optim.Adam):
    """Adam [1]_ that adds epsilon before the averages are corrected for their beginning at 0.

    This is the order at the end of section 2 of the paper. ``torch.optim.Adam`` corrects first,
    so the first steps feel an epsilon there that is up to 30 times smaller.

    References
    ----------
    .. [1] Kingma and Ba, "Adam: A method for stochastic optimization", 2015,
       https://arxiv.org/abs/1412.6980
    """

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, **options)
        for group in self.param_groups:
            group["steps"] = 0

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Parameters
        ----------
        closure : callable, default=None
            Computes the loss again, with gradients.

        Returns
        -------
        float or None
            What `closure` returned.
        """
        for group in self.param_groups:
            group["steps"] += 1
            correction = math.sqrt(1 - group["betas"][1] ** group["steps"])
            group["eps"] = self.defaults["eps"] / correction
        step = torch.optim.Adam.step
        if getattr(step, "hooked", False):  # then what surrounds this step was called already
            step = step.__wrapped__  # type: ignore[attr-defined]
        return step(self, closure)


class VelocitySGD(torch.optim.SGD):
    """SGD with momentum whose average is of steps, not of gradients.

    Steps taken before the learning rate changed keep their length in it, whereas
    ``torch.optim.SGD`` multiplies all of them by the new rate.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Parameters
        ----------
        closure : callable, default=None
            Computes the loss again, with gradients.

        Returns
        -------
        float or None
            What `closure` returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)
        return loss

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Change one weight."""
        lr, momentum = group["lr"], group["momentum"]
        if momentum:
            state = self.state[weight]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(weight)
            velocity = state["momentum_buffer"].mul_(momentum).sub_(gradient, alpha=lr)
            weight.add_(velocity, alpha=momentum if group["nesterov"] else 1.0)
        if group["nesterov"] or not momentum:
            weight.sub_(gradient, alpha=lr)
