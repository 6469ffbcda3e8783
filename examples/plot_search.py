"""
Search over batch size and learning rate
========================================

A larger batch means fewer, better informed steps an epoch: faster, but it learns less from each
pass unless the learning rate grows with it.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, train_test_split

import sklearnish as sn

X, y = make_classification(
    4_000, n_features=30, n_informative=12, n_clusters_per_class=4, random_state=0
)
ds, test = train_test_split(sn.as_dataset(X, y), stratify=y, random_state=0)

clf = sn.TorchClassifier(max_epochs=5, random_state=0)
grid = {"batch_size": [32, 128, 512, 2048], "lr": [1e-3, 3e-3, 1e-2]}
search = GridSearchCV(clf, grid, cv=2).fit(ds, ds.target)
print("Best:", search.best_params_)
print(f"Accuracy on unseen rows: {search.score(test, test.target):.3f}")

# %%
# Each cell has the mean score, its deviation over the folds, and the mean time of a fit.

sn.plotting.SearchDisplay.from_estimator(search)

# %%
# ``module__hidden`` reaches into the network: here the widths of the default one.

widths = {"module__hidden": [16, 64, 256]}
best = clf.set_params(**search.best_params_)
found = GridSearchCV(best, widths, cv=2).fit(ds, ds.target)
sn.plotting.SearchDisplay.from_estimator(found)

plt.show()
