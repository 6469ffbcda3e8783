import datetime
import decimal
import pickle
import random

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.inspection import partial_dependence
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sklearnish as sn
from sklearnish.data._fingerprint import fingerprint_of_rows
from sklearnish.data._loading.prepare import prepare_loader

N = 60
CITIES = np.array(["Bern", "Graz", "Ulm"])


def table():
    """Rows with a column of every kind, and gaps in some."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"km": rng.uniform(1, 100, N), "hours": rng.uniform(1, 9, N)})
    frame["rooms"] = np.arange(N) % 5
    frame["city"] = CITIES[np.arange(N) % 3]
    frame.loc[3, "km"] = np.nan
    frame.loc[[4, 50], "city"] = None
    frame["day"] = pd.Timestamp("2020-02-27") + pd.to_timedelta(np.arange(N), "D")
    frame["label"] = np.where(frame["rooms"] > 2, "many", "few")
    return frame


FRAME = table()
FEATURES = FRAME.drop(columns="label")


def featured(df):
    """Numbers of columns of all kinds, as a pandas user writes them."""
    return pd.DataFrame(
        {
            "speed": df["km"] / df["hours"],
            "rooms": df["rooms"] + 1,
            "bern": df["city"] == "Bern",
            "gap": df["city"].isna(),
            "weekday": df["day"].dt.day_of_week,
        }
    )


EXPECTED = featured(FEATURES).to_numpy(dtype=np.float32)


@pytest.fixture(
    scope="module", params=["parquet", "large groups", "csv", "pandas", "polars", "arrow"]
)
def ds(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mapped")
    if request.param == "csv":
        FRAME.to_csv(folder / "t.csv", index=False)
        return sn.scan_csv(folder / "t.csv", target="label", parse_dates=["day"])
    if "g" in request.param or request.param == "parquet":
        FRAME.to_parquet(folder / "t.parquet", row_group_size=7 if request.param[0] == "p" else N)
        return sn.scan_parquet(folder / "t.parquet", target="label")
    make = {"pandas": lambda f: f, "polars": pl.from_pandas, "arrow": pa.Table.from_pandas}
    return sn.as_dataset(make[request.param](FEATURES), FRAME["label"])


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    path = tmp_path_factory.mktemp("mapped") / "t.parquet"
    FRAME.to_parquet(path, row_group_size=7)
    return sn.scan_parquet(path, target="label")


def rows_of(ds, **keywords):
    return torch.cat([X for X, *_ in ds.batches(7, **keywords)]).numpy()


def test_a_function_for_pandas_runs_over_any_source(ds):
    view = ds.map_frames(featured)
    assert view.columns == ("speed", "rooms", "bern", "gap", "weekday")
    assert view.shape == (N, 5)
    assert view.kinds == dict(
        zip(view.columns, ["number"] * 2 + ["bool"] * 2 + ["number"], strict=True)
    )
    np.testing.assert_array_equal(rows_of(view), EXPECTED)
    np.testing.assert_array_equal(view.target, FRAME["label"])
    np.testing.assert_array_equal(view.to_pandas()["speed"].astype(np.float32), EXPECTED[:, 0])


ROWS = st.lists(st.integers(0, N - 1), min_size=1, max_size=2 * N)


@settings(max_examples=3)
@given(rows=ROWS)
def test_any_rows_in_any_order_are_what_they_are_in_memory(ds, rows):
    view = ds.map_frames(featured)
    np.testing.assert_array_equal(view.read(rows).X, EXPECTED[rows])
    np.testing.assert_array_equal(view[rows][::-1].read([0]).X, EXPECTED[rows][::-1][:1])
    np.testing.assert_array_equal(ds[rows].map_frames(featured).read([0]).X, EXPECTED[rows[:1]])


@pytest.mark.slow
@settings(max_examples=50)
@given(rows=ROWS)
def test_many_rows_in_any_order_are_what_they_are_in_memory(ds, rows):
    np.testing.assert_array_equal(ds[rows].map_frames(featured).read([0]).X, EXPECTED[rows[:1]])
    np.testing.assert_array_equal(ds.map_frames(featured).read(rows).X, EXPECTED[rows])


def test_workers_and_one_row_read_the_same(parquet):
    view = parquet.map_frames(featured)
    np.testing.assert_array_equal(rows_of(view, num_workers=2), EXPECTED)
    shuffled = [rows_of(view, num_workers=n, shuffle=True) for n in (0, 2)]
    np.testing.assert_array_equal(*shuffled)
    x, y = view[3]
    np.testing.assert_array_equal(x, EXPECTED[3])
    assert view.classes[y] == FRAME["label"][3]


def codes(table):
    """Text to numbers in Arrow, without a loop."""
    found = pc.index_in(table["city"], pa.array(CITIES))
    return {"km": table["km"].to_numpy(), "city": found.fill_null(3).to_numpy()}


def coded(table):
    return pa.table(codes(table))


def test_polars_and_arrow_frames(ds):
    def speed(df):
        return df.select((pl.col("km") / pl.col("hours")).alias("speed"), pl.col("city").is_null())

    view = ds.map_frames(speed, frame="polars")
    np.testing.assert_array_equal(rows_of(view), EXPECTED[:, [0, 3]])
    view = ds.map_frames(coded, frame="arrow")
    wanted = FRAME["city"].map(dict(zip(CITIES, range(3), strict=True))).fillna(3)
    np.testing.assert_array_equal(rows_of(view)[:, 1], wanted)


def test_text_in_arrow_is_a_dictionary_and_gaps_are_null(ds):
    seen = []

    def look(table):
        seen.append(table)
        return table.select(["rooms"])

    ds.map_frames(look, frame="arrow")
    table = seen[0]
    assert table["city"].type == pa.dictionary(pa.int32(), pa.string())
    assert table["km"].null_count == 1
    assert pa.types.is_timestamp(table["day"].type)
    assert table.num_rows == (
        18 if ds.source.blocks is not None and len(ds.source.blocks) > 2 else N
    )


def upper(df):
    return df.assign(city=df["city"].str.upper(), km=df["km"].fillna(0))


def is_bern(df):
    return df[["km"]].assign(bern=df["city"] == "BERN")


def test_functions_follow_each_other(ds):
    text = ds.map_frames(upper)
    assert text.kinds["city"] == "text"
    with pytest.raises(ValueError, match=r"must be numbers.*'city'"):
        text.read([0])
    both = text.map_frames(is_bern)
    expected = np.stack([FRAME["km"].fillna(0), FRAME["city"] == "Bern"], 1).astype(np.float32)
    np.testing.assert_array_equal(rows_of(both), expected)
    np.testing.assert_array_equal(rows_of(both.map(torch.neg)), -expected)
    np.testing.assert_array_equal(rows_of(both.select(["bern"])), expected[:, 1:])
    np.testing.assert_array_equal(both[:, "km"], FRAME["km"].fillna(0))
    np.testing.assert_array_equal(
        both[[5, 2], ["bern", "km"]].read([0, 1]).X, expected[[5, 2], ::-1]
    )
    np.testing.assert_array_equal(both[::2].map_batches(torch.abs).read([1]).X, expected[[2]])


def test_columns_of_the_file_stay_beside_those_that_are_made(parquet):
    view = parquet.map_frames(is_bern)
    assert view.select(["rooms", "bern"]).read([7]).X.tolist() == [[2.0, 0.0]]
    assert view.column("city")[5] == "Ulm"
    assert view.column("label").tolist() == FRAME["label"].tolist()


@pytest.mark.parametrize(
    ("result", "shape"),
    [
        (lambda df: df[["km", "hours"]].to_numpy(), (2,)),
        (lambda df: df["hours"].to_numpy(), (1,)),
        (lambda df: torch.ones(len(df), 3, 8), (3, 8)),
    ],
)
def test_arrays_are_rows_without_names(ds, result, shape):
    view = ds.map_frames(result)
    assert view.row_shape == shape
    assert not hasattr(view, "columns")
    expected = np.asarray(result(FEATURES), dtype=np.float32).reshape(N, *shape)
    np.testing.assert_array_equal(rows_of(view), expected)
    np.testing.assert_array_equal(view.target, FRAME["label"])
    assert view[[3, 1]].read([0, 1]).y.tolist() == view.read([3, 1]).y.tolist()


def test_a_dict_is_the_inputs_of_a_module(parquet):
    view = parquet.map_frames(codes, frame="arrow")
    X = view.read([5, 0, 3]).X
    assert X["city"].tolist() == [2, 0, 0]
    assert X["km"].shape == (3,)
    assert view[:0].batches is not None
    assert [len(X["km"]) for X, _ in view.batches(40)] == [40, 20]


def test_the_target_is_shown_after_what_functions_made(parquet):
    assert parquet.map_frames(is_bern).head(2).columns.tolist() == ["km", "bern", "label"]


def test_a_series_is_one_column(parquet):
    view = parquet.map_frames(lambda df: df["hours"] * 2)
    assert view.columns == ("hours",)


def test_arrays_have_columns_x0_x1():
    ds = sn.as_dataset(np.arange(12).reshape(4, 3), [0, 1, 0, 1])[:, [2, 0]]
    view = ds.map_frames(lambda df: df.assign(sum=df["x0"] + df["x1"]))
    assert view.dtypes == {"x0": "int64", "x1": "int64", "sum": "int64"}
    assert view.read([1, 0]).X.tolist() == [[5, 3, 8], [2, 0, 2]]
    assert view.target.tolist() == [0, 1, 0, 1]


def test_rows_of_a_cached_folder(parquet, tmp_path):
    cached = parquet.map_frames(featured).cache(tmp_path / "rows")
    assert cached.columns == ("speed", "rooms", "bern", "gap", "weekday")
    np.testing.assert_array_equal(rows_of(cached), EXPECTED)
    view = cached.map_frames(lambda df: df[["rooms"]] * 10)
    np.testing.assert_array_equal(rows_of(view), EXPECTED[:, 1:2] * 10)
    again = parquet.map_frames(featured).cache(tmp_path / "rows")
    assert again.source.name == cached.source.name
    with pytest.raises(FileExistsError, match="rows of another function"):
        parquet.map_frames(is_bern).cache(tmp_path / "rows")


def test_every_kind_of_column_is_given_to_a_function(tmp_path):
    day = datetime.date(1500, 2, 3)
    table = pa.table(
        {
            "flag": [True, None, False],
            "when": pa.array([datetime.time(1, 2), None, datetime.time(3)], pa.time64("us")),
            "took": pa.array([1, 2, None], pa.duration("s")),
            "price": pa.array(
                [decimal.Decimal("1.50"), None, decimal.Decimal(2)], pa.decimal128(9, 2)
            ),
            "born": pa.array([day, None, day], pa.date32()),
            "list": pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
            "kind": pa.array(["a", None, "b"]).dictionary_encode(),
            "blob": pa.array([b"x", b"y", None]),
            "view": pa.array([b"x", b"y", None], pa.binary_view()),
        }
    )
    pa.parquet.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    for ds in (sn.as_dataset(table), sn.scan_parquet(tmp_path / "t.parquet")):
        assert list(ds.kinds.values()) == [
            *("bool", "time", "duration", "decimal", "date", "list", "category", "other", "other")
        ]
        text = ds.map_frames(lambda df: pd.DataFrame({n: df[n].astype("string") for n in df}))
        assert ds.map_frames(lambda df: pd.DataFrame({"y": df["born"].dt.year})).read([0]).X == 1500
        assert text.kinds["list"] == "text"
        sums = ds.map_frames(lambda df: np.stack(df["list"].tolist()).sum(1))
        assert rows_of(sums).tolist() == [[3], [7], [11]]
        for frame in ("pandas", "polars", "arrow"):
            same = ds.map_frames(lambda df: df, frame=frame)
            assert same.select(["flag", "list"]).read([2]).X.tolist() == [[0, 5, 6]]


def raises(df):
    if (df["rooms"] == 4).any() and len(df) < 8 and (df["hours"] == FRAME["hours"][39]).any():
        raise KeyError("oops")
    return df[["rooms"]]


def test_errors_name_the_function_and_the_rows(parquet):
    view = parquet.map_frames(raises)
    with pytest.raises(KeyError) as caught:
        view.read([39, 38])
    assert caught.value.__notes__ == [
        f"raised in raises on 2 rows, the first of them row 38 of {parquet.source.name}"
    ]


def late(change):
    """Make a function that behaves otherwise where row 40 is alone."""
    alone = FRAME["hours"][[40]].to_list()
    return lambda df: change(df) if df["hours"].to_list() == alone else df[["rooms", "city"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda df: df[["rooms"]], "returns a column 'city', but not for these rows"),
        (lambda df: df[["rooms", "city", "km"]], "a column 'km', for these rows alone"),
        (lambda df: df[["rooms"]].assign(city=1), "'city' of int64, and of .*string"),
        (lambda df: df[["rooms", "city"]].iloc[1:], r"as many rows as it was given \(1\), got 0"),
        (lambda df: df[["rooms", "city"]].to_numpy(), "got an array of dtype object"),
    ],
)
def test_a_chunk_unlike_the_first_is_an_error(parquet, change, words):
    view = parquet.map_frames(late(change))
    assert view.column("rooms")[:3].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=words) as caught:
        view.source.read(np.array([40]), ["rooms"])
    assert "on 1 rows, the first of them row 40 of" in caught.value.__notes__[0]


def test_text_may_be_all_missing_in_some_chunks(parquet):
    for gap in (np.nan, pd.NA, None):
        view = parquet.map_frames(late(lambda df, gap=gap: df[["rooms"]].assign(city=gap)))
        assert view.map_frames(lambda df: df[["city"]].isna()).read([40]).X.tolist() == [[1]]
        assert pd.isna(view[[40]].column("city")[0])


def test_numbers_may_be_whole_in_some_chunks(parquet):
    view = parquet.map_frames(late(lambda df: df[["rooms", "city"]].assign(rooms=1.5)))
    assert view.select(["rooms"]).read([40]).X.tolist() == [[1.5]]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda df: df[["km"]] - df[["km"]].mean(), "other values of 'km'"),
        (lambda df: df[["rooms"]].rank(), "other values of 'rooms'"),
        (lambda df: df[["rooms"]].cumsum(), "other values of 'rooms'"),
        (lambda df: df["rooms"].to_numpy() + np.random.rand(len(df)), "nor on\nrandom"),  # noqa: NPY002
        (lambda df: pd.get_dummies(df["rooms"]), "a column '.', "),
        (lambda df: df.sort_values("rooms")[["rooms"]], "another order"),
        (lambda df: df.dropna(), "as many rows as it was given"),
        (lambda df: df.assign(label=1), "the name of the target"),
        (lambda df: "text", "Expected an array of rows, got one str"),
        (lambda df: None, "Expected"),
    ],
)
def test_what_cannot_be_right_is_refused_at_once(parquet, function, words):
    with pytest.raises((ValueError, TypeError), match=words.replace("\n", " ")):
        parquet.map_frames(function)


LONG = pd.DataFrame(
    {"x": np.arange(1.0, 2001), "m": np.random.default_rng(0).exponential(size=2000)}
)
LONG["z"], LONG["t"] = -LONG["x"], pd.Timestamp("2020-01-01") + pd.to_timedelta(LONG["x"], "h")
LONG["g"] = np.where(LONG["x"] < 1000, "b", "a")
LONG["user"] = LONG["x"] // 20
LONG.loc[1900, "m"] = np.nan


@pytest.fixture(scope="module", params=[100, 2000, None])
def long(request, tmp_path_factory):
    if request.param is None:
        return sn.as_dataset(LONG)
    path = tmp_path_factory.mktemp("long") / "t.parquet"
    LONG.to_parquet(path, row_group_size=request.param)
    return sn.scan_parquet(path)


@pytest.mark.parametrize(
    "function",
    [
        lambda df: df["x"] / df["x"].max(),
        lambda df: df["z"] - df["z"].min(),
        lambda df: df["t"] - df["t"].min(),
        lambda df: df["g"].astype("category").cat.codes.rename("g"),
        lambda df: df["x"] - df.groupby("user")["x"].transform("mean"),
        lambda df: df["x"].shift(),
        lambda df: df["x"].map(lambda x: [x, float(len(df))]),
        lambda df: pd.DataFrame({"n": [f"{len(df)} rows"] * len(df)}),
        lambda df: df["t"].dt.date if df["x"].iloc[0] < 500 else df["t"].dt.time,
        lambda df: df["t"].dt.tz_localize("UTC") if df["x"].iloc[0] < 500 else df["t"],
        lambda df: df["x"] if df["x"].iloc[0] < 500 else df["x"] > 3,
    ],
)
def test_what_depends_on_the_chunk_is_refused_at_once(long, function):
    with pytest.raises(ValueError, match=r"returns (other values of|a column) '[xztgn]'"):
        long.map_frames(function)


def test_a_mean_that_fills_a_rare_gap_is_refused_while_rows_are_read(long):
    with pytest.raises(ValueError, match="other values of 'm'"):
        long.map_frames(lambda df: df[["m"]].fillna(df["m"].mean())).read(np.arange(2000))


def test_what_is_no_table_is_refused(parquet):
    with pytest.raises(ValueError, match="map_frames comes before map and map_batches"):
        parquet.select(["km"]).map(torch.neg).map_frames(featured)
    with pytest.raises(ValueError, match="are not a table"):
        sn.as_dataset(np.zeros((3, 2, 2))).map_frames(featured)
    with pytest.raises(ValueError, match="two columns named 'km'"):
        parquet[:, ["km", "km"]].map_frames(featured)
    with pytest.raises(ValueError, match="has no columns"):
        parquet.select([]).map_frames(featured)
    with pytest.raises(ValueError, match="frame must be one of 'pandas', 'polars', 'arrow', got"):
        parquet.map_frames(featured, frame="dask")
    with pytest.raises(ValueError, match="has a parameter rng"):
        parquet.map_frames(lambda df, rng: df)
    with pytest.raises(TypeError, match="expected a function"):
        parquet.map_frames(3)


def draws(df):
    random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
    return df[["rooms"]]


def test_generators_are_left_as_they_were(parquet):
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    parquet.map_frames(draws).read([0])
    assert states == (
        *(random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),  # noqa: NPY002
    )


def test_mixed_types_in_a_column_of_objects_are_named():
    ds = sn.as_dataset(pd.DataFrame({"a": [1, "x", None], "b": [1, 2, 3]}))
    with pytest.raises(ValueError, match=r"Column 'a' .*'x' \(str\) in row 1 of DataFrame"):
        ds.map_frames(lambda t: t, frame="arrow")
    assert ds.map_frames(lambda df: df.astype({"a": "string"})).kinds["a"] == "text"


def test_rows_count_by_file_and_function(parquet):
    one = fingerprint_of_rows(parquet.map_frames(featured))
    assert one == fingerprint_of_rows(pickle.loads(pickle.dumps(parquet.map_frames(featured))))
    others = [parquet, parquet[1:].map_frames(featured), parquet.map_frames(is_bern)]
    others += [
        parquet.select(["km", "city"]).map_frames(is_bern),
        parquet[:, ["city", "km"]].map_frames(is_bern),
    ]
    assert len({one, *map(fingerprint_of_rows, others)}) == 6
    frame = sn.as_dataset(FEATURES)
    once, twice = (fingerprint_of_rows(frame.map_frames(featured)) for _ in range(2))
    assert once == twice != fingerprint_of_rows(frame.map_frames(is_bern))


def test_a_pickle_is_small_and_reads_the_same(parquet):
    view = parquet.map_frames(upper).map_frames(is_bern)
    data = pickle.dumps(view)
    assert len(data) < 12_000
    again = pickle.loads(data)
    np.testing.assert_array_equal(rows_of(again), rows_of(view))


def test_an_estimator_learns_the_names_that_functions_make(ds):
    train = ds.map_frames(featured)
    clean = np.flatnonzero(~np.isnan(EXPECTED).any(1))
    clf = sn.TorchClassifier(max_epochs=2, random_state=0).fit(train[clean])
    assert clf.feature_names_in_.tolist() == list(train.columns)
    expected = clf.predict_proba(pd.DataFrame(EXPECTED[clean], columns=train.columns))
    np.testing.assert_array_equal(clf.predict_proba(train[clean]), expected)
    with pytest.raises(ValueError, match=r"NaN.*column 'speed', .*row 3.* after featured"):
        clf.predict(train)


def test_values_that_a_copy_sets_are_seen_by_functions(parquet):
    copied = parquet.select(["km", "hours", "rooms", "city", "day"]).copy()
    copied[:, "hours"] = 2.0
    view = copied.map_frames(featured)
    copied[:, "hours"] = 4.0
    assert view.read([0]).X[0, 0] == np.float32(FRAME["km"][0] / 2)


def test_text_that_a_copy_sets_is_seen_by_functions(ds):
    copied = ds.copy()
    copied[:, "city"] = "Bern"
    assert set(copied.head()["city"]) == {"Bern"}
    assert copied.map_frames(lambda df: df[["city"]] == "Bern").read([4, 1]).X.tolist() == [[1]] * 2
    assert copied.map_frames(coded, frame="arrow").read([4]).X[0, 1] == 0


def by_function(ds):
    return ds.map_frames(featured)


def test_partial_dependence_on_a_column_of_text(parquet):
    rows = parquet[FRAME["km"].notna() & FRAME["city"].notna()]
    clf = sn.TorchClassifier(max_epochs=1, random_state=0)
    model = make_pipeline(FunctionTransformer(by_function), clf).fit(rows, rows.target)
    found = partial_dependence(model, rows, [3], categorical_features=[3])
    assert found["grid_values"][0].tolist() == list(CITIES)
    assert found["average"].shape == (1, 3)


def test_a_sorted_file_is_copied_below_the_function(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    frame = pd.concat([FEATURES.assign(label=i, row=i) for i in range(200)], ignore_index=True)
    frame["row"] = np.arange(len(frame))
    frame.to_parquet(tmp_path / "sorted.parquet", row_group_size=600)
    ds = sn.scan_parquet(tmp_path / "sorted.parquet", target="label").map_frames(
        lambda df: df[["row"]].assign(bern=df["city"] == "Bern")
    )
    options = {"batch_size": 100, "shuffle_memory": 8 * 8 * 1000}
    with (
        pytest.warns(UserWarning, match="sorted or grouped by label"),
        prepare_loader(ds, **options) as loader,
    ):
        rows = torch.cat([batch.X for batch in loader]).long().numpy()
    assert sorted(rows[:, 0]) == list(range(len(frame)))
    np.testing.assert_array_equal(rows[:, 1], frame["city"].eq("Bern")[rows[:, 0]])
    assert len(list((tmp_path / "cache").glob("*.arrow"))) == 1


def test_labels_are_read_once_for_all_functions(parquet):
    fresh = sn.scan_parquet(parquet.source.files, target="label")
    assert fresh.target is not None
    read = fresh.source.blocks_read
    assert fresh.map_frames(is_bern).map_frames(lambda df: df).classes.tolist() == ["few", "many"]
    assert fresh.source.blocks_read <= read + 6  # those on which functions are tried


def test_a_row_that_is_not_wanted_need_not_fit(parquet):
    def strict(df):
        assert df["km"].notna().all()
        return df[["km"]]

    with pytest.raises(AssertionError):
        parquet.map_frames(strict)
    good = parquet[FRAME["km"].notna().to_numpy()]
    assert len(rows_of(good.map_frames(strict))) == N - 1
    assert good[:0].select(["hours"]).map_frames(lambda df: df).shape == (0, 1)


def test_polars_in_forked_workers_is_refused(parquet):
    view = parquet.map_frames(lambda df: df.select("rooms"), frame="polars")
    with pytest.raises(ValueError, match="polars does not survive the fork"):
        next(view.batches(5, num_workers=1))
    assert len(rows_of(view)) == N


class Numbered:
    """Asks for the numbers of the rows."""

    draws, takes_rows = False, True

    def __call__(self, df, rows):
        return df[["km"]].assign(row=rows)


def test_a_function_may_ask_for_the_numbers_of_the_rows(ds):
    view = ds[[40, 3, 3, 17]].map_frames(Numbered())
    assert view.read([0, 1, 2, 3]).X[:, 1].tolist() == [40, 3, 3, 17]
    assert view[[3, 0]].map_frames(Numbered()).read([1, 0]).X[:, 1].tolist() == [40, 17]
