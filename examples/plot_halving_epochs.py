"""
Successive halving over epochs
==============================

scikit-learn's ``HalvingGridSearchCV`` gives every candidate two epochs, the best third of them
six, and the best third of these eighteen. So poor settings are dropped early.
"""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV

import sklearnish as sn

X, y = make_classification(2_000, 20, n_informative=10, n_classes=3, random_state=0)
rows = sn.as_dataset(X, y)
search = HalvingGridSearchCV(
    sn.TorchClassifier(random_state=0),
    {"lr": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2], "batch_size": [32, 128]},
    resource="max_epochs",
    min_resources=2,
    max_resources=18,
    cv=2,
).fit(rows, rows.target)
print("Best:", search.best_params_)

found = pd.DataFrame(search.cv_results_)
found.groupby("iter").agg(
    candidates=("iter", "size"), epochs=("n_resources", "first"), best=("mean_test_score", "max")
).round(3)

# %%
# Each round is a line; later ones have fewer candidates and more epochs.

sn.plotting.SearchDisplay.from_estimator(search, params="lr")

plt.show()
