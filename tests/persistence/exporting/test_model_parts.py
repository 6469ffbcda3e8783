"""Pipelines are taken apart into what a graph can hold, or refused by name."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import sklearnish as sn
from sklearnish.persistence._exporting.model_parts import parts_of
from sklearnish.preprocessing import Streamed

rng = np.random.default_rng(0)
X = rng.normal([1e6, 0, -3, 0], [1, 1e-3, 100, 0], (60, 4))
y = X[:, 2] > 0
clf = sn.TorchClassifier(max_epochs=1, random_state=0)

SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    MinMaxScaler(),
    MinMaxScaler((-2, 5), clip=True),
    MaxAbsScaler(),
    RobustScaler(),
    RobustScaler(with_centering=False),
    RobustScaler(with_scaling=False),
]


@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_a_scaler_does_in_torch_what_it_does(scaler):
    model = make_pipeline(scaler, clf).fit(X, y)
    (scaling,) = parts_of(model).scalings
    rows = rng.normal(0, 1e3, (20, 4))
    np.testing.assert_allclose(
        scaling(torch.tensor(rows)).numpy(), model[0].transform(rows), rtol=1e-12, atol=1e-12
    )


def test_steps_are_found_in_pipelines_streamed_and_searches():
    inner = Streamed(make_pipeline(RobustScaler(), "passthrough", MaxAbsScaler()))
    model = make_pipeline(None, StandardScaler(), inner, clf)
    search = GridSearchCV(model, {"torchclassifier__lr": [0.01]}, cv=2).fit(X, y)
    parts = parts_of(search)
    assert parts.model is search
    assert parts.estimator is search.best_estimator_[-1]
    assert_scaled(parts, search.best_estimator_[:-1].transform(X))


def test_a_search_may_be_within_a_pipeline():
    inner = GridSearchCV(make_pipeline(MaxAbsScaler(), clf), {"torchclassifier__lr": [0.1]}, cv=2)
    model = make_pipeline(StandardScaler(), inner).fit(X, y)
    best = model[-1].best_estimator_
    parts = parts_of(model)
    assert parts.estimator is best[-1]
    assert_scaled(parts, best[:-1].transform(model[:-1].transform(X)))


def assert_scaled(parts, wanted):
    rows = torch.tensor(X)
    for scaling in parts.scalings:
        rows = scaling(rows)
    np.testing.assert_allclose(rows.numpy(), wanted, rtol=1e-9)


def test_a_search_that_kept_no_estimator_is_refused():
    search = GridSearchCV(clf, {"lr": [0.1]}, cv=2, refit=False).fit(X, y)
    with pytest.raises(ValueError, match=r"GridSearchCV was fitted with refit=False.*refit=True"):
        parts_of(search)


def test_other_steps_are_refused_by_name():
    model = make_pipeline(StandardScaler(), PCA(2), clf).fit(X, y)
    with pytest.raises(ValueError, match=r"The step 'pca', a PCA, cannot .*Export the last step"):
        parts_of(model)


def test_a_subclass_of_a_scaler_may_do_anything():
    class Mine(StandardScaler):
        def transform(self, X, copy=None):
            return np.log1p(np.abs(X))

    with pytest.raises(ValueError, match="'mine', a Mine"):
        parts_of(make_pipeline(Mine(), clf).fit(X, y))


def test_a_step_before_an_estimator_of_tables_is_refused():
    tab = sn.TabularClassifier(quality="fast", max_epochs=1, random_state=0)
    model = make_pipeline(StandardScaler(), tab).fit(X[:, :3], y)
    with pytest.raises(ValueError, match="encodes columns by itself; fit it without the step 'sta"):
        parts_of(model)


@pytest.mark.parametrize("model", [LogisticRegression(), make_pipeline(LogisticRegression())])
def test_other_estimators_are_refused(model):
    with pytest.raises(TypeError, match=r"a classifier or regressor of sklearnish.*LogisticRegr"):
        parts_of(model.fit(X, y))


@pytest.mark.parametrize(
    ("given", "told"),
    [(None, "NoneType"), (sn.TorchClassifier, "the class TorchClassifier"), ("x", "str")],
)
def test_what_is_no_estimator_is_refused(given, told):
    with pytest.raises(TypeError, match=f"got {told}"):
        parts_of(given)


def test_an_estimator_that_is_not_fitted_is_refused():
    new = sn.TorchClassifier()
    search = GridSearchCV(new, {"lr": [0.1]})
    pipelines = [
        make_pipeline(StandardScaler(), new),
        make_pipeline(StandardScaler(), search),
        make_pipeline(Streamed(PCA()), new),
    ]
    for model in (new, search, *pipelines):
        with pytest.raises(NotFittedError):
            parts_of(model)
