"""The graph predicts as the estimator, before any file is written."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from torch import nn

import sklearnish as sn
from sklearnish.persistence._exporting.model_parts import parts_of
from sklearnish.persistence._exporting.network import Network, traced

X, y = load_iris(return_X_y=True)
KEPT = {"max_epochs": 1, "random_state": 0}


class Linear(nn.Module):
    """Takes rows in the shape of a method of its own."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, X):
        return self.layer(self.rows(X))

    def rows(self, X):
        return X


class ByLength(Linear):
    def rows(self, X):
        return X.reshape(len(X), -1)


class ByValue(Linear):
    def rows(self, X):
        return -X if X.sum() > 0 else X


def test_the_net_and_its_module_stay_as_they_are():
    clf = sn.TorchClassifier(**KEPT).fit(X, y)
    before = clf.predict_proba(X)
    network = Network(parts_of(clf))
    assert network.module is not clf.module_
    assert all(weight.requires_grad for weight in clf.module_.parameters())
    assert clf.net_.step_.module is clf.module_
    rows = torch.tensor(X, dtype=torch.float32)
    np.testing.assert_allclose(network(rows).numpy(), before, rtol=1e-6)
    clf.partial_fit(X, y)


def test_the_number_of_rows_is_free_though_the_module_asks_for_it():
    clf = sn.TorchClassifier(ByLength, **KEPT).fit(X, y)
    graph = traced(Network(parts_of(clf))).module()
    for n in (1, 2, 150):
        rows = torch.tensor(X[:n], dtype=torch.float32)
        np.testing.assert_allclose(graph(rows).numpy(), clf.predict_proba(X[:n]), rtol=1e-5)


def test_a_module_that_python_decides_in_is_named(capfd):
    clf = sn.TorchClassifier(ByValue, **KEPT).fit(X, y)
    with pytest.raises(ValueError, match="module ByValue cannot be exported; torch says: Could"):
        traced(Network(parts_of(clf)))
    assert capfd.readouterr() == ("", "")


def test_inputs_are_as_the_module_takes_them():
    far = sn.TorchRegressor(**KEPT).fit(X + 1e8, y)
    (one,) = Network(parts_of(far)).inputs
    assert (one.name, one.dtype, one.shape) == ("X", "float64", (4,))
    images = np.zeros((9, 3, 5, 5), np.uint8)
    (one,) = Network(parts_of(sn.TorchRegressor(**KEPT).fit(images, y[:9]))).inputs
    assert (one.dtype, one.shape) == ("uint8", (3, 5, 5))
