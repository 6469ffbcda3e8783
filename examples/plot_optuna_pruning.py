"""
Optuna, with fits pruned by epoch
=================================

A callback reports the validation loss of each epoch to the trial. If Optuna finds it worse than
what other trials had at that epoch, the callback raises, and the fit ends there.
"""

import matplotlib.pyplot as plt
import optuna
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

import sklearnish as sn

EPOCHS = 8


class Pruning(Callback):
    """Reports the validation loss of each epoch; prunes the trial if Optuna says so."""

    def __init__(self, trial):
        self.trial = trial

    def on_epoch_end(self, net, **kwargs):
        """Look at the epoch that has just ended."""
        self.trial.report(net.history[-1, "valid_loss"], step=len(net.history))
        if self.trial.should_prune():
            raise optuna.TrialPruned


X, y = make_classification(2_000, 20, n_informative=10, n_classes=3, random_state=0)
rows = sn.as_dataset(X, y)
train, valid = train_test_split(rows, stratify=rows.target, random_state=0)

# %%
# Rows may come from a file just as well: ``train`` and ``valid`` are views of a Dataset.


def loss(trial):
    """Fit once; return the smallest validation loss."""
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

# %%
# Short lines are trials that were pruned.

figure, ax = plt.subplots(layout="constrained")
for trial in study.trials:
    best = trial.number == study.best_trial.number
    color, width = ("#0072b2", 2.5) if best else ("grey", 1)
    ax.plot(*zip(*trial.intermediate_values.items(), strict=True), color=color, linewidth=width)
ax.set(xlabel="Epoch", ylabel="Validation loss", title="15 trials; the best one in blue")

plt.show()
