"""Muon: steps of matrices along the directions of their gradient, all equally long."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

_A, _B, _C = 3.4445, -4.7750, 2.0315
"""A polynomial that, applied five times, brings singular values from 0.001 to 1 close to 1."""


class Muon(AdamW):
    """Muon for weights that are matrices, and fused AdamW for all others.

    Muon [1]_ replaces the averaged gradient of a matrix by the nearest orthogonal matrix, so that
    no direction is learned much faster than others. Unlike ``torch.optim.Muon`` it computes in
    the numbers of the weights, and takes any module.

    Parameters
    ----------
    params : iterable of Tensor or dict
        Weights, or groups of them with options of their own.
    lr : float, default=0.02
        Learning rate of the matrices.
    adamw_lr : float, default=None
        Learning rate of the other weights. None is a quarter of `lr`.
    momentum : float, default=0.95
        Share of the old gradients in the average, which is Nesterov's.
    weight_decay : float, default=3e-4
        Share, times the learning rate, by which a step shrinks matrices; others are not shrunk.
    betas : (float, float), default=(0.9, 0.99)
        Shares of the old in AdamW's averages of gradients, and of their squares.
    fused : bool, default=None
        Whether AdamW takes its steps in one kernel.

    References
    ----------
    .. [1] Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
       https://kellerjordan.github.io/posts/muon/
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        *,
        adamw_lr: float | None = None,
        momentum: float = 0.95,
        weight_decay: float = 3e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        fused: bool | None = None,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum={momentum} must be at least 0 and below 1.")
        rest_lr = lr / 4 if adamw_lr is None else adamw_lr
        groups: list[dict[str, Any]] = []
        for group in map(_as_group, params):
            matrices = [p for p in group["params"] if p.ndim == 2]
            others = [p for p in group["params"] if p.ndim != 2]
            of_others = {"lr": rest_lr, "weight_decay": 0.0, "momentum": 0.0}
            groups.append({"momentum": momentum, **group, "params": matrices, "muon": True})
            groups.append({**of_others, **group, "params": others, "muon": False})
        groups = [group for group in groups if group["params"]]
        super().__init__(groups, lr=lr, betas=betas, weight_decay=weight_decay, fused=fused)
        self._step_supports_amp_scaling = False  # a step of Muon looks for no infinity

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
        with torch.no_grad():
            for group in self.param_groups:
                for weight in group["params"] if group["muon"] else ():
                    if weight.grad is not None:
                        self._turn(weight, group)
        super().step()  # of what has a gradient left
        return loss

    def _turn(self, weight: Tensor, group: dict[str, Any]) -> None:
        """Take Muon's step of one matrix, and use its gradient up."""
        gradient, state = weight.grad, self.state[weight]
        assert gradient is not None
        if not state:
            state["step"] = torch.zeros((), device=weight.device)  # AdamW looks for it
            state["momentum_buffer"] = torch.zeros_like(weight)
        state["step"] += 1
        average = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        rows, columns = weight.shape
        update = orthogonal(gradient.lerp(average, group["momentum"]))
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(update, alpha=-group["lr"] * math.sqrt(max(1, rows / columns)))
        weight.grad = None


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """Bring the singular values of a matrix near to 1, by steps of Newton and Schulz."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.T if tall else x


def _as_group(given: Any) -> dict[str, Any]:
    """Make a group of a weight; torch takes both."""
    return dict(given) if isinstance(given, dict) else {"params": [given]}
