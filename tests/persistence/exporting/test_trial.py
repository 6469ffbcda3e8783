"""A file that would not predict as the model is not written."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from torch import nn

import sklearnish as sn
from sklearnish.persistence._exporting.model_parts import parts_of
from sklearnish.persistence._exporting.network import Network
from sklearnish.persistence._exporting.trial import check_predictions

X, y = load_iris(return_X_y=True)


class Linear(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, X):
        return self.layer(X)


class Noisy(Linear):
    def forward(self, X):
        return self.layer(X) + torch.randn(3)


class Picky(Linear):
    def forward(self, X):
        if not torch.compiler.is_exporting() and X.max() <= 1:
            raise RuntimeError("these are no flowers")
        return self.layer(X)


def fitted(module=Linear):
    return sn.TorchClassifier(module, max_epochs=1, random_state=0).fit(X, y)


@pytest.mark.parametrize(
    "spoil",
    [lambda p: p + 0.01, lambda p: p * np.nan, lambda p: p[:, :1], lambda p: p[[0] * len(p)]],
    ids=["off", "NaN", "another shape", "another row"],
)
def test_other_predictions_are_found(spoil):
    clf = fitted()
    parts = parts_of(clf)
    network = Network(parts)
    check_predictions(clf.predict_proba, parts, network, "predict_proba")
    with pytest.raises(ValueError, match=r"No file is written.*as TorchClassifier"):
        check_predictions(
            lambda rows: spoil(clf.predict_proba(rows)), parts, network, "predict_proba"
        )


def test_a_module_that_draws_random_numbers_is_refused(tmp_path):
    with pytest.raises(ValueError, match="draw random numbers in eval mode"):
        sn.export(fitted(Noisy), tmp_path / "noisy.pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_module_that_fails_on_made_up_rows_is_exported_with_a_warning(tmp_path):
    clf = fitted(Picky)
    with pytest.warns(UserWarning, match="was not tried.*these are no flowers"):
        sn.export(clf, tmp_path / "picky.pt2")
    graph = torch.export.load(tmp_path / "picky.pt2").module()
    rows = torch.tensor(X, dtype=torch.float32)
    np.testing.assert_allclose(graph(rows).numpy(), clf.predict_proba(X), rtol=1e-5)
