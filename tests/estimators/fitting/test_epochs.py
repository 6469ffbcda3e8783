"""What enters a run, and what comes of it: labels drawn with their rows, samplers of users."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_val_score
from torch.utils.data import Dataset

import sklearnish as sn
from sklearnish import TorchClassifier, TorchRegressor
from tests.estimators.common import classification


class Drawn(Dataset):
    """The label is drawn, and the row is made of it."""

    def __init__(self, text=False):
        self.text = text

    def __len__(self):
        return 80

    def __getitem__(self, i):
        k = int(torch.randint(2, ()))
        return torch.randn(3) / 10 + 4 * k, "ab"[k] if self.text else k


class Far(Dataset):
    """Labels far from zero, drawn from a generator that it holds."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __len__(self):
        return 80

    def __getitem__(self, i):
        y = 1e12 + 1e6 * self.rng.normal()
        return torch.tensor([(y - 1e12) / 1e6]), y


def clf(**params):
    params = {"max_epochs": 4, "batch_size": 8, "lr": 0.05, "random_state": 0} | params
    return sn.TorchClassifier(**params)


@pytest.mark.parametrize(
    ("text", "params"),
    [(False, {}), (True, {}), (False, {"early_stopping": True}), (True, {"num_workers": 1})],
)
def test_labels_that_are_drawn_with_their_rows(text, params):
    model = clf(**params).fit(Drawn(text))
    assert model.score(Drawn(text)) == 1.0
    assert model.history_[-1]["train_loss"] < 0.1
    ds = sn.as_dataset(Drawn(text))
    np.testing.assert_array_equal(model.predict(ds), ds.target)
    np.testing.assert_array_equal(model.predict(ds[::-3]), ds.target[::-3])


def test_targets_that_are_drawn_with_their_rows():
    params = {"max_epochs": 20, "batch_size": 8, "lr": 0.02, "precision": "float64"}
    model = sn.TorchRegressor(random_state=0, **params).fit(Far(), X_val=Far())
    assert model.score(Far()) > 0.95
    assert model.history_[-1]["valid_loss"] < 0.05 * model.target_scale_**2


def test_searches_over_labels_that_are_drawn(tmp_path):
    ds = sn.as_dataset(Drawn())
    assert cross_val_score(clf(), ds, ds.target, cv=2, error_score="raise").tolist() == [1.0, 1.0]
    copy = ds.cache(tmp_path / "copy")
    np.testing.assert_array_equal(np.asarray(copy).mean(1) > 2, copy.target)


@pytest.mark.parametrize(
    ("params", "y", "message"),
    [
        ({}, np.arange(80) % 2, r"Drawn draws the labels.*Do not pass y, or pass ds\.target"),
        ({"class_weight": "balanced"}, None, "class_weight=None"),
        ({"sampler": "balanced"}, None, "another sampler than 'balanced'"),
    ],
)
def test_what_drawn_labels_cannot_do(params, y, message):
    with pytest.raises(ValueError, match=message):
        clf(**params).fit(Drawn(), y)


def test_labels_of_ones_own_for_a_dataset_of_pairs():
    class Pairs(Drawn):
        def __getitem__(self, i):
            return torch.tensor([float(i >= 40)]), 0

    y = np.repeat(["low", "high"], 40)
    assert clf().fit(Pairs(), y).score(Pairs(), y) == 1.0


@pytest.mark.parametrize("make", [TorchClassifier, TorchRegressor])
def test_a_sampler_sees_the_targets_of_the_user(make):
    X, codes = classification()
    labels = np.array(["no", "maybe", "yes"]) if make is TorchClassifier else np.arange(3) * 50.0
    seen = []

    def sampler(ds, rng):
        seen.append(ds.target)
        return rng.permutation(len(ds))

    make(sampler=sampler, max_epochs=1).fit(X, labels[codes])
    assert np.array_equal(seen[0], labels[codes])
