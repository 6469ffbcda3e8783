"""What predict and its like make of rows: which are refused, and which are read how."""

import copy

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from sklearnish import TorchClassifier, TorchRegressor, as_dataset
from sklearnish.estimators._predicting.methods import _SMALL
from tests.estimators.common import classification, regression


@pytest.fixture(scope="module")
def clf():
    X, y = classification(400)
    return TorchClassifier(max_epochs=1, random_state=0).fit(X, y)


def test_not_fitted_comes_first():
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(TorchClassifier(), method)([[0.0]])
    assert not hasattr(TorchClassifier(), "module_")


@pytest.mark.parametrize("n_rows", [1, _SMALL, _SMALL + 1, 400])
@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_each_kind_of_rows_is_answered_alike(clf, tmp_path, n_rows, method):
    X = classification(400)[0][:n_rows]
    with torch.inference_mode():
        outputs = clf.module_(torch.from_numpy(X))
    expected = {
        "predict": outputs.argmax(1),
        "predict_proba": outputs.softmax(1),
        "decision_function": outputs,
    }[method].numpy()
    kinds = [np.asarray, np.ndarray.tolist, sp.csr_array, torch.from_numpy, as_dataset]
    for rows in (kind(X) for kind in kinds):
        found = getattr(clf, method)(rows)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        clf.predict_to(tmp_path / "p.npy", rows, method=method)
        np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), found)


def test_a_method_that_is_none_is_refused_before_the_rows(tmp_path):
    X, y = regression(20)
    reg = TorchRegressor(max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=r"method='predict_proba' is not one of 'predict'\.$"):
        reg.predict_to(tmp_path / "p.npy", X[:, :3], method="predict_proba")
    assert not list(tmp_path.iterdir())


def test_a_report_says_how_many_rows_were_written(clf, tmp_path):
    report = clf.predict_to(tmp_path / "p.npy", classification(400)[0])
    assert [epoch.rows for epoch in report.epochs] == [400]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_with_nothing_wrong_skip_no_check_that_matters(clf, dtype):
    X, _ = classification(400)
    X = X[:5].astype(dtype)
    assert clf.predict(X).shape == (5,)
    for bad in (np.nan, np.inf, -np.inf):
        spoilt = X.copy()
        spoilt[3, 2] = bad
        with pytest.raises(ValueError, match="The first is in row 3, column 2"):
            clf.predict(spoilt)
    with pytest.raises(ValueError, match="X has 9 features, but TorchClassifier is expecting 10"):
        clf.predict(X[:, :9])
    with pytest.raises(ValueError, match="1D array instead"):
        clf.predict(X[0])
    with pytest.raises(ValueError, match="0 sample"):
        clf.predict(X[:0])
    huge = np.full((1, 10), np.finfo(np.float32).max, dtype)  # its sum is infinite, it is not
    with pytest.raises(ValueError, match="output for row 0 of X is"):
        clf.predict(huge)


def test_an_array_without_names_is_told_to_have_none():
    X, y = classification(100)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(10)])
    clf = TorchClassifier(max_epochs=1, random_state=0).fit(frame, y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        clf.predict(X)


def test_frames_get_the_messages_of_scikit_learn():
    X, y = classification()
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(10)])
    clf = TorchClassifier(max_epochs=1).fit(frame, y)
    with pytest.raises(ValueError, match="in the same order as they were in fit"):
        clf.predict(frame[frame.columns[::-1]])
    with pytest.raises(ValueError, match="Feature names unseen at fit time:\n- z"):
        clf.predict(frame.rename(columns={"x0": "z"}))


class Unlike(pd.DataFrame):
    """A DataFrame that may only be read as a whole."""

    @property
    def iloc(self):
        raise AssertionError

    def items(self):
        raise AssertionError


@pytest.fixture(scope="module")
def frame():
    X, y = classification(60)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(10)])
    return frame.assign(x0=(frame["x0"] * 10).astype(int)), y


@pytest.fixture(scope="module")
def named(frame):
    return TorchClassifier(max_epochs=1, random_state=0).fit(*frame)


def wider(frame):
    wide = frame.assign(city="Bern", when=pd.Timestamp("2024-01-01"), more=[None] * len(frame))
    return wide[["city", *frame.columns[:4], "when", *frame.columns[4:], "more"]]


KINDS = {"polars": pl.from_pandas, "arrow": pa.Table.from_pandas}


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "many"])
def test_columns_that_were_no_features_are_ignored(frame, named, tmp_path, kind):
    X, y = frame
    rows = wider(X)
    if kind == "many":  # than are read as a whole
        rows, y = pd.concat([rows] * 5), np.tile(y, 5)
    expected = named.predict_proba(rows[X.columns])
    rows = KINDS.get(kind, pd.DataFrame)(rows)
    np.testing.assert_allclose(named.predict_proba(rows), expected, rtol=1e-5)
    assert named.score(rows, y) == np.mean(named.predict(rows) == y)
    named.predict_to(tmp_path / "p.npy", rows, method="predict_proba")
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), expected, rtol=1e-5)
    assert copy.deepcopy(named).partial_fit(rows, y).n_iter_ == 2


def test_features_of_a_frame_keep_the_order_of_fit(frame, named, tmp_path):
    rows = wider(frame[0])
    rows = rows[rows.columns[::-1]]
    for predict in (named.predict, lambda rows: named.predict_to(tmp_path / "p.npy", rows)):
        with pytest.raises(ValueError, match=r"in the same order as they were in fit\.\n$"):
            predict(rows)


def test_a_few_rows_of_a_frame_are_read_as_a_whole(frame, named):
    X, _ = frame
    for rows in (X[:1], X[5:9]):
        np.testing.assert_array_equal(named.predict_proba(Unlike(rows)), named.predict_proba(rows))
    with pytest.raises(ValueError, match=r"NaN: column 'x3', row 1 of"):
        named.predict(X[:3].assign(x3=[0.0, np.nan, np.nan]))
    with pytest.raises(ValueError, match=r"1e\+40, which is beyond float32: column 'x3'"):
        named.predict(X[:3].assign(x3=[0.0, 1e40, 0.0]))


def test_rows_of_another_size_are_explained():
    X, y = classification()
    ds = as_dataset(X, y)
    clf = TorchClassifier(max_epochs=1).fit(ds.map_batches(lambda X: X[:, :4]))
    clf.n_features_in_ = 10  # as for images, whose first length is compared alone
    with pytest.raises(ValueError, match=r"shape \(10,\), 10 values, but fit saw 4"):
        clf.predict(ds)
    images = np.zeros((30, 1, 4, 4), np.float32)
    clf = TorchClassifier(max_epochs=1).fit(images, np.arange(30) % 2)
    with pytest.raises(ValueError, match=r"shape \(1, 5, 4\), 20 values, but fit saw 16"):
        clf.predict(np.zeros((3, 1, 5, 4), np.float32))


def test_images_of_another_size_are_left_to_the_module():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    clf = TorchClassifier(module, max_epochs=1)
    clf.fit(np.zeros((30, 1, 4, 4), np.float32), np.arange(30) % 2)
    assert clf.predict(np.zeros((3, 1, 7, 5), np.float32)).shape == (3,)
