"""Partial dependence and decision boundaries: a few columns as arrays, the rest lazy."""

import numpy as np
import pytest
from sklearn.inspection import (
    DecisionBoundaryDisplay,
    PartialDependenceDisplay,
    partial_dependence,
)

pytest.importorskip("matplotlib").use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.parametrize("kind", ["average", "individual", "both"])
def test_partial_dependence(ds, table, clf, kind):
    options = {"features": [0], "kind": kind, "grid_resolution": 5}
    plain = partial_dependence(clf.fit(table.X, table.label), table.X, **options)
    result = partial_dependence(clf.fit(ds), ds, **options)
    assert result.keys() == plain.keys()
    for key in plain:
        np.testing.assert_allclose(result[key], plain[key], rtol=1e-6)


def test_partial_dependence_of_two_columns(named, table, clf):
    options = {"grid_resolution": 4, "response_method": "predict_proba"}
    clf.fit(table.X, table.label)
    plain = partial_dependence(clf, table.X, [(0, 2)], **options)
    result = partial_dependence(clf.fit(named), named, [(0, 2)], **options)
    np.testing.assert_allclose(result["average"], plain["average"], rtol=1e-6)


def test_partial_dependence_finds_columns_in_another_order(named, clf):
    turned = named[:, ["d", "c", "b", "a"]]
    expected = partial_dependence(clf.fit(named), named, [0], grid_resolution=4)
    result = partial_dependence(clf, turned, [3], grid_resolution=4)
    np.testing.assert_allclose(result["average"], expected["average"], rtol=1e-6)


def test_partial_dependence_of_a_regressor(make, table, reg):
    ds = make("parquet", "value")
    result = partial_dependence(reg.fit(ds), ds, [0], grid_resolution=5, kind="average")
    assert (np.diff(result["average"][0]) > 0).all()  # the value grows with column a


def test_partial_dependence_display(named, clf):
    shown = PartialDependenceDisplay.from_estimator(
        clf.fit(named), named, [0, (0, 1)], feature_names=named.columns, grid_resolution=4
    )
    assert list(shown.feature_names) == ["a", "b", "c", "d"]
    assert len(shown.pd_results) == 2


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_decision_boundary(ds, table, clf):
    options = {"grid_resolution": 5, "response_method": "predict_proba"}
    two = ds[:, [0, 1]]
    X = table.X[:, :2].astype(np.asarray(two).dtype)
    plain = DecisionBoundaryDisplay.from_estimator(clf.fit(X, table.label), X, **options)
    shown = DecisionBoundaryDisplay.from_estimator(clf.fit(two, ds.target), two, **options)
    np.testing.assert_array_equal(shown.xx0, plain.xx0)
    np.testing.assert_allclose(shown.response, plain.response, atol=1e-6)


def test_partial_dependence_by_name_is_by_the_place_of_the_name(named, clf):
    """scikit-learn takes names of DataFrames alone."""
    name = named.columns[2]
    clf.fit(named)
    result = partial_dependence(clf, named, [named.columns.index(name)], grid_resolution=4)
    expected = partial_dependence(
        clf, named.to_pandas()[[*named.columns]].astype(float), [name], grid_resolution=4
    )
    np.testing.assert_allclose(result.average, expected.average, rtol=1e-5)
