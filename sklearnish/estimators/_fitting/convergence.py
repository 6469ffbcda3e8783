"""When the fit of an MLP ends, and how its learning rate changes: scikit-learn's rules."""

import math
from typing import Any

from sklearnish.training import Convergence, Net

_SLOWEST, _SLOWER = 1e-6, 5.0
"""Learning rate from which on "adaptive" ends, and by what it is divided before."""


def convergence_of(estimator: Any, net: Net, n_rows: int, monitor: str) -> Convergence:
    """Build the rule that watches a number of the history, and goes on from earlier epochs."""
    scored = monitor != "train_loss"
    past, seen = len(net.history), estimator._rows_before
    rates = LearningRates(estimator, net.optimizer_)

    def end_epoch(done: bool) -> bool:
        """Note the end of an epoch, `done` if training would stop; say whether it goes on."""
        n_iter = len(net.history) - past
        if estimator.verbose:
            print(f"Iteration {n_iter}, loss = {net.history[-1]['train_loss']:.8f}")
        return rates.end_epoch(seen + n_iter * n_rows, done)

    rule = Convergence(
        patience=estimator.n_iter_no_change,
        tol=estimator.tol,
        greater_is_better=scored,
        keep_best=scored,
        end_epoch=end_epoch,
    )
    earlier = [one[monitor] for one in of_epochs(net.history) if monitor in one]
    known = [value for value in earlier if not math.isnan(value)]
    best = (max if scored else min)(known, default=-math.inf if scored else math.inf)
    rule.go_on_from(best, estimator._no_improvement_count if earlier else 0, net.module_)
    return rule


def of_epochs(history: Any) -> list[dict[str, Any]]:
    """Leave out records of "lbfgs", which has no epochs."""
    return [record for record in history if "n_iter" not in record]


class LearningRates:
    """Those of "sgd", from epoch to epoch; that of "adam" stays as it is."""

    def __init__(self, estimator: Any, optimizer: Any) -> None:
        self.kind = estimator.learning_rate if estimator.solver == "sgd" else "constant"
        self.first, self.power = estimator.learning_rate_init, estimator.power_t
        self.optimizer = optimizer

    def end_epoch(self, seen: int, done: bool) -> bool:
        """Change the rate after so many rows; say whether training goes on that would stop."""
        options = self.optimizer.param_groups[0]
        if self.kind == "invscaling":
            options["lr"] = self.first / (seen + 1) ** self.power
        if not done or self.kind != "adaptive" or options["lr"] <= _SLOWEST:
            return False
        options["lr"] /= _SLOWER
        return True
