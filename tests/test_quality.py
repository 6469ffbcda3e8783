"""Quality on real data, against scikit-learn's networks with the same preprocessing."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import nn

import sklearnish as sn

DATA = Path(__file__).parents[2] / "shared" / "data"
SEEDS = range(3)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not DATA.exists() and not os.environ.get("CI"), reason="the data is not on this machine"
    ),
]


def _adult():
    frame = pd.read_csv(DATA / "adult.csv", skipinitialspace=True, na_values="?")
    return frame.iloc[:, :-1], frame.iloc[:, -1]


def _diamonds():
    frame = pd.read_csv(DATA / "diamonds.csv")
    return frame.drop(columns="price"), np.log(frame["price"])


def _california():
    frame = pd.read_csv(DATA / "california_housing.csv")
    return frame.drop(columns="median_house_value"), frame["median_house_value"] / 1e5


def _preprocessing():
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    text = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (text, make_column_selector(dtype_exclude="number")),
    )


def _scores(X, y, make_model, *, stratify=None):
    """Test scores over a few splits and seeds, each with its own preprocessing."""
    scores = []
    for seed in SEEDS:
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=0.25, random_state=seed, stratify=stratify
        )
        model = make_pipeline(_preprocessing(), make_model(seed)).fit(X_train, y_train)
        scores.append(model.score(X_test, y_test))
    return np.array(scores)


def _assert_at_least_as_good(ours, theirs):
    """Compare the same splits; what the splits alone would change does not count."""
    difference = ours - theirs
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    print(f"ours {ours.round(4)}, scikit-learn {theirs.round(4)}")
    assert difference.mean() >= -error, (ours, theirs)


def test_adult():
    X, y = _adult()
    ours = _scores(
        X,
        y,
        lambda seed: sn.TorchClassifier(max_epochs=200, early_stopping=True, random_state=seed),
        stratify=y,
    )
    theirs = _scores(
        X,
        y,
        lambda seed: MLPClassifier(early_stopping=True, random_state=seed),
        stratify=y,
    )
    _assert_at_least_as_good(ours, theirs)


@pytest.mark.parametrize("load", [_diamonds, _california])
def test_regression(load):
    X, y = load()
    ours = _scores(
        X,
        y,
        lambda seed: sn.TorchRegressor(max_epochs=200, early_stopping=True, random_state=seed),
    )
    theirs = _scores(X, y, lambda seed: MLPRegressor(early_stopping=True, random_state=seed))
    _assert_at_least_as_good(ours, theirs)


class SmallCNN(nn.Module):
    """Two convolutions and a linear layer."""

    def __init__(self, out_features):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 8 * 8, out_features),
        )

    def forward(self, X):
        return self.layers(X / 127.5 - 1)


def flip_and_shift(x, rng):
    """Mirror half of the pictures, and shift them by up to four pixels."""
    if rng.random() < 0.5:
        x = x.flip(-1)
    down, right = rng.integers(0, 9, size=2)
    padded = nn.functional.pad(x, (4, 4, 4, 4))
    return padded[:, down : down + 32, right : right + 32]


def test_augmentation_helps_on_pictures(tmp_path):
    with tarfile.open(DATA / "cifar10-small.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    train = sn.scan_images(tmp_path / "cifar10" / "train").cache(tmp_path / "train")
    test = sn.scan_images(tmp_path / "cifar10" / "test")

    def accuracy(augment):
        clf = sn.TorchClassifier(
            SmallCNN, augment=augment, max_epochs=15, batch_size=128, random_state=0
        )
        return clf.fit(train).score(test)

    torch.set_num_threads(2)
    plain, augmented = accuracy(None), accuracy(flip_and_shift)
    print(f"plain {plain:.3f}, augmented {augmented:.3f}")
    assert augmented > plain
