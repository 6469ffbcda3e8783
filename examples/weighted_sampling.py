"""Rare classes: draw their rows more often with a sampler, instead of weighting the loss.

``sampler="balanced"`` draws each class equally often; ``sampler="weighted"`` draws rows in
proportion to ``sample_weight``. Rows that are drawn by weight are not weighted again in the loss.
"""

import numpy as np
from sklearn.datasets import make_classification
from sklearn.metrics import precision_score, recall_score
from sklearn.model_selection import train_test_split

import sklearnish as sn


def main() -> None:
    """Compare how many of the rare rows are found, and at what price."""
    X, y = make_classification(
        8_000, n_features=20, n_informative=8, weights=[0.97], class_sep=0.8, random_state=0
    )
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    print(f"{np.mean(y_train == 1):.1%} of {len(y_train):,} training rows are of the rare class\n")

    fivefold = np.where(y_train == 1, 5.0, 1.0)
    for name, sampler, weight in [
        ("shuffle", "shuffle", None),
        ("balanced", "balanced", None),
        ("weighted, 5 : 1", "weighted", fivefold),
    ]:
        clf = sn.TorchClassifier(sampler=sampler, max_epochs=8, random_state=0)
        found = clf.fit(X_train, y_train, sample_weight=weight).predict(X_test)
        recall, precision = recall_score(y_test, found), precision_score(y_test, found)
        print(f"{name:16} recall {recall:.2f}   precision {precision:.2f}")

    ds = sn.as_dataset(X_train, y_train)
    drawn = np.concatenate([labels for _, labels in ds.batches(256, sampler="balanced")])
    print("\nRows of each class in one balanced epoch:", np.bincount(drawn))


if __name__ == "__main__":
    main()
