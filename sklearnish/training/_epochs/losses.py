"""The losses of an epoch, kept on the device, since asking for one waits for the step."""

from typing import Any

import torch
from torch import Tensor

LOOK_EVERY = 256
"""Steps between two looks; a GPU waits at each, and a loss that turned NaN is found."""


class DivergedError(FloatingPointError):
    """A loss became NaN or infinite."""


class EpochLoss:
    """Adds up losses; raises if one is not finite, naming its step.

    ``lr`` is the learning rate with which the epoch began.
    """

    def __init__(self, kind: str, epoch: int, lr: float = 0.0) -> None:
        self.kind = kind
        self.epoch = epoch
        self.lr = lr
        self.count = 0
        self._losses: list[Tensor] = []
        self._sizes: list[int | Tensor] = []
        self._total = self._rows = 0.0

    def append(self, loss: Tensor, size: int | Tensor, lr: float) -> None:
        """Note the loss of a batch and its number of rows, or weight."""
        self.count += 1
        self._losses.append(loss)
        self._sizes.append(size)
        if len(self._losses) == LOOK_EVERY:
            self._look(lr)

    def mean(self, lr: float) -> float:
        """Average over the rows seen."""
        if self._losses:
            self._look(lr)
        return self._total / self._rows if self._rows else float("nan")

    def check(self, lr: float) -> Tensor:
        """Fetch the losses that were not looked at yet; raise if one is not finite."""
        if not self._losses:
            return torch.empty(0)
        losses = torch.stack(self._losses).cpu().double()
        finite = torch.isfinite(losses)
        if not finite.all():
            first = int((~finite).nonzero()[0])
            step = self.count - len(losses) + first + 1
            raise DivergedError(self._message(float(losses[first]), step, lr))
        return losses

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far, and the losses not added yet: the order of sums matters."""
        state = {name: getattr(self, name) for name in ("lr", "count", "_total", "_rows")}
        return state | {
            "losses": torch.stack(self._losses) if self._losses else None,
            "sizes": _joined(self._sizes),
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from such a state."""
        losses, sizes = state["losses"], state["sizes"]
        self._losses = [] if losses is None else list(losses.to(device).unbind())
        self._sizes = list(sizes.to(device).unbind()) if isinstance(sizes, Tensor) else sizes
        self.lr, self.count = state["lr"], state["count"]
        self._total, self._rows = state["_total"], state["_rows"]

    def _look(self, lr: float) -> None:
        """Fetch the losses in one transfer."""
        losses, sizes = self.check(lr), torch.as_tensor(_joined(self._sizes)).cpu().double()
        self._total += float(losses.dot(sizes))
        self._rows += float(sizes.sum())
        self._losses.clear()
        self._sizes.clear()

    def _message(self, loss: float, step: int, lr: float) -> str:
        """Say what happened, where, and what usually helps."""
        return (
            f"The {self.kind} loss became {loss} at step {step} of epoch {self.epoch} "
            f"(learning rate {lr:g}). Usual cures: a smaller lr, clip_grad_norm=1.0, inputs on "
            "a common scale, precision='float32' instead of a half precision."
        )


def best_so_far(history: list[dict[str, Any]]) -> dict[str, bool]:
    """Say of the last epoch's losses whether they are the least, as skorch's callbacks ask."""
    last = history[-1]
    names = [name for name in ("train_loss", "valid_loss") if name in last]
    return {f"{name}_best": last[name] < _least(history, name) for name in names}


def _least(history: list[dict[str, Any]], name: str) -> float:
    """Return the least loss before the last epoch: that of the latest that was the best."""
    for epoch in reversed(history[:-1]):
        if epoch.get(f"{name}_best"):
            return float(epoch[name])
    return float("inf")


def _joined(sizes: list[int | Tensor]) -> list[int] | Tensor:
    """Join weights as they are; keep counts, unless the epoch began where there were weights."""
    weights = [size for size in sizes if isinstance(size, Tensor)]
    if not weights:
        return list(sizes)  # type: ignore[arg-type]
    return torch.stack([torch.as_tensor(size, device=weights[0].device) for size in sizes])
