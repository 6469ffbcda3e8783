"""What people do with DataFrames: fit columns, predict by name, assign the predictions."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sklearnish as sn
from sklearnish.estimators import TorchClassifier, TorchRegressor

FEATURES = ["age", "height", "member"]
N_ROWS = 120


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny sums are quicker on one thread, above all beside other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def df():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 80, N_ROWS),
            "height": rng.normal(170, 10, N_ROWS).round(1),
            "member": rng.random(N_ROWS) < 0.5,
            "city": rng.choice(["Oslo", "Rome", "Lima"], N_ROWS),
            "joined": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(N_ROWS), unit="D"),
        },
        index=np.arange(1000, 1000 + N_ROWS),
    )
    return frame.assign(buys=np.where((frame["age"] > 50) ^ frame["member"], "yes", "no"))


@pytest.fixture
def clf():
    return TorchClassifier(
        module_params={"hidden": 16},
        max_epochs=3,
        batch_size=16,
        lr=0.05,
        num_threads=1,
        random_state=0,
    )


@pytest.fixture
def expected(df, clf):
    """What plain numbers give."""
    X = df[FEATURES].to_numpy(dtype=np.float64)
    return clone(clf).fit(X, df["buys"].to_numpy()).predict_proba(X)


def test_fit_and_predict(df, clf, expected):
    clf.fit(df[FEATURES], df["buys"])
    assert clf.feature_names_in_.tolist() == FEATURES
    assert clf.n_features_in_ == 3
    assert clf.classes_.tolist() == ["no", "yes"]
    np.testing.assert_array_equal(clf.predict_proba(df[FEATURES]), expected)
    assert clf.score(df[FEATURES], df["buys"]) > 0.6


TYPES = {
    "float32": {"age": "float32", "height": "float32", "member": "float32"},
    "small integers": {"age": "int8", "member": "uint8"},
    "nullable": {"age": "Int64", "height": "Float64", "member": "boolean"},
    "arrow": {"age": "int16[pyarrow]", "height": "float[pyarrow]", "member": "bool[pyarrow]"},
    "objects": {"age": "object", "member": "object"},
}


@pytest.mark.parametrize("types", TYPES.values(), ids=TYPES)
def test_types_of_columns(df, clf, types):
    X = df[FEATURES].astype(types)
    plain = X.to_numpy(dtype=np.float32 if "float" in types.get("height", "") else np.float64)
    expected = clone(clf).fit(plain, df["buys"]).predict_proba(plain)
    np.testing.assert_array_equal(clf.fit(X, df["buys"]).predict_proba(X), expected)


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
        lambda frame: frame.convert_dtypes(),
        lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    ],
    ids=["polars", "arrow table", "nullable", "arrow-backed"],
)
def test_other_frames(df, clf, expected, convert):
    X = convert(df[FEATURES])
    clf.fit(X, df["buys"])
    assert clf.feature_names_in_.tolist() == FEATURES
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


@pytest.mark.parametrize("dtype", ["object", "category", "string", "string[pyarrow]"])
def test_types_of_labels(df, clf, expected, dtype):
    y = df["buys"].astype(dtype)
    np.testing.assert_array_equal(clf.fit(df[FEATURES], y).predict_proba(df[FEATURES]), expected)
    assert set(clf.predict(df[FEATURES])) <= {"no", "yes"}


@pytest.mark.parametrize("dtype", ["bool", "boolean", "int8", "Int64", "int64[pyarrow]"])
def test_labels_that_are_numbers(df, clf, expected, dtype):
    y = (df["buys"] == "yes").astype(dtype)
    np.testing.assert_array_equal(clf.fit(df[FEATURES], y).predict_proba(df[FEATURES]), expected)


def test_labels_of_polars(df, clf, expected):
    frame = pl.from_pandas(df)
    clf.fit(frame[FEATURES], frame["buys"])
    np.testing.assert_array_equal(clf.predict_proba(frame[FEATURES]), expected)


@pytest.mark.parametrize("dtype", ["float64", "Float32", "double[pyarrow]"])
def test_regression(df, dtype):
    reg = TorchRegressor(module_params={"hidden": 16}, max_epochs=5, lr=0.05, random_state=0)
    y = (df["age"] / 10).astype(dtype)
    reg.fit(df[["age", "height"]], y)
    assert reg.score(df[["age", "height"]], y) > 0.5


def test_one_frame_with_the_labels_inside(df, clf, expected):
    ds = sn.as_dataset(df[[*FEATURES]], df["buys"])
    np.testing.assert_array_equal(clf.fit(ds).predict_proba(df[FEATURES]), expected)


# Columns on predict


def message_of(function, *args):
    with pytest.raises(ValueError, match="feature") as caught:
        function(*args)
    return str(caught.value)


@pytest.mark.parametrize(
    "columns",
    [
        ["height", "age", "member"],
        ["age", "height"],
        ["age", "height", "city"],
    ],
    ids=["order", "missing", "both"],
)
@pytest.mark.parametrize("module", ["pandas", "polars"])
def test_columns_are_checked_in_scikit_learns_words(df, clf, columns, module):
    numbers = df[["age", "height", "member"]].astype(float).assign(joined=0.0, city=0.0)
    numbers = pl.from_pandas(numbers) if module == "polars" else numbers
    X = numbers[FEATURES]
    theirs = LogisticRegression(max_iter=10_000).fit(X, df["buys"])
    clf.fit(X, df["buys"])
    assert message_of(clf.predict, numbers[columns]) == message_of(theirs.predict, numbers[columns])


@pytest.mark.parametrize("module", ["pandas", "polars"])
def test_columns_that_were_no_features_are_ignored(df, clf, module):
    frame = pl.from_pandas(df) if module == "polars" else df
    clf.fit(frame[FEATURES], df["buys"])
    np.testing.assert_array_equal(clf.predict(frame), clf.predict(frame[FEATURES]))


def test_a_frame_without_names_warns_as_scikit_learn_does(df, clf):
    clf.fit(df[FEATURES], df["buys"])
    with pytest.warns(UserWarning, match="does not have valid feature names, but TorchClassifier"):
        clf.predict(df[FEATURES].to_numpy(dtype=float))
    clf.fit(df[FEATURES].to_numpy(dtype=float), df["buys"])
    with pytest.warns(UserWarning, match="X has feature names, but TorchClassifier was fitted"):
        clf.predict(df[FEATURES])


def test_a_dataset_is_taken_by_name(df, clf, expected):
    clf.fit(df[FEATURES], df["buys"])
    wide = sn.as_dataset(df[["member", "joined", "height", "age"]])
    np.testing.assert_array_equal(clf.predict_proba(wide), expected)


# Columns that are not numbers


@pytest.mark.parametrize(
    "values",
    [
        ["Oslo", "Rome"] * 60,
        pd.Categorical(["Oslo", "Rome"] * 60),
        pd.array(["Oslo", "Rome"] * 60, dtype="string[pyarrow]"),
        pd.date_range("2024-01-01", periods=N_ROWS),
        [datetime.date(2024, 1, 1)] * N_ROWS,
    ],
    ids=["text", "category", "string", "datetime", "date"],
)
@pytest.mark.parametrize("when", ["fit", "predict"])
def test_text_and_dates_are_refused_with_two_ways_out(df, clf, values, when):
    X = df[["age", "height"]].assign(other=values)
    call = clf.fit
    if when == "predict":
        call = clf.fit(X.assign(other=1.0), df["buys"]).score
    with pytest.raises(ValueError, match=r"'other'.*ColumnTransformer.*drop") as caught:
        call(X, df["buys"])
    assert "'age'" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["float64", "Int64", "int64[pyarrow]"])
def test_missing_values_are_found(df, clf, dtype):
    X = df[["age", "height"]].astype({"age": dtype})
    X.iloc[7, 0] = pd.NA if dtype != "float64" else np.nan
    with pytest.raises(ValueError, match=r"contains NaN: column 'age', row 7"):
        clf.fit(X, df["buys"])


# scikit-learn in front


def preprocessing():
    return ColumnTransformer(
        [
            ("number", StandardScaler(), ["age", "height"]),
            ("text", OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["city"]),
            ("flag", "passthrough", ["member"]),
        ],
        verbose_feature_names_out=False,
    )


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_pipelines(df, clf, output):
    model = make_pipeline(preprocessing(), clf).set_output(transform=output)
    model.fit(df, df["buys"])
    if output != "default":
        cities = ["city_Lima", "city_Oslo", "city_Rome"]
        assert clf.feature_names_in_.tolist() == ["age", "height", *cities, "member"]
    assert model.score(df, df["buys"]) > 0.7
    default = make_pipeline(preprocessing(), clone(clf)).fit(df, df["buys"])
    np.testing.assert_allclose(model.predict_proba(df), default.predict_proba(df), rtol=1e-5)


def test_sparse_output_of_encoders(df, clf):
    encoder = ColumnTransformer([("text", OneHotEncoder(), ["city"])], sparse_threshold=1.0)
    model = make_pipeline(encoder, clf).fit(df, df["buys"])
    assert clf.n_features_in_ == 3
    assert model.predict(df).shape == (N_ROWS,)


def test_selectors_and_imputers(df, clf):
    df.loc[1005, "height"] = np.nan
    numbers = make_column_selector(dtype_include="number")
    model = make_pipeline(ColumnTransformer([("fill", SimpleImputer(), numbers)]), clf)
    model.set_output(transform="pandas").fit(df, df["buys"])
    assert clf.feature_names_in_.tolist() == ["fill__age", "fill__height"]


def test_search_over_frames(df, clf):
    model = make_pipeline(preprocessing(), clf).set_output(transform="pandas")
    grid = {"torchclassifier__batch_size": [8, 32]}
    search = GridSearchCV(model, grid, cv=3).fit(df, df["buys"])
    assert search.best_score_ > 0.6
    assert cross_val_score(model, df, df["buys"], cv=3).shape == (3,)


# From CSV to predictions


def test_from_csv_to_assigned_predictions(df, clf, tmp_path):
    df.to_csv(tmp_path / "people.csv", index=False)
    people = pd.read_csv(tmp_path / "people.csv")
    train, test = train_test_split(people, stratify=people["buys"], random_state=0)
    clf.fit(train[FEATURES], train["buys"])
    answers = test.assign(
        prediction=clf.predict(test[FEATURES]), sure=clf.predict_proba(test[FEATURES]).max(axis=1)
    )
    assert answers.index.equals(test.index)
    assert (answers["prediction"] == answers["buys"]).mean() == clf.score(
        test[FEATURES], test["buys"]
    )
    assert answers["sure"].between(0.5, 1).all()


def test_a_scanned_csv_gives_the_same_model(df, clf, expected, tmp_path):
    df.to_csv(tmp_path / "people.csv", index=False)
    ds = sn.scan_csv(tmp_path / "people.csv", target="buys", columns=FEATURES)
    clf.set_params(sampler="sequential")
    scanned = clone(clf).fit(ds).predict_proba(ds)
    np.testing.assert_array_equal(
        clf.fit(df[FEATURES], df["buys"]).predict_proba(df[FEATURES]), scanned
    )
    answers = df.assign(prediction=clf.predict(df[FEATURES]))
    assert set(answers["prediction"]) == {"no", "yes"}
    with_columns = pl.from_pandas(df).with_columns(prediction=clf.predict(df[FEATURES]))
    assert with_columns["prediction"].to_list() == answers["prediction"].tolist()
