"""Columns by name and number, and what scikit-learn builds on them."""

import pickle

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearnish.data import Dataset


def test_one_column_is_an_array(ds, table):
    column = ds[:, 2]
    assert isinstance(column, np.ndarray)
    np.testing.assert_array_equal(column, table.X[:, 2])
    np.testing.assert_array_equal(ds[5:9, -1], table.X[5:9, -1])


@pytest.mark.parametrize("key", [[2, 0], slice(1, 3), [True, False, False, True]])
def test_several_columns_are_a_view(ds, table, key):
    view = ds[:, key]
    assert isinstance(view, Dataset)
    np.testing.assert_array_equal(np.asarray(view), table.X[:, key])
    np.testing.assert_array_equal(np.asarray(view[:, [1]]), table.X[:, key][:, [1]])


def test_columns_by_name(named, table):
    assert named[:, ["d", "b"]].columns == ("d", "b")
    np.testing.assert_array_equal(named[:, "b"], table.X[:, 1])


def test_a_view_of_columns_keeps_its_labels(ds, table, clf):
    two = ds[:, [0, 1]]
    expected = clf.fit(table.X[:, :2], table.label).predict_proba(table.X[:, :2])
    np.testing.assert_array_equal(clf.fit(two).predict_proba(two), expected)


def test_what_an_array_says_of_itself(ds, table):
    assert (ds.ndim, ds.shape, ds.dtype) == (2, table.X.shape, table.X.dtype)
    np.testing.assert_array_equal(np.asarray(ds), table.X)
    np.testing.assert_array_equal(np.hstack([ds, ds[:, [1]]]), np.c_[table.X, table.X[:, 1]])
    np.testing.assert_array_equal(np.concatenate([ds[:3], table.X[:2]])[3:], table.X[:2])


def test_unnamed_arrays_have_no_columns(make):
    assert not hasattr(make("npy"), "columns")
    assert make("parquet").columns == ("a", "b", "c", "d")


def test_columns_of_a_copy_can_be_set(ds, table):
    copied, expected = ds.copy(), table.X.copy()
    copied[:, 1] = 7.5
    copied[:, [0, -1]] = np.float32(-1)
    expected[:, 1], expected[:, 0], expected[:, 3] = 7.5, -1, -1
    np.testing.assert_array_equal(np.asarray(copied), expected)
    np.testing.assert_array_equal(np.asarray(copied[5:9, [3, 1]]), expected[5:9][:, [3, 1]])
    np.testing.assert_array_equal(copied.to_pandas().to_numpy()[:, :4], expected)
    np.testing.assert_array_equal(np.asarray(pickle.loads(pickle.dumps(copied))), expected)
    np.testing.assert_array_equal(np.asarray(ds), table.X)
    with pytest.raises(TypeError, match="does not support item assignment"):
        ds[:, 1] = 0.0


def test_only_whole_columns_of_a_copy_can_be_set(parquet):
    for key, value in [((slice(0, 3), 1), 0.0), (slice(None, 5), 0.0), ((slice(None), 1), [1, 2])]:
        with pytest.raises(TypeError, match="Rows of a Dataset cannot be set"):
            parquet.copy()[key] = value
    with pytest.raises(TypeError, match="before map and map_batches"):
        parquet.map_batches(abs).copy()[:, 0] = 1.0


def test_missing_column_is_named(parquet):
    with pytest.raises(ValueError, match=r"has no column 'z'.*'a', 'b', 'c', 'd', 'label'"):
        parquet[:, ["a", "z"]]
    with pytest.raises(IndexError, match="out of range for 4 columns"):
        parquet[:, [4]]


def test_predict_finds_columns_by_name(named, clf):
    expected = clf.fit(named).predict_proba(named)
    turned = named[:, ["d", "c", "b", "a"]]
    np.testing.assert_array_equal(clf.predict_proba(turned), expected)


def test_feature_union(ds, table, clf):
    union = FeatureUnion([("same", FunctionTransformer()), ("again", FunctionTransformer())])
    model = make_pipeline(union, clf)
    expected = model.fit(table.X, table.label).predict_proba(table.X)
    np.testing.assert_array_equal(model.fit(ds, ds.target).predict_proba(ds), expected)


@pytest.mark.parametrize("kind", ["array", "npy", "torch"])
def test_column_transformer_passthrough(make, table, clf, kind):
    ds = make(kind)
    columns = [("keep", "passthrough", [2, 0])]
    model = make_pipeline(ColumnTransformer(columns, remainder="passthrough"), clf)
    expected = model.fit(table.X, table.label).predict_proba(table.X)
    np.testing.assert_array_equal(model.fit(ds, ds.target).predict_proba(ds), expected)


def test_column_transformer(ds, table, clf):
    # "passthrough" would compare the names of the Dataset with x0, x1, which stand for the names
    # that scikit-learn knows of DataFrames alone.
    columns = [("scale", StandardScaler(), [0, 1]), ("keep", FunctionTransformer(), [3])]
    model = make_pipeline(ColumnTransformer(columns), clf)
    X = table.X.astype(np.asarray(ds).dtype)  # a CSV has float64, and so the scaler
    expected = model.fit(X, table.label).predict_proba(X)
    np.testing.assert_array_equal(model.fit(ds, ds.target).predict_proba(ds), expected)
