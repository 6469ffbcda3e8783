"""Modules and data that the tests of estimators share."""

import numpy as np
from sklearn.datasets import make_classification, make_regression
from torch import nn


class TwoLayers(nn.Module):
    """A user's module that is told its sizes."""

    def __init__(self, in_features, out_features, hidden=64, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_features, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, out_features),
        )

    def forward(self, X):
        return self.layers(X)


def classification(n=300, classes=3, seed=0):
    X, y = make_classification(
        n, 10, n_informative=6, n_classes=classes, class_sep=2.0, random_state=seed
    )
    return X.astype(np.float32), y


def regression(n=300, targets=1, seed=0):
    X, y = make_regression(n, 10, n_targets=targets, noise=1.0, random_state=seed)
    return X.astype(np.float32), 7.0 * y + 1000.0
