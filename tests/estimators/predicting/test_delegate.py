import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.cluster import MiniBatchKMeans
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import IncrementalPCA
from sklearn.linear_model import SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.validation import check_is_fitted

import sklearnish as sn
from sklearnish.estimators._predicting.delegate import DelegateMixin

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(400, 3)), RNG.integers(0, 2, 400)


def around(estimator):
    """An estimator around one that is fitted already."""
    made = sn.Incremental(estimator)
    made.estimator_, made.n_features_in_ = estimator, 3
    return made


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
def test_results_are_those_of_the_estimator(method):
    inner = GaussianNB().fit(X, Y)
    found = getattr(around(inner), method)(sn.as_dataset(X)[::-1])
    np.testing.assert_allclose(found[::-1], getattr(inner, method)(X))


def test_methods_are_there_if_the_estimator_has_them():
    methods = [name for name in vars(DelegateMixin) if not name.startswith("_")]
    for estimator in (GaussianNB(), IncrementalPCA(), MiniBatchKMeans(), SGDRegressor()):
        wrapped = sn.Incremental(estimator)
        for name in set(methods) - {"estimator", "estimator_", "set_output", "fit_transform"}:
            assert hasattr(wrapped, name) == hasattr(estimator, name), (estimator, name)


@pytest.mark.parametrize("weight", [None, RNG.random(400)])
def test_scores_are_those_of_the_estimator(weight):
    for inner, y in ((GaussianNB().fit(X, Y), Y), (SGDRegressor().fit(X, X[:, 0]), X[:, 0])):
        expected = inner.score(X, y, sample_weight=weight)
        assert around(inner).score(X, y, weight) == pytest.approx(expected)
        assert around(inner).score(sn.as_dataset(X, y), None, weight) == pytest.approx(expected)
    means = MiniBatchKMeans(2, n_init=1).fit(X)
    assert around(means).score(X) == pytest.approx(means.score(X))


def test_other_scores_are_given_all_rows():
    class Covariance(EmpiricalCovariance):
        def partial_fit(self, X, y=None):
            return self.fit(X)

    inner = Covariance().fit(X)
    assert around(inner).score(sn.as_dataset(X)) == inner.score(X)


def test_frames_as_all_of_scikit_learn_gives_them():
    pca = around(IncrementalPCA(2).fit(X))
    with config_context(transform_output="pandas"):
        assert isinstance(pca.transform(X), pd.DataFrame)
        assert isinstance(pca.transform(sn.as_dataset(X)), sn.Dataset)
    check_is_fitted(pca)
