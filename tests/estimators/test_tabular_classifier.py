"""Classes of tables: calibration."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

import sklearnish as sn
from tests.estimators.tables import BRIEF, FAST, LABELS, X, frame, label


def test_calibrated_probabilities_are_as_sure_as_they_are_right(tmp_path):
    rng = np.random.default_rng(0)
    X, noisy = frame(600), label(frame(600))
    flip = rng.random(600) < 0.25
    noisy[flip] = np.where(noisy[flip] == "dear", "cheap", "dear")
    params = FAST | {"patience": 1000, "monitor": "accuracy", "embedding": "periodic"}  # too long
    plain = sn.TabularClassifier(**params).fit(X, noisy)
    clf = sn.TabularClassifier(calibrate=True, **params).fit(X, noisy)
    assert plain.temperature_ == 1
    assert clf.temperature_ > 1.1
    np.testing.assert_array_equal(clf.predict(X), plain.predict(X))
    odds = plain.decision_function(X) / clf.temperature_
    np.testing.assert_allclose(clf.decision_function(X), odds, rtol=1e-5, atol=1e-6)
    new, y = frame(2000, seed=1), label(frame(2000, seed=1))
    flip = rng.random(2000) < 0.25
    y[flip] = np.where(y[flip] == "dear", "cheap", "dear")
    assert log_loss(y, clf.predict_proba(new)) < log_loss(y, plain.predict_proba(new))
    sn.save(clf, tmp_path / "model.sn")
    loaded = sn.load(tmp_path / "model.sn")
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))


def test_calibration_needs_rows_that_are_held_out():
    clf = sn.TabularClassifier(calibrate=True, early_stopping=False, **BRIEF)
    for train in (clf.fit, clf.partial_fit):
        with pytest.raises(ValueError, match="calibrate=True needs rows held out"):
            train(X, LABELS)
    assert clf.fit(X[100:], LABELS[100:], X_val=X[:100], y_val=LABELS[:100]).temperature_ != 1
    assert clf.partial_fit(X, LABELS).temperature_ != 1
