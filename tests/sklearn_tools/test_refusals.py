"""What scikit-learn turns into an array works below a size, and is refused above it."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier
from sklearn.feature_selection import RFE, SequentialFeatureSelector
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsOneClassifier
from sklearn.multioutput import ClassifierChain, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from sklearnish import as_dataset
from sklearnish.data import _pandas
from sklearnish.preprocessing import Streamed

WAY_OUT = (
    r"GiB of features, too many for an array\. Estimators of sklearnish read a Dataset batch by "
    r"batch; others can be given some rows, such as ds\[:25\]\..*Streamed\(scaler\), model\)"
)

MODELS = {
    "one versus one": (lambda clf, reg: OneVsOneClassifier(clf), "three"),
    "bagging": (lambda clf, reg: BaggingClassifier(clf, 2, random_state=0), "label"),
    "boosting": (lambda clf, reg: AdaBoostClassifier(clf, n_estimators=2, random_state=0), "label"),
    "self-training": (lambda clf, reg: SelfTrainingClassifier(clf, max_iter=1), "label"),
    "chain": (lambda clf, reg: ClassifierChain(clf), ["label", "three"]),
    "chain of regressors": (lambda clf, reg: RegressorChain(reg), ["value", "label"]),
    "elimination": (lambda clf, reg: RFE(clf, importance_getter=_ones), "label"),
    "selection": (lambda clf, reg: SequentialFeatureSelector(clf, cv=2), "label"),
    "scaler": (lambda clf, reg: make_pipeline(StandardScaler(), clf), "label"),
    "a stock estimator": (lambda clf, reg: LogisticRegression(), "label"),
}


def _ones(estimator):
    return np.arange(estimator.n_features_in_)


@pytest.fixture
def small_cap(monkeypatch):
    """Let 400 bytes be as a gigabyte: 25 rows of four numbers."""
    monkeypatch.setattr(_pandas, "_ARRAY_CAP", 400)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["parquet", "torch"])
def test_small_views_become_arrays(make, table, clf, reg, name, kind):
    build, target = MODELS[name]
    ds = make(kind, target)[:100]
    y = table.target(target)[:100].copy()
    if name == "self-training":
        y[::4] = -1
    model = build(clf, reg).fit(ds, y)
    plain = build(clf, reg).fit(table.X[:100], y)
    method = "transform" if hasattr(model, "get_support") else "predict"
    np.testing.assert_array_equal(getattr(model, method)(ds), getattr(plain, method)(table.X[:100]))


@pytest.mark.parametrize("name", MODELS)
def test_large_ones_are_refused(make, clf, reg, small_cap, name):
    build, target = MODELS[name]
    ds = make("parquet", target)
    with pytest.raises(ValueError, match=WAY_OUT):
        build(clf, reg).fit(ds, ds.target)


def test_permutation_importance(parquet, table, clf, monkeypatch):
    clf.fit(table.X, table.label)
    options = {"n_repeats": 2, "random_state": 0}
    plain = permutation_importance(clf, table.X, table.label, **options)
    clf.fit(parquet[:, :])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        result = permutation_importance(clf, parquet, parquet.target, **options)
    np.testing.assert_allclose(result.importances, plain.importances)
    monkeypatch.setattr(_pandas, "_ARRAY_CAP", 400)
    with pytest.raises(ValueError, match=WAY_OUT):
        permutation_importance(clf, parquet, parquet.target, **options)


def test_the_refusal_names_the_files(parquet, small_cap):
    with pytest.raises(ValueError, match=f"^{parquet.source.name} has"):
        np.asarray(parquet)
    assert np.asarray(parquet[:25]).shape == (25, 4)


def test_our_estimators_are_not_refused(parquet, clf, small_cap):
    clf.set_params(early_stopping=True)
    assert clf.fit(parquet).predict(parquet).shape == (120,)


def test_a_stock_scaler_over_columns_is_refused(parquet, small_cap):
    with pytest.raises(ValueError, match="too many for an array"):
        StandardScaler().fit(parquet[:, [0, 1]])


def test_a_scaler_of_some_rows_in_front_of_all(parquet, clf, small_cap):
    scaler = StandardScaler().fit(parquet[:25])
    scaled = parquet.map_batches(scaler.transform)
    model = clf.fit(scaled)
    with pytest.raises(ValueError, match=WAY_OUT):
        make_pipeline(StandardScaler(), clf).fit(parquet, parquet.target)
    pipe = make_pipeline(Streamed(StandardScaler()), clf).fit(parquet, parquet.target)
    assert pipe.predict(parquet).shape == (120,)
    expected = torch.from_numpy(scaler.transform(parquet[3:5])).double()
    torch.testing.assert_close(scaled.read([3, 4]).X, expected, atol=1e-6, rtol=0)
    assert (
        clone(clf).set_params(module=torch.nn.Linear(4, 2), module_params=None).fit(scaled).loss_
        > 0
    )
    assert model.predict(scaled).shape == (120,)


def test_an_imputer_over_a_dataset_and_of_some_rows(clf):
    X = np.random.default_rng(0).normal(size=(30, 3)).astype("float32")
    X[4, 1] = np.nan
    ds = as_dataset(X, np.arange(30) % 2)
    with pytest.raises(ValueError, match=r"NaN: feature 1, row 4.*Streamed\(SimpleImputer"):
        clf.fit(ds)
    for imputer in (SimpleImputer(), Streamed(SimpleImputer())):
        pipe = make_pipeline(imputer, clf).fit(ds, ds.target)
        assert pipe.predict(ds).shape == (30,)
    filled = ds.map_batches(SimpleImputer().fit(ds[:20]).transform)
    assert filled.read([4]).X[0, 1].item() == pytest.approx(np.nanmean(X[:20, 1]), rel=1e-5)
    assert clf.fit(filled).predict(filled).shape == (30,)
