"""scikit-learn's searches over every kind of Dataset give what they give over plain arrays."""

import numpy as np
import pytest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    RandomizedSearchCV,
)

GRID = {"batch_size": [8, 32, 100]}


def assert_same_search(search, other):
    for key, scores in other.cv_results_.items():
        if key.endswith("score"):
            np.testing.assert_array_equal(search.cv_results_[key], scores, err_msg=key)
    assert search.best_params_ == other.best_params_


def test_grid_over_batch_size(ds, table, clf):
    search = GridSearchCV(clf, GRID, cv=3).fit(ds, ds.target)
    plain = GridSearchCV(clf, GRID, cv=3).fit(table.X, table.label)
    assert_same_search(search, plain)
    assert len(set(plain.cv_results_["mean_test_score"])) > 1
    np.testing.assert_array_equal(search.predict(ds[:30]), plain.predict(table.X[:30]))
    assert search.score(ds, ds.target) == plain.score(table.X, table.label)


def test_grid_reads_labels_from_the_dataset_when_none_are_given(ds, clf):
    search = GridSearchCV(clf, GRID, cv=KFold(3)).fit(ds)
    plain = GridSearchCV(clf, GRID, cv=KFold(3)).fit(ds, ds.target)
    assert_same_search(search, plain)


def test_grid_with_several_scorers_and_train_scores(ds, table, clf):
    scoring = ["accuracy", "roc_auc", "neg_log_loss", "f1"]
    options = {"cv": 2, "scoring": scoring, "refit": "roc_auc", "return_train_score": True}
    search = GridSearchCV(clf, GRID, **options).fit(ds, ds.target)
    plain = GridSearchCV(clf, GRID, **options).fit(table.X, table.label)
    assert_same_search(search, plain)


def test_grid_over_regressors(ds_value, table, reg):
    grid = {"lr": [0.0001, 0.1], "module__hidden": [(8,), (16, 16)]}
    search = GridSearchCV(reg, grid, cv=3).fit(ds_value, ds_value.target)
    plain = GridSearchCV(reg, grid, cv=3).fit(table.X, table.value)
    assert_same_search(search, plain)
    assert search.best_params_["lr"] == 0.1


def test_grid_over_rows_in_shuffled_blocks_is_as_good(parquet, clf):
    clf.set_params(sampler="shuffle", max_epochs=4)
    search = GridSearchCV(clf, {"batch_size": [16, 64]}, cv=3).fit(parquet, parquet.target)
    assert search.cv_results_["mean_test_score"].max() > 0.93


def test_randomized(ds, table, clf):
    space = {"lr": np.geomspace(1e-3, 1e-1, 20), "batch_size": [16, 32, 64]}
    options = {"n_iter": 3, "cv": 2, "random_state": 0}
    search = RandomizedSearchCV(clf, space, **options).fit(ds, ds.target)
    plain = RandomizedSearchCV(clf, space, **options).fit(table.X, table.label)
    assert_same_search(search, plain)


@pytest.mark.parametrize("resource", ["n_samples", "max_epochs"])
@pytest.mark.parametrize("kind", ["array", "parquet"])
def test_halving(make, table, clf, kind, resource):
    ds = make(kind)
    options = {"cv": 2, "random_state": 0, "resource": resource}
    if resource == "max_epochs":
        options["max_resources"] = 4
    search = HalvingGridSearchCV(clf, GRID, **options).fit(ds, ds.target)
    plain = HalvingGridSearchCV(clf, GRID, **options).fit(table.X, table.label)
    assert search.n_iterations_ > 1
    assert_same_search(search, plain)


def test_halving_randomized(parquet, table, clf):
    space = {"batch_size": [16, 32, 64, 128], "lr": [0.001, 0.01, 0.1]}
    options = {"cv": 2, "random_state": 0, "n_candidates": 4, "min_resources": 60}
    search = HalvingRandomSearchCV(clf, space, **options).fit(parquet, parquet.target)
    plain = HalvingRandomSearchCV(clf, space, **options).fit(table.X, table.label)
    assert_same_search(search, plain)


def test_grid_over_pictures(pictures, clf):
    clf.set_params(sampler="shuffle")  # the folders are in order
    search = GridSearchCV(clf, {"batch_size": [4, 8]}, cv=2).fit(pictures, pictures.target)
    assert search.best_score_ == 1.0
    assert set(search.predict(pictures)) == {"bright", "dark"}


def test_grid_over_rows_of_named_inputs(named_inputs, two_inputs):
    ds = named_inputs
    search = GridSearchCV(two_inputs, {"batch_size": [8, 32]}, cv=3).fit(ds, ds.target)
    assert search.best_score_ > 0.8
    assert search.predict(ds[:7]).shape == (7,)
