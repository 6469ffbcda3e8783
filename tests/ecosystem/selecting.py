"""Choosing rows, columns, parameters and models."""

import numpy as np
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFE, RFECV, SelectFromModel, SequentialFeatureSelector
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    LearningCurveDisplay,
    RandomizedSearchCV,
    TimeSeriesSplit,
    ValidationCurveDisplay,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    train_test_split,
    validation_curve,
)

from tests.ecosystem.data import clf, reg

GRID = {"batch_size": [8, 32]}


def _first_weights(model):
    """Importance of a column: what the first layer makes of it."""
    return model.module_.layers[0].weight.detach().abs().sum(0).numpy()


def select_from_model(rows):
    """`SelectFromModel`"""
    selector = SelectFromModel(
        clf(), importance_getter=_first_weights, max_features=2, threshold=-np.inf
    )
    assert np.shape(selector.fit(rows.X, rows.two).transform(rows.X)) == (len(rows.two), 2)


def elimination(rows):
    """`RFE`, `RFECV`"""
    options = {"importance_getter": _first_weights}
    assert RFE(clf(), n_features_to_select=2, **options).fit(rows.X, rows.two).n_features_ == 2
    assert RFECV(clf(), cv=2, step=2, **options).fit(rows.X, rows.two).n_features_ > 0


def sequential_selection(rows):
    """`SequentialFeatureSelector`"""
    selector = SequentialFeatureSelector(clf(), n_features_to_select=1, cv=2)
    assert selector.fit(rows.X, rows.two).get_support().sum() == 1


def scores(rows):
    """`cross_val_score`, `cross_validate`"""
    assert cross_val_score(clf(), rows.X, rows.two, cv=2).mean() > 0.5
    found = cross_validate(
        reg(), rows.X, rows.number, cv=TimeSeriesSplit(2), return_train_score=True
    )
    assert len(found["train_score"]) == 2


def predictions(rows):
    """`cross_val_predict`"""
    found = cross_val_predict(clf(), rows.X, rows.two, cv=2, method="predict_proba")
    assert found.shape == (len(rows.two), 2)


def split(rows):
    """`train_test_split`"""
    train, test, y_train, y_test = train_test_split(
        rows.X, rows.two, stratify=rows.two, random_state=0
    )
    assert clf().fit(train, y_train).predict(test).shape == y_test.shape


def curves(rows):
    """`learning_curve`, `validation_curve`"""
    sizes, *_ = learning_curve(clf(), rows.X, rows.two, cv=2, train_sizes=[0.5, 1.0])
    assert sizes.tolist() == [15, 30]
    train, _ = validation_curve(
        clf(), rows.X, rows.two, cv=2, param_name="max_epochs", param_range=[1, 2]
    )
    assert train.shape == (2, 2)


def drawn_curves(rows):
    """`LearningCurveDisplay`, `ValidationCurveDisplay`"""
    LearningCurveDisplay.from_estimator(clf(), rows.X, rows.two, cv=2, train_sizes=[0.5, 1.0])
    options = {"param_name": "max_epochs", "param_range": [1, 2]}
    shown = ValidationCurveDisplay.from_estimator(clf(), rows.X, rows.two, cv=2, **options)
    assert len(shown.lines_) == 2


def permuted_labels(rows):
    """`permutation_test_score`"""
    score, permuted, _ = permutation_test_score(
        clf(), rows.X, rows.two, cv=2, n_permutations=2, random_state=0
    )
    assert score > permuted.mean()


def grid(rows):
    """`GridSearchCV`"""
    search = GridSearchCV(clf(), GRID | {"module__hidden": [4]}, cv=2).fit(rows.X, rows.two)
    assert search.predict(rows.X).shape == rows.two.shape


def randomized(rows):
    """`RandomizedSearchCV`"""
    search = RandomizedSearchCV(clf(), {"lr": [0.1, 0.01]}, n_iter=2, cv=2, random_state=0)
    assert search.fit(rows.X, rows.two).score(rows.X, rows.two) > 0.5


def halving(rows):
    """`HalvingGridSearchCV(resource="max_epochs")`"""
    options = {"cv": 2, "resource": "max_epochs", "min_resources": 1, "max_resources": 3}
    search = HalvingGridSearchCV(clf(), GRID | {"lr": [0.1, 0.01]}, **options)
    assert search.fit(rows.X, rows.two).n_resources_ == [1, 3]
    assert search.best_estimator_.n_iter_ == 3


def halving_random(rows):
    """`HalvingRandomSearchCV`"""
    options = {"cv": 2, "n_candidates": 3, "min_resources": 20, "random_state": 0}
    search = HalvingRandomSearchCV(clf(), {"lr": [0.1, 0.05, 0.01]}, **options)
    assert search.fit(rows.X, rows.two).n_iterations_ == 2
