"""When to stop, and which weights to keep."""

import dis
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class EarlyStopping:
    """Watch one number per epoch; remember the weights of its best.

    An epoch counts as better if it improves on the best by more than ``tol``; after
    ``patience`` epochs without one, training stops. The weights of the best number are kept
    whether or not it was better by ``tol``.
    """

    def __init__(self, *, patience: float, tol: float, greater_is_better: bool) -> None:
        self.patience = patience
        self.tol = tol
        self.sign = 1.0 if greater_is_better else -1.0
        self.best = self.reference = -math.inf
        self.best_epoch = 0
        self.waited = 0
        self._weights: dict[str, Tensor] | None = None

    def update(self, value: float, epoch: int, module: nn.Module) -> bool:
        """Note an epoch's number; return whether to stop."""
        value *= self.sign
        if value > self.best:
            self.best, self.best_epoch = value, epoch
            self._weights = _copied(module)
        if value > self.reference + self.tol:
            self.reference, self.waited = value, 0
        else:
            self.waited += 1
        return self.waited >= self.patience

    def outlives(self) -> bool:
        """Say whether a fit whose loss became NaN may end with the best weights before."""
        return False

    def restore(self, module: nn.Module) -> int:
        """Put the best weights back; return their epoch."""
        if self._weights is not None:
            module.load_state_dict(self._weights)
        self._weights = None
        return self.best_epoch

    def state_dict(self) -> dict[str, Any]:
        """Return what changes from epoch to epoch."""
        names = ("best", "reference", "best_epoch", "waited", "_weights")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from such a state."""
        vars(self).update(state)
        if self._weights is not None:
            self._weights = {k: v.to(device) for k, v in self._weights.items()}


class Convergence(EarlyStopping):
    """The rule of scikit-learn's MLPs: as above, but what counts is the distance to the best.

    Any improvement is the new best, and training stops after more than ``patience`` epochs that
    are not better than it by ``tol``. ``end_epoch`` is told of each epoch, and asked whether to
    go on where training would stop. Without ``keep_best`` the weights stay those of the last.
    """

    def __init__(
        self,
        *,
        patience: float,
        tol: float,
        greater_is_better: bool,
        keep_best: bool,
        end_epoch: Callable[[bool], bool],
    ) -> None:
        super().__init__(patience=patience, tol=tol, greater_is_better=greater_is_better)
        self.keep_best, self.end_epoch = keep_best, end_epoch
        self.diverged = False

    def go_on_from(self, best: float, waited: int, module: nn.Module) -> None:
        """Begin with the best of the epochs before this fit, whose weights these are."""
        self.best, self.waited = self.sign * best, waited
        if self.keep_best:
            self._weights = _copied(module)

    def update(self, value: float, epoch: int, module: nn.Module) -> bool:
        """Note an epoch's number; return whether to stop."""
        if self.diverged:
            return True
        value *= self.sign
        self.waited = self.waited + 1 if value < self.best + self.tol else 0
        if not self.keep_best:
            self.best_epoch = epoch
        elif value > self.best:
            self.best_epoch, self._weights = epoch, _copied(module)
        self.best = max(self.best, value)
        done = bool(self.waited > self.patience)
        if self.end_epoch(done) and done:
            self.waited, done = 0, False
        return done

    def outlives(self) -> bool:
        """Say whether any epoch had a score, whose weights are then kept."""
        self.diverged = self.keep_best and self.best > -math.inf
        return self.diverged


def _copied(module: nn.Module) -> dict[str, Tensor]:
    """Copy weights and buffers."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def raised_to_stop(interrupt: KeyboardInterrupt) -> bool:
    """Tell a callback's `raise KeyboardInterrupt` from the user's Ctrl-C."""
    trace = interrupt.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    code = trace.tb_frame.f_code.co_code
    return dis.opname[code[trace.tb_lasti]] == "RAISE_VARARGS"
