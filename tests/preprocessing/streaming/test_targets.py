import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

from sklearnish.preprocessing import Streamed
from sklearnish.preprocessing._streaming.learner import folds_of
from tests.preprocessing.rows import FRAME, N, assert_same, memory

COLUMNS = ["city", "rooms", "gappy", "gaps"]


def cross_fitted(encoder, ds, n_folds=5):
    """Encode each row by an encoder that saw the other folds, as TargetEncoder does."""
    X, y, folds = memory(ds), ds.target, folds_of(ds.rows.astype(np.int64), n_folds)
    width = encoder.fit(X, y).transform(X).shape[1]
    result = np.zeros((len(X), width))
    for k in range(n_folds):
        inside = folds == k
        result[inside] = encoder.fit(X[~inside], y[~inside]).transform(X[inside])
    return result


@pytest.mark.parametrize("smooth", ["auto", 0.0, 20.0])
@pytest.mark.parametrize("target", ["label", "kind", "rent", "rooms"])
def test_means_are_those_of_scikit_learn_and_cross_fitted(scanned, target, smooth):
    columns = [name for name in COLUMNS if name != target]
    ds = scanned(columns, target)
    encoder = TargetEncoder(
        smooth=smooth, target_type="continuous" if target == "rooms" else "auto"
    )
    streamed = Streamed(encoder)
    lazy = streamed.fit_transform(ds)
    found, plain = streamed.transformer_, TargetEncoder(**encoder.get_params())
    plain.fit(memory(ds), ds.target)
    for name in ("target_type_", "classes_", "target_mean_", "categories_"):
        _assert_equal(getattr(found, name), getattr(plain, name))
    for one, two in zip(found.encodings_, plain.encodings_, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9)
    assert repr(found) == repr(plain)
    assert_same(found.transform(memory(ds)), plain.transform(memory(ds)))
    np.testing.assert_allclose(lazy.read(range(N)).X, cross_fitted(plain, ds), rtol=1e-5)


def _assert_equal(one, two):
    if isinstance(two, list):
        for values, others in zip(one, two, strict=True):
            np.testing.assert_array_equal(pd.isna(values), pd.isna(others))
            assert values[~pd.isna(values)].tolist() == others[~pd.isna(others)].tolist()
    elif isinstance(two, np.ndarray) and two.dtype.kind != "f":
        assert one.tolist() == two.tolist()
    elif isinstance(two, str | None):
        assert one == two
    else:
        np.testing.assert_allclose(one, two)


def test_what_follows_learns_from_cross_fitted_rows(scanned):
    ds = scanned(["city", "gappy"])
    streamed = Streamed(make_pipeline(TargetEncoder(cv=3), StandardScaler()))
    lazy = streamed.fit_transform(ds)
    encoded = cross_fitted(TargetEncoder(), ds, 3)
    scaler = StandardScaler().fit(encoded)
    np.testing.assert_allclose(streamed.transformer_[1].mean_, scaler.mean_)
    np.testing.assert_allclose(
        lazy.read(range(N)).X, scaler.transform(encoded), rtol=1e-4, atol=1e-4
    )


def test_in_a_column_transformer(scanned):
    ds = scanned(["city", "gappy", "rooms"])
    parts = (TargetEncoder(cv=KFold(4)), ["city"]), (OneHotEncoder(), ["rooms"])
    lazy = Streamed(make_column_transformer(*parts)).fit_transform(ds)
    found = lazy.read(range(N)).X.numpy()
    expected = cross_fitted(TargetEncoder(), ds.select(["city"]), 4)
    np.testing.assert_allclose(found[:, :1], expected, rtol=1e-5)
    np.testing.assert_array_equal(found[:, 1:].sum(axis=1), 1)
    subset = lazy[[5, 5, 2]]
    np.testing.assert_array_equal(subset.read([0, 1, 2]).X, found[[5, 5, 2]])


def test_labels_are_needed(scanned):
    ds = scanned(["city"]).without_target()
    with pytest.raises(ValueError, match="y"):
        Streamed(TargetEncoder()).fit(ds)
    with pytest.raises(ValueError, match="Unknown label type"):
        Streamed(TargetEncoder()).fit(ds, np.ones((N, 2)) * FRAME[["a", "b"]].to_numpy())
