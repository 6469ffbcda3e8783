"""Predictions of any fitted model in files: those of its methods, in the order of the rows."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sklearnish as sn
from sklearnish.estimators._predicting import any_model
from tests.estimators.common import classification

N = 60
FEATURES = [f"x{i}" for i in range(10)]


@pytest.fixture(scope="module")
def frame():
    X, y = classification(N)
    frame = pd.DataFrame(X, columns=FEATURES)
    frame["label"] = np.array(["a", "bb", "ccc"], object)[y]
    return frame.assign(city=["Bern", "Genf"] * (N // 2), id=np.arange(N) + 100)


@pytest.fixture
def ds(frame, tmp_path):
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=7)
    return sn.scan_parquet(tmp_path / "rows.parquet", target="label", columns=FEATURES)


@pytest.fixture(params=[2**24, 400], ids=["one piece", "many pieces"])
def _pieces(request, monkeypatch):
    monkeypatch.setattr(any_model, "_CHUNK", request.param)


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_a_pipeline_over_a_file_in_the_order_of_the_view(ds, tmp_path, method):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(ds, ds.target)
    for view in (ds, ds[::-1], ds[np.random.default_rng(0).integers(0, N, 90)]):
        expected = getattr(model, method)(view)
        sn.predict_to(model, tmp_path / "p.npy", view, method=method)
        found = np.load(tmp_path / "p.npy")
        same = found == expected if method == "predict" else np.isclose(found, expected, rtol=1e-5)
        assert found.shape == expected.shape
        assert same.all()
        sn.predict_to(model, tmp_path / "p.parquet", view, method=method, columns=["id", "row"])
        written = pd.read_parquet(tmp_path / "p.parquet")
        np.testing.assert_array_equal(written["id"] - 100, view.rows)
        np.testing.assert_array_equal(written["row"], view.rows)
        first = {"predict": "prediction", "predict_proba": "probability_a"}.get(method)
        assert written.columns[2] == (first or "decision_a")


def test_each_block_is_read_once(ds, tmp_path, monkeypatch):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(ds, ds.target)
    monkeypatch.setattr(any_model, "_CHUNK", 1)
    fresh = sn.scan_parquet(tmp_path / "rows.parquet", columns=FEATURES)
    sn.predict_to(model, tmp_path / "p.npy", fresh[::-1])
    assert fresh.source.blocks_read == -(-N // 7)


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("kind", ["file", "pandas", "polars"])
def test_a_model_of_named_columns_is_given_them(frame, ds, tmp_path, kind):
    encode = make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["x1", "x0"]))
    model = make_pipeline(encode, LogisticRegression())
    model.fit(frame[["x0", "city", "x1"]], frame["label"])
    rows = {"pandas": frame, "polars": pl.from_pandas(frame)}.get(kind, ds)
    sn.predict_to(model, tmp_path / "p.parquet", rows, method="predict_proba", columns="label")
    written = pd.read_parquet(tmp_path / "p.parquet")
    assert written.pop("label").tolist() == frame["label"].tolist()
    np.testing.assert_allclose(written, model.predict_proba(frame), rtol=1e-5)


def test_arrays_and_transformed_rows(tmp_path):
    X, y = classification(N)
    model = LinearRegression().fit(2 * X, np.stack([y, y], 1))
    ds = sn.as_dataset(X).map_batches(lambda X: 2 * X)
    for rows, features in ((ds, 2 * X), (X, X), (X.tolist(), X)):
        sn.predict_to(model, tmp_path / "p.parquet", rows)
        written = pd.read_parquet(tmp_path / "p.parquet")
        assert written.columns.tolist() == ["prediction_0", "prediction_1"]
        np.testing.assert_allclose(written, model.predict(features), rtol=1e-3, atol=1e-4)


def test_several_outputs_and_features(tmp_path):
    X, y = classification(N)
    model = MultiOutputClassifier(LogisticRegression()).fit(X, np.stack([y, y > 0], 1))
    sn.predict_to(model, tmp_path / "p.parquet", X, method="predict_proba")
    written = pd.read_parquet(tmp_path / "p.parquet")
    assert written.columns.tolist() == [
        *(f"probability_0_{i}" for i in range(3)),
        *("probability_1_0", "probability_1_1"),
    ]
    np.testing.assert_allclose(written, np.hstack(model.predict_proba(X)))
    scaler = StandardScaler().fit(X)
    sn.predict_to(scaler, tmp_path / "p.parquet", X, method="transform")
    assert pd.read_parquet(tmp_path / "p.parquet").columns.tolist() == FEATURES


def test_estimators_of_our_own_write_by_themselves(ds, tmp_path):
    clf = sn.TorchClassifier(max_epochs=1, random_state=0)
    search = GridSearchCV(clf, {"lr": [0.01]}, cv=2).fit(ds, ds.target)
    for model in (search, search.best_estimator_):
        report = sn.predict_to(model, tmp_path / "p.npy", ds, method="predict_proba")
        assert sum(epoch.rows for epoch in report.epochs) == N
        np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), model.predict_proba(ds))
    pipe = make_pipeline(StandardScaler(), clf).fit(ds, ds.target)
    sn.predict_to(pipe, tmp_path / "p.npy", ds)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), pipe.predict(ds))


def test_what_cannot_be_used_is_told_before_a_file_appears(frame, ds, tmp_path):
    model = LogisticRegression().fit(frame[["x0", "x1"]], frame["label"])
    path = tmp_path / "p.parquet"
    rejected = [
        (ValueError, "LogisticRegression has no method='transform'; it has predict, ", {}),
        (ValueError, "has no column 'z'", {"columns": ["z"]}),
        (ValueError, "two columns named 'prediction'", {"X": frame.assign(prediction=1)}),
        (TypeError, r"sn.predict_to\(model, 'predictions.parquet', X\)", {"path": frame}),
        (ValueError, "has no column 'x0'", {"X": frame[["x1"]]}),
    ]
    for error, message, changed in rejected:
        options = {"path": path, "X": ds, "columns": None, **changed}
        options |= {"method": "transform"} if "transform" in message else {}
        options |= {"columns": ["prediction"]} if "two columns" in message else {}
        with pytest.raises(error, match=message):
            sn.predict_to(model, **options)
    with pytest.raises(NotFittedError):
        sn.predict_to(LogisticRegression(), path, ds)
    assert not path.exists()
