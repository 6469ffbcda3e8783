"""scikit-learn's cross-validation helpers and curves over every kind of Dataset."""

import numpy as np
import pytest
from sklearn.model_selection import (
    KFold,
    LearningCurveDisplay,
    ValidationCurveDisplay,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)

from sklearnish.data import Dataset


def test_cross_val_score(ds, table, clf):
    scores = cross_val_score(clf, ds, ds.target, cv=4)
    np.testing.assert_array_equal(scores, cross_val_score(clf, table.X, table.label, cv=4))
    assert scores.mean() > 0.85


def test_cross_val_score_without_y(ds, table, clf):
    scores = cross_val_score(clf, ds, cv=KFold(4))
    np.testing.assert_array_equal(scores, cross_val_score(clf, table.X, table.label, cv=KFold(4)))


def test_cross_val_score_of_three_classes(parquet, make, table, clf):
    three = make("parquet", "three")
    scores = cross_val_score(clf, three, three.target, cv=3)
    np.testing.assert_array_equal(scores, cross_val_score(clf, table.X, table.three, cv=3))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_cross_val_predict(ds, table, clf, method):
    answers = cross_val_predict(clf, ds, ds.target, cv=3, method=method)
    plain = cross_val_predict(clf, table.X, table.label, cv=3, method=method)
    np.testing.assert_array_equal(answers, plain)


def test_cross_validate(ds_value, table, reg):
    options = {
        "cv": 3,
        "scoring": ("r2", "neg_mean_absolute_error"),
        "return_train_score": True,
        "return_indices": True,
        "return_estimator": True,
    }
    result = cross_validate(reg, ds_value, ds_value.target, **options)
    plain = cross_validate(reg, table.X, table.value, **options)
    for key in plain:
        if key.startswith(("train_", "test_")):
            np.testing.assert_array_equal(result[key], plain[key])
    for fold, rows in zip(result["estimator"], result["indices"]["test"], strict=True):
        assert fold.score(ds_value[rows]) == pytest.approx(result["test_r2"][0], abs=0.2)


def test_learning_curve(ds, table, clf):
    options = {"cv": 3, "train_sizes": [0.2, 0.6, 1.0], "shuffle": True, "random_state": 0}
    sizes, *scores = learning_curve(clf, ds, ds.target, **options)
    plain_sizes, *plain = learning_curve(clf, table.X, table.label, **options)
    np.testing.assert_array_equal(sizes, plain_sizes)
    np.testing.assert_array_equal(scores, plain)


def test_incremental_learning_curve(ds, table, clf):
    options = {"cv": 2, "train_sizes": [0.5, 1.0], "exploit_incremental_learning": True}
    _, *scores = learning_curve(clf, ds, ds.target, **options)
    _, *plain = learning_curve(clf, table.X, table.label, **options)
    np.testing.assert_array_equal(scores, plain)


def test_validation_curve(ds, table, clf):
    options = {"param_name": "max_epochs", "param_range": [1, 3], "cv": 3}
    scores = validation_curve(clf, ds, ds.target, **options)
    np.testing.assert_array_equal(scores, validation_curve(clf, table.X, table.label, **options))


def test_permutation_test_score(ds, table, clf):
    options = {"cv": 2, "n_permutations": 4, "random_state": 0}
    score, permuted, p_value = permutation_test_score(clf, ds, ds.target, **options)
    plain = permutation_test_score(clf, table.X, table.label, **options)
    assert (score, p_value) == (plain[0], plain[2])
    np.testing.assert_array_equal(permuted, plain[1])
    assert p_value == 0.2


def test_curve_displays(parquet, clf):
    pytest.importorskip("matplotlib").use("Agg")
    options = {"cv": 2, "train_sizes": [0.5, 1.0]}
    shown = LearningCurveDisplay.from_estimator(clf, parquet, parquet.target, **options)
    assert shown.test_scores.shape == (2, 2)
    shown = ValidationCurveDisplay.from_estimator(
        clf, parquet, parquet.target, param_name="batch_size", param_range=[16, 64], cv=2
    )
    assert shown.test_scores.shape == (2, 2)


def test_pictures(pictures, clf):
    clf.set_params(sampler="shuffle")  # the folders are in order
    assert cross_val_score(clf, pictures, pictures.target, cv=2).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("kind", ["array", "parquet"])
def test_fit_finds_labels_in_three_ways(make, table, clf, kind):
    ds = make(kind)
    expected = clf.fit(ds, table.label).predict_proba(ds)
    np.testing.assert_array_equal(clf.fit(ds).predict_proba(ds), expected)
    np.testing.assert_array_equal(clf.fit(ds, ds.target).predict_proba(ds), expected)
    np.testing.assert_array_equal(clf.fit(ds, table.label.tolist()).predict_proba(ds), expected)


def test_labels_given_win_over_those_of_the_dataset(ds, clf):
    swapped = clf.fit(ds, 1 - ds.target)
    assert swapped.score(ds) < 0.2
    assert swapped.score(ds, 1 - ds.target) > 0.8


def test_score_finds_labels(ds, ds_value, table, clf, reg):
    assert clf.fit(ds).score(ds[50:]) == clf.score(ds[50:], table.label[50:])
    assert reg.fit(ds_value).score(ds_value) == reg.score(ds_value, table.value)


def test_folds_are_views_that_read_nothing(parquet):
    before = parquet.source.rows_read
    folds = [parquet[test] for _, test in KFold(5).split(parquet)]
    assert all(isinstance(fold, Dataset) for fold in folds)
    assert parquet.source.rows_read == before
