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
KEPT = {"max_epochs": 1, "random_state": 0}


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


class Uneven(Linear):
    """Draws a random number for each row and output."""

    def forward(self, X):
        outputs = self.layer(X)
        return outputs + torch.rand_like(outputs)


class Sure(Uneven):
    """Is so sure that probabilities are 0 and 1."""

    def forward(self, X):
        sure = torch.tensor([-20.0, 0.0, 20.0])
        return super().forward(X) + sure[-self.layer.out_features :]


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


def tried(model, spoil=lambda found: found):
    """Compare the graph with the model, without a file."""
    parts = parts_of(model)
    network = Network(parts)
    method = "predict_proba" if hasattr(model, "classes_") else "predict"
    check_predictions(
        lambda rows: spoil(network(torch.tensor(rows)).numpy()), parts, network, method
    )


@pytest.mark.parametrize("offset", [0, 1e4, 1e9])
def test_random_numbers_are_found_however_far_from_zero_targets_are(offset):
    target = np.stack([y, 1e3 * y], 1) + offset
    reg = sn.TorchRegressor(Uneven, max_epochs=1, random_state=0).fit(X, target)
    with pytest.raises(ValueError, match="the largest difference of predictions is"):
        tried(reg)


@pytest.mark.parametrize("labels", [y, y > 0, np.stack([y > 0, y > 1, y > 1], 1) * 1])
def test_random_numbers_are_found_however_sure_a_classifier_is(labels):
    kind = sn.TorchClassifier(Sure, max_epochs=1, random_state=0)
    with pytest.raises(ValueError, match="the largest difference of log probabilities is"):
        tried(kind.fit(X, labels))


ALIKE = {
    "far from zero": lambda: sn.TorchRegressor(Linear, **KEPT).fit(X, y + 1e4),
    "farther": lambda: sn.TorchRegressor(Linear, **KEPT).fit(X, y + 1e9),
    "one value": lambda: sn.TorchRegressor(Linear, **KEPT).fit(X, y * 0 + 1e6),
    "as given": lambda: sn.TorchRegressor(Linear, standardize_target=False, **KEPT).fit(X, y),
    "one logit": lambda: sn.TorchClassifier(
        lambda: nn.Linear(4, 1), criterion=nn.BCEWithLogitsLoss, lr=1.0, max_epochs=40
    ).fit(1e2 * X, y > 0),
    "half": lambda: sn.TorchRegressor(precision="bf16", **KEPT).fit(X, y + 1e3),
}


@pytest.mark.parametrize("case", ALIKE)
def test_rounding_is_no_difference(case):
    tried(ALIKE[case](), lambda found: found * (1 + np.finfo(found.dtype).eps))


def test_a_module_that_fails_on_made_up_rows_is_exported_with_a_warning(tmp_path):
    clf = fitted(Picky)
    with pytest.warns(UserWarning, match="was not tried.*these are no flowers"):
        sn.export(clf, tmp_path / "picky.pt2")
    graph = torch.export.load(tmp_path / "picky.pt2").module()
    rows = torch.tensor(X, dtype=torch.float32)
    np.testing.assert_allclose(graph(rows).numpy(), clf.predict_proba(X), rtol=1e-5)
