"""Running averages of weights, which are better than the weights of any one step."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class WeightAverage:
    """Keeps an exponential average of weights [1]_; the first steps are forgotten quickly.

    References
    ----------
    .. [1] Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992,
       https://doi.org/10.1137/0330046
    """

    def __init__(self, weights: Sequence[Tensor], decay: float) -> None:
        self.weights = [weight.detach() for weight in weights]  # share their memory
        self.decay = decay
        self.start()

    def start(self) -> None:
        """Begin with the weights as they are."""
        self.values = [weight.clone() for weight in self.weights]
        self.steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.values, self.weights, 1 - decay)

    @torch.no_grad()
    def exchange(self) -> None:
        """Put the averages in the place of the weights, and these in theirs; or back."""
        for value, weight in zip(self.values, self.weights, strict=True):
            kept = weight.clone()
            weight.copy_(value)
            value.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        """Return the averages."""
        return {"values": self.values, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such averages."""
        for value, other in zip(self.values, state["values"], strict=True):
            value.copy_(other)
        self.steps = state["steps"]
