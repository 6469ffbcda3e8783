"""When the fit of an MLP ends, and how its learning rate changes: scikit-learn's rules."""

from typing import Any

import numpy as np

from sklearnish.training import Convergence, Net

_SLOWEST, _SLOWER = 1e-6, 5.0
"""Learning rate from which on "adaptive" ends, and by what it is divided before."""


def convergence_of(estimator: Any, net: Net, n_rows: int, monitor: str) -> Convergence:
    """Build the rule that watches a number of the history, and goes on from earlier epochs."""
    scored = monitor != "train_loss"
    rule = Convergence(
        patience=estimator.n_iter_no_change,
        tol=estimator.tol,
        greater_is_better=scored,
        keep_best=scored,
        end_epoch=EpochEnd(estimator, net, n_rows),
    )
    earlier = [epoch[monitor] for epoch in net.history if monitor in epoch]
    best = (max if scored else min)(earlier, default=-np.inf if scored else np.inf)
    rule.go_on_from(best, estimator._no_improvement_count if earlier else 0, net.module_)
    return rule


class EpochEnd:
    """Prints an epoch's loss, if asked to, and changes the learning rate of "sgd"."""

    def __init__(self, estimator: Any, net: Net, n_rows: int) -> None:
        sgd = estimator.solver == "sgd"
        self.kind = estimator.learning_rate if sgd else "constant"
        self.first, self.power = estimator.learning_rate_init, estimator.power_t
        self.net, self.n_rows, self.verbose = net, n_rows, estimator.verbose
        self.past, self.seen = len(net.history), getattr(estimator, "t_", 0) if net.history else 0

    def __call__(self, done: bool) -> bool:
        """Note the end of an epoch, `done` if training would stop; say whether it goes on."""
        n_iter = len(self.net.history) - self.past
        if self.verbose:
            print(f"Iteration {n_iter}, loss = {self.net.history[-1]['train_loss']:.8f}")
        options = self.net.optimizer_.param_groups[0]
        if self.kind == "invscaling":
            seen = self.seen + n_iter * self.n_rows
            options["lr"] = self.first / (seen + 1) ** self.power
        if not done or self.kind != "adaptive" or options["lr"] <= _SLOWEST:
            return False
        options["lr"] /= _SLOWER
        return True
