"""Scores of answers that are never all held are scikit-learn's."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, r2_score

from sklearnish import TorchClassifier, TorchRegressor, as_dataset, scan_parquet
from tests.estimators.common import classification, regression

rng = np.random.default_rng(0)
WEIGHTS = [None, rng.random(300), rng.integers(0, 2, 300)]


@pytest.mark.parametrize("weight", WEIGHTS, ids=["none", "floats", "zeros"])
@pytest.mark.parametrize("labels", ["int", "text", "object", "bool", "indicator"])
def test_accuracy(labels, weight):
    X, y = classification(classes=2 if labels == "bool" else 3)
    y = {
        "int": y,
        "text": np.array(["a", "bb", "ccc"])[y],
        "object": np.array(["a", "bb", "ccc"], dtype=object)[y],
        "bool": y.astype(bool),
        "indicator": np.stack([y == 0, y > 1], 1).astype(int),
    }[labels]
    clf = TorchClassifier(max_epochs=1, random_state=0, predict_batch_size=64).fit(X, y)
    expected = accuracy_score(y, clf.predict(X), sample_weight=weight)
    assert 0.1 < expected < 1
    for rows, targets in [(X, y), (as_dataset(X, y), None), (as_dataset(X), y)]:
        assert clf.score(rows, targets, sample_weight=weight) == pytest.approx(expected, rel=1e-12)
    if weight is None:
        assert clf.score(X, y.tolist()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weight", WEIGHTS, ids=["none", "floats", "zeros"])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_r2(targets, weight, dtype):
    X, y = regression(targets=targets)
    y = y.astype(dtype)
    reg = TorchRegressor(max_epochs=3, random_state=0, predict_batch_size=64).fit(X, y)
    expected = r2_score(y, reg.predict(X), sample_weight=weight)
    for rows, values in [(X, y), (as_dataset(X, y), None), (X, y.tolist())]:
        assert reg.score(rows, values, weight) == pytest.approx(expected, rel=1e-5)


def test_a_shuffled_view_of_a_file(tmp_path):
    X, y = classification()
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(10)]).assign(y=y)
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=40)
    ds = scan_parquet(tmp_path / "rows.parquet", target="y")
    view = ds[rng.permutation(300)[:200]]
    clf = TorchClassifier(max_epochs=1, random_state=0, predict_batch_size=64).fit(ds)
    assert clf.score(view) == pytest.approx(accuracy_score(view.target, clf.predict(view)))
    assert clf.score(view, y[view.rows]) == clf.score(view)
    reg = TorchRegressor(max_epochs=1, random_state=0, predict_batch_size=64).fit(ds)
    assert reg.score(view) == pytest.approx(r2_score(view.target, reg.predict(view)))


def test_targets_that_never_change():
    X, y = regression()
    reg = TorchRegressor(max_epochs=1, random_state=0).fit(X, y)
    assert reg.score(X, np.full(300, 3.0)) == r2_score(np.full(300, 3.0), reg.predict(X)) == 0
    constant = TorchRegressor(max_epochs=1, random_state=0).fit(X, np.zeros((300, 2)))
    both = np.stack([constant.predict(X)[:, 0], y], 1)
    assert constant.score(X, both) == pytest.approx(r2_score(both, constant.predict(X)))


def test_one_row_has_no_r2_and_says_so():
    X, y = regression()
    reg = TorchRegressor(max_epochs=1, random_state=0).fit(X, y)
    with pytest.warns(UndefinedMetricWarning, match="less than two samples"):
        assert np.isnan(reg.score(X[:1], y[:1]))


def test_a_column_of_targets():
    X, y = classification()
    clf = TorchClassifier(max_epochs=1, random_state=0).fit(X, y)
    assert clf.score(X, y[:, None]) == clf.score(X, y)
    X, y = regression()
    reg = TorchRegressor(max_epochs=1, random_state=0).fit(X, y)
    assert reg.score(X, y[:, None]) == reg.score(X, y)


def test_many_classes_in_small_batches_warn_of_nothing():
    X = rng.random((300, 4), dtype=np.float32)
    clf = TorchClassifier(max_epochs=1, random_state=0, predict_batch_size=25)
    clf.fit(X, np.arange(300) % 60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clf.score(X, np.arange(300) % 60) < 0.5


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(299, int), "inconsistent numbers of samples"),
        (np.array(["a", "b", "c"] * 100), "fit saw int64"),
        (np.linspace(0, 1, 300), "Unknown label type: continuous"),
        (np.eye(3, dtype=int)[np.arange(300) % 3], "fit saw one label per row"),
        (None, "requires y"),
    ],
)
def test_labels_that_cannot_be_compared(y, message):
    X, labels = classification()
    clf = TorchClassifier(max_epochs=1, random_state=0).fit(X, labels)
    with pytest.raises(ValueError, match=message):
        clf.score(X, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(299), "inconsistent numbers of samples"),
        (np.zeros((300, 2)), "y has 2 targets, but fit saw 1"),
        (np.full(300, np.nan), "NaN"),
    ],
)
def test_targets_that_cannot_be_compared(y, message):
    X, values = regression()
    reg = TorchRegressor(max_epochs=1, random_state=0).fit(X, values)
    with pytest.raises(ValueError, match=message):
        reg.score(X, y)


def test_labels_unknown_to_the_model_are_wrong_answers():
    X, y = classification()
    clf = TorchClassifier(max_epochs=1, random_state=0).fit(X, y)
    assert clf.score(X, np.full(300, 7)) == 0
