"""Estimators around ours, over every kind of Dataset: they slice it and never look inside."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_score,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

SOME_KINDS = ["array", "parquet", "torch"]


def halve(dataset):
    return dataset.map_batches(_half) if hasattr(dataset, "map_batches") else dataset / 2


def _half(X):
    return X / 2


def assert_same_answers(model, ds, X, y, methods=("predict", "predict_proba")):
    """Fit a copy to plain arrays and compare what both say."""
    plain = clone(model).fit(X, y)
    model.fit(ds, ds.target)
    for method in methods:
        np.testing.assert_array_equal(getattr(model, method)(ds), getattr(plain, method)(X))


# Pipelines


def test_pipeline(ds, table, clf):
    model = make_pipeline(FunctionTransformer(), clf)
    assert_same_answers(model, ds, table.X, table.label)
    assert model.score(ds, ds.target) > 0.85


def test_pipeline_finds_labels(ds, clf):
    model = make_pipeline("passthrough", clf).fit(ds)
    assert model.score(ds) == clf.score(ds, ds.target)


def test_pipeline_with_a_function_of_datasets(ds, table, clf):
    model = make_pipeline(FunctionTransformer(halve), clf)
    assert_same_answers(model, ds, table.X, table.label)


def test_search_over_a_pipeline(parquet, table, clf):
    model = Pipeline([("half", FunctionTransformer(halve)), ("net", clf)])
    grid = {"half": ["passthrough", FunctionTransformer(halve)], "net__batch_size": [16, 64]}
    search = GridSearchCV(model, grid, cv=2).fit(parquet, parquet.target)
    plain = GridSearchCV(model, grid, cv=2).fit(table.X, table.label)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


def test_pipeline_with_memory(parquet, clf, tmp_path):
    for part in (parquet, parquet, parquet[:60]):
        steps = [FunctionTransformer(halve), clf]
        make_pipeline(*steps, memory=str(tmp_path)).fit(part, part.target)
    # The second fit found what the first has kept; other rows are something else.
    assert len(list(tmp_path.rglob("output.pkl"))) == 2


# Around one classifier


@pytest.mark.parametrize("ensemble", [True, False])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_calibrated(make, table, clf, method, ensemble):
    model = CalibratedClassifierCV(clf, method=method, ensemble=ensemble, cv=3)
    assert_same_answers(model, make("parquet"), table.X, table.label)


def test_calibrated_over_every_kind(ds, table, clf):
    assert_same_answers(CalibratedClassifierCV(clf, cv=2), ds, table.X, table.label)


def test_calibrated_after_the_fit(parquet, clf):
    train, rest = parquet[:80], parquet[80:]
    frozen = FrozenEstimator(clf.fit(train))
    before = clf.predict_proba(rest)
    model = CalibratedClassifierCV(frozen).fit(rest, rest.target)
    assert model.predict_proba(rest).shape == (40, 2)
    np.testing.assert_array_equal(clf.predict_proba(rest), before)


def test_frozen(ds, clf):
    clf.fit(ds[:60])
    frozen = FrozenEstimator(clf).fit(ds[60:], 1 - ds[60:].target)
    np.testing.assert_array_equal(frozen.predict(ds), clf.predict(ds))


def test_fixed_threshold(ds, table, clf):
    model = FixedThresholdClassifier(clf, threshold=0.9, response_method="predict_proba")
    assert_same_answers(model, ds, table.X, table.label)
    assert (model.predict(ds) == 1).sum() < (model.estimator_.predict(ds) == 1).sum()


@pytest.mark.parametrize("cv", [3, 0.5])
def test_tuned_threshold(ds, table, clf, cv):
    options = {"cv": cv, "scoring": "f1", "thresholds": 10, "random_state": 0}
    model = TunedThresholdClassifierCV(clf, **options)
    plain = clone(model).fit(table.X, table.label)
    model.fit(ds, ds.target)
    assert model.best_threshold_ == plain.best_threshold_
    np.testing.assert_array_equal(model.predict(ds), plain.predict(table.X))


# Many classifiers


def test_one_versus_rest(make, table, clf):
    for kind in SOME_KINDS:
        assert_same_answers(OneVsRestClassifier(clf), make(kind, "three"), table.X, table.three)


def test_output_code(make, table, clf):
    model = OutputCodeClassifier(clf, code_size=2, random_state=0)
    for kind in SOME_KINDS:
        assert_same_answers(model, make(kind, "three"), table.X, table.three, ["predict"])


def test_several_labels(make, table, clf):
    targets = ["label", "three"]
    for kind in SOME_KINDS:
        ds = make(kind, targets)
        assert_same_answers(
            MultiOutputClassifier(clf), ds, table.X, table.target(targets), ["predict"]
        )


def test_several_numbers(make, table, reg):
    targets = ["value", "label"]
    for kind in SOME_KINDS:
        ds = make(kind, targets)
        assert_same_answers(
            MultiOutputRegressor(reg), ds, table.X, table.target(targets), ["predict"]
        )


def test_voting(ds, table, clf):
    members = [("small", clone(clf).set_params(batch_size=8)), ("large", clf)]
    assert_same_answers(VotingClassifier(members, voting="soft"), ds, table.X, table.label)


def test_voting_of_regressors(ds_value, table, reg):
    members = [("small", clone(reg).set_params(batch_size=8)), ("large", reg)]
    assert_same_answers(VotingRegressor(members), ds_value, table.X, table.value, ["predict"])


def test_stacking(ds, table, clf):
    members = [("small", clone(clf).set_params(batch_size=8)), ("large", clf)]
    model = StackingClassifier(members, LogisticRegression(), cv=2)
    assert_same_answers(model, ds, table.X, table.label)


def test_stacking_of_regressors(ds_value, table, reg):
    members = [("small", clone(reg).set_params(batch_size=8)), ("large", reg)]
    model = StackingRegressor(members, Ridge(), cv=2)
    assert_same_answers(model, ds_value, table.X, table.value, ["predict"])


def test_stacking_that_passes_the_features_through(parquet, table, clf):
    model = StackingClassifier([("net", clf)], LogisticRegression(), cv=2, passthrough=True)
    assert_same_answers(model, parquet, table.X, table.label)


# Targets and weights


def test_transformed_target(ds_value, table, reg):
    model = TransformedTargetRegressor(reg, func=np.arcsinh, inverse_func=np.sinh)
    assert_same_answers(model, ds_value, table.X, table.value, ["predict"])
    assert model.score(ds_value, ds_value.target) > 0.3


def test_routed_sample_weight(ds, table, clf):
    weight = np.where(table.label == 1, 5.0, 0.2)
    with config_context(enable_metadata_routing=True):
        clf.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        model = make_pipeline(FunctionTransformer(), clf)
        options = {"cv": 3, "params": {"sample_weight": weight}}
        scores = cross_val_score(model, ds, ds.target, **options)
        plain = cross_val_score(model, table.X, table.label, **options)
        unweighted = cross_val_score(model, ds, ds.target, cv=3)
    np.testing.assert_array_equal(scores, plain)
    assert (scores != unweighted).any()


def test_routed_sample_weight_in_a_search(parquet, table, clf):
    weight = np.where(table.label == 1, 5.0, 0.2)
    grid = {"batch_size": [16, 64]}
    with config_context(enable_metadata_routing=True):
        clf.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(clf, grid, cv=3).fit(parquet, parquet.target, sample_weight=weight)
        plain = GridSearchCV(clf, grid, cv=3).fit(table.X, table.label, sample_weight=weight)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


def test_weights_of_the_dataset_follow_the_folds(parquet, table, clf):
    weight = np.where(table.label == 1, 5.0, 0.2)
    options = {"cv": 3, "return_estimator": True}
    weighted = parquet.with_weight(weight)
    folds = cross_validate(clf, weighted, weighted.target, **options)["estimator"]
    plain = cross_validate(clf, table.X, table.label, params={"sample_weight": weight}, **options)[
        "estimator"
    ]
    for fold, expected in zip(folds, plain, strict=True):
        np.testing.assert_array_equal(fold.predict_proba(parquet), expected.predict_proba(table.X))


def test_datasets_are_not_copied_by_clone(parquet):
    assert clone(parquet, safe=False) is parquet
