"""
Rare classes: weights in the loss, or rows drawn more often
===========================================================

Three in a hundred rows are of the rare class. ``class_weight="balanced"`` weights the loss.
``sampler="balanced"`` draws each class equally often, and ``sampler="weighted"`` draws rows in
proportion to ``sample_weight``; rows that are drawn by weight are not weighted again in the loss.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification
from sklearn.metrics import PrecisionRecallDisplay, precision_score, recall_score
from sklearn.model_selection import train_test_split

import sklearnish as sn

X, y = make_classification(
    8_000, n_features=20, n_informative=8, weights=[0.97], class_sep=0.8, random_state=0
)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
print(f"{np.mean(y_train == 1):.1%} of {len(y_train):,} training rows are of the rare class")

# %%
# How many of the rare rows are found (recall), and at what price (precision)?

fivefold = np.where(y_train == 1, 5.0, 1.0)
settings = {
    "as they are": ({}, None),
    'class_weight="balanced"': ({"class_weight": "balanced"}, None),
    'sampler="balanced"': ({"sampler": "balanced"}, None),
    'sampler="weighted", 5 : 1': ({"sampler": "weighted"}, fivefold),
}
figure, ax = plt.subplots(layout="constrained")
for name, (params, weight) in settings.items():
    clf = sn.TorchClassifier(max_epochs=8, random_state=0, **params)
    found = clf.fit(X_train, y_train, sample_weight=weight).predict(X_test)
    recall, precision = recall_score(y_test, found), precision_score(y_test, found)
    print(f"{name:26} recall {recall:.2f}   precision {precision:.2f}")
    PrecisionRecallDisplay.from_estimator(clf, X_test, y_test, ax=ax, name=name)
    ax.plot(recall, precision, "o", color=ax.lines[-1].get_color())
_ = ax.set(title="The dot is what predict does", xlim=(0, 1.02), ylim=(0, 1.02))

# %%
# The curves are near each other: all of them rank the rows about as well, and differ in where the
# line is drawn. If that is all you want, scikit-learn's ``TunedThresholdClassifierCV`` moves it
# without another fit.
#
# What an epoch draws:

ds = sn.as_dataset(X_train, y_train)
for sampler in ("shuffle", "balanced"):
    drawn = np.concatenate([labels for _, labels in ds.batches(256, sampler=sampler)])
    print(f"{sampler:9} rows of each class in an epoch: {np.bincount(drawn)}")

plt.show()
