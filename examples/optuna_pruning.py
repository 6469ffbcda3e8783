"""Optuna searches learning rate, width and batch size; fits that fall behind are pruned by epoch.

A callback reports the validation loss of each epoch to the trial. If Optuna finds it worse than
what other trials had at that epoch, the callback raises, and the fit ends there. Rows come from a
Parquet file.
"""

import tempfile
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

import sklearnish as sn

EPOCHS = 8


class Pruning(Callback):
    """Reports the validation loss of each epoch; prunes the trial if Optuna says so."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Look at the epoch that has just ended."""
        self.trial.report(net.history[-1, "valid_loss"], step=len(net.history))
        if self.trial.should_prune():
            raise optuna.TrialPruned


def main() -> None:
    """Search, then fit the best parameters to all rows."""
    X, y = make_classification(3_000, 20, n_informative=10, n_classes=3, random_state=0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.parquet"
        frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(20)]).assign(label=y)
        frame.to_parquet(file, row_group_size=500)
        rows = sn.scan_parquet(file, target="label")
        train, valid = train_test_split(rows, stratify=rows.target, random_state=0)
        search(train, valid)


def search(train: sn.Dataset, valid: sn.Dataset) -> None:
    """Try 15 settings, most of them not to the end."""

    def loss(trial: optuna.Trial) -> float:
        clf = sn.TorchClassifier(
            max_epochs=EPOCHS,
            lr=trial.suggest_float("lr", 1e-5, 1e-1, log=True),
            batch_size=trial.suggest_categorical("batch_size", [64, 256]),
            callbacks=[Pruning(trial)],
            random_state=0,
        )
        clf.set_params(module__hidden=trial.suggest_int("hidden", 8, 128, log=True))
        clf.fit(train, X_val=valid)
        return min(float(epoch["valid_loss"]) for epoch in clf.history_)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1),
    )
    study.optimize(loss, n_trials=15)
    epochs = sum(len(trial.intermediate_values) for trial in study.trials)
    pruned = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials)
    print(f"{pruned} of 15 trials pruned: {epochs} epochs instead of {15 * EPOCHS}")
    print(f"Best validation loss {study.best_value:.3f} with {study.best_params}")


if __name__ == "__main__":
    main()
