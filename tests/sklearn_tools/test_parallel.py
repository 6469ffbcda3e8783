"""joblib's processes around loader workers of our own, in every combination."""

import pickle

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV, cross_val_score

COMBINATIONS = [
    pytest.param(n_jobs, workers, marks=[] if (n_jobs, workers) == (2, 2) else pytest.mark.slow)
    for n_jobs in (1, 2)
    for workers in (0, 2)
]


@pytest.fixture
def scores(parquet, clf):
    """Scores in this process alone."""
    return cross_val_score(clf, parquet, parquet.target, cv=2)


@pytest.mark.parametrize(("n_jobs", "workers"), COMBINATIONS)
def test_cross_val_score(parquet, clf, scores, n_jobs, workers):
    clf.set_params(num_workers=workers)
    found = cross_val_score(clf, parquet, parquet.target, cv=2, n_jobs=n_jobs)
    np.testing.assert_array_equal(found, scores)


@pytest.mark.slow
@pytest.mark.parametrize(("n_jobs", "workers"), [(j, w) for j in (1, 2) for w in (0, 2)])
@pytest.mark.parametrize("kind", ["array", "csv", "npy", "torch", "pandas"])
def test_grid_search(make, clf, kind, n_jobs, workers):
    ds, grid = make(kind), {"batch_size": [16, 64]}
    plain = GridSearchCV(clf, grid, cv=2).fit(ds, ds.target)
    clf.set_params(num_workers=workers)
    search = GridSearchCV(clf, grid, cv=2, n_jobs=n_jobs).fit(ds, ds.target)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )
    assert search.score(ds, ds.target) == plain.score(ds, ds.target)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_in_processes(pictures, clf, workers):
    clf.set_params(sampler="shuffle", num_workers=workers)
    found = cross_val_score(clf, pictures, pictures.target, cv=2, n_jobs=2)
    assert found.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("workers", [0, "auto"])
def test_threads_of_joblib(parquet, clf, scores, workers):
    clf.set_params(num_workers=workers)
    with parallel_config("threading", n_jobs=2):
        found = cross_val_score(clf, parquet, parquet.target, cv=2)
    np.testing.assert_array_equal(found, scores)


def test_a_view_pickles_small(parquet, ds):
    assert len(pickle.dumps(parquet)) < 4000
    rows = np.arange(0, 120, 2)
    assert len(pickle.dumps(parquet[rows])) < 4000 + 8 * len(rows)
