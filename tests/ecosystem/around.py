"""Estimators of scikit-learn around ours."""

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.semi_supervised import SelfTrainingClassifier

from tests.ecosystem.data import clf, reg


def _fits(model, X, y):
    """Fit, and predict as many rows as there are."""
    predicted = model.fit(X, y).predict(X)
    assert predicted.shape == y.shape
    return predicted


def calibrated(rows):
    """`CalibratedClassifierCV`"""
    model = CalibratedClassifierCV(clf(), cv=2)
    _fits(model, rows.X, rows.two)
    assert model.predict_proba(rows.X).shape == (len(rows.two), 2)


def frozen(rows):
    """`FrozenEstimator`"""
    model = clf().fit(rows.X, rows.two)
    _fits(FrozenEstimator(model), rows.X, 1 - rows.two)
    assert model.score(rows.X, rows.two) > 0.5


def stacking(rows):
    """`StackingClassifier`, `StackingRegressor`"""
    _fits(StackingClassifier([("net", clf())], LogisticRegression(), cv=2), rows.X, rows.two)
    _fits(StackingRegressor([("net", reg())], Ridge(), cv=2), rows.X, rows.number)


def voting(rows):
    """`VotingClassifier`, `VotingRegressor`"""
    two = [("a", clf()), ("b", clf(lr=0.01))]
    _fits(VotingClassifier(two, voting="soft"), rows.X, rows.two)
    _fits(VotingRegressor([("a", reg()), ("b", reg(lr=0.01))]), rows.X, rows.number)


def bagging(rows):
    """`BaggingClassifier`, `BaggingRegressor`"""
    _fits(BaggingClassifier(clf(), 2, random_state=0), rows.X, rows.two)
    _fits(BaggingRegressor(reg(), 2, random_state=0), rows.X, rows.number)


def boosting(rows):
    """`AdaBoostClassifier`, `AdaBoostRegressor`"""
    _fits(AdaBoostClassifier(clf(), n_estimators=2, random_state=0), rows.X, rows.two)
    _fits(AdaBoostRegressor(reg(), n_estimators=2, random_state=0), rows.X, rows.number)


def one_versus_rest(rows):
    """`OneVsRestClassifier`"""
    _fits(OneVsRestClassifier(clf()), rows.X, rows.three)


def one_versus_one(rows):
    """`OneVsOneClassifier`"""
    _fits(OneVsOneClassifier(clf()), rows.X, rows.three)


def output_code(rows):
    """`OutputCodeClassifier`"""
    _fits(OutputCodeClassifier(clf(), code_size=1, random_state=0), rows.X, rows.three)


def chains(rows):
    """`ClassifierChain`, `RegressorChain`"""
    _fits(ClassifierChain(clf()), rows.X, rows.labels)
    _fits(RegressorChain(reg()), rows.X, rows.numbers)


def several_outputs(rows):
    """`MultiOutputClassifier`, `MultiOutputRegressor`"""
    _fits(MultiOutputClassifier(clf()), rows.X, rows.labels)
    _fits(MultiOutputRegressor(reg()), rows.X, rows.numbers)


def self_training(rows):
    """`SelfTrainingClassifier`"""
    y = np.where(np.arange(len(rows.two)) % 4, rows.two, -1)
    assert set(_fits(SelfTrainingClassifier(clf(), max_iter=1), rows.X, y)) == {0, 1}


def transformed_target(rows):
    """`TransformedTargetRegressor`"""
    model = TransformedTargetRegressor(reg(), func=np.arcsinh, inverse_func=np.sinh)
    _fits(model, rows.X, rows.number)


def tuned_threshold(rows):
    """`TunedThresholdClassifierCV`"""
    model = TunedThresholdClassifierCV(clf(), cv=2, thresholds=5, scoring="f1")
    _fits(model, rows.X, rows.two)
    assert 0 <= model.best_threshold_ <= 1


def fixed_threshold(rows):
    """`FixedThresholdClassifier`"""
    model = FixedThresholdClassifier(clf(), threshold=1.0, response_method="predict_proba")
    assert _fits(model, rows.X, rows.two).sum() == 0
