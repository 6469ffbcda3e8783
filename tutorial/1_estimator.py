"""
1. An estimator like any other
==============================

``TorchClassifier`` and ``TorchRegressor`` are used as scikit-learn's own estimators are. What is
new is what ``fit`` does inside: it trains a network in many small steps.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import sklearnish as sn

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

clf = sn.TorchClassifier(max_epochs=15, batch_size=64, random_state=0)
clf.fit(X_train, y_train)
print(f"accuracy {clf.score(X_test, y_test):.3f}")

# %%
# So far nothing is new: ``fit``, ``predict``, ``predict_proba``, ``score``, ``get_params``,
# ``clone`` and ``Pipeline`` work as they do elsewhere.

clf.predict_proba(X_test[:2]).round(2)

# %%
# Batches, steps and epochs
# -------------------------
#
# A network is trained in *steps*. Each takes a **batch** of rows, computes the *loss* on it (how
# wrong the network is), and changes the weights a little so that the loss falls. An **epoch** is
# one pass over all rows. Here an epoch has 22 steps: 1,347 rows in batches of 64, the last one of
# 3 rows.
#
# ``history_`` has the loss of each epoch, and ``HistoryDisplay`` draws it.

sn.plotting.HistoryDisplay.from_estimator(clf)

# %%
# The curve falls steeply at first, then slowly: the fit could be stopped soon. The four
# parameters that matter most:
#
# ``batch_size`` (default ``"auto"``)
#     Small batches give more steps per epoch and learn more from each pass; large ones use the
#     hardware better. "auto" takes 64 for up to 25,000 rows, 128 for up to 50,000, else 256.
# ``max_epochs`` (default ``"auto"``)
#     The number of passes. "auto" makes 50 for up to 20,000 rows, then 1,000,000 divided by the
#     number of rows, and at least 10.
# ``lr`` (default 0.001)
#     The learning rate: how far a step goes. If the loss becomes NaN, lower it first.
# ``lr_schedule`` (default ``"auto"``)
#     How the learning rate changes. With "auto" it falls towards the end if ``max_epochs`` is
#     "auto" too, ``early_stopping`` is off and there are at least 1,000 rows; else it is constant.
#
# Searching for them
# ------------------
#
# They are parameters like any other, so scikit-learn can search for them.

import pandas as pd
from sklearn.model_selection import GridSearchCV

clf = sn.TorchClassifier(max_epochs=5, random_state=0)
search = GridSearchCV(clf, {"batch_size": [32, 256], "lr": [1e-3, 1e-2]}, cv=2)
search.fit(X_train, y_train)
columns = ["param_batch_size", "param_lr", "mean_test_score", "mean_fit_time"]
pd.DataFrame(search.cv_results_)[columns].round(3)

# %%
# With few epochs, small batches or a larger learning rate win: both go further in the same number
# of passes.
#
# Stopping by itself
# ------------------
#
# ``early_stopping=True`` holds out a tenth of the rows, looks at them after each epoch, stops
# when they have not improved for ``patience`` epochs, and restores the best weights. What
# improves is the loss, or any scorer of scikit-learn that ``monitor`` names.

clf = sn.TorchClassifier(
    max_epochs=60, early_stopping=True, patience=8, monitor="accuracy", random_state=0
)
clf.fit(X_train, y_train)
print(f"stopped after {clf.n_iter_} epochs, accuracy {clf.score(X_test, y_test):.3f}")
sn.plotting.HistoryDisplay.from_estimator(clf)

# %%
# Dashed lines are training rows, solid ones held-out rows, and the dot is the epoch whose weights
# were kept. Validation rows of your own go in as ``fit(X, y, X_val=..., y_val=...)``.

# sphinx_gallery_start_ignore
plt.show()
# sphinx_gallery_end_ignore
