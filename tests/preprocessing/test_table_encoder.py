"""Mixed tables to numbers, from memory and from files."""

import datetime as dt
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import sklearnish as sn
from sklearnish.preprocessing import TableEncoder
from tests.preprocessing.tables import MIXED, N, X
from tests.test_memory import Watched

KINDS = {
    "age": "number", "rooms": "number", "job": "category", "smoker": "category", "born": "date",
    "seen": "date", "took": "number", "price": "number", "note": "text", "vector": "number",
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder():
    return TableEncoder(text_features=8).fit(X)


@pytest.fixture(scope="module")
def expected(encoder):
    return encoder.encode(X)


def test_kinds_are_found(encoder):
    assert encoder.kinds_ == KINDS
    assert encoder.left_out_ == {}


def test_the_layout_says_what_each_column_is(encoder, expected):
    layout = encoder.layout_
    codes = [i for i, _ in layout.categories]
    assert sorted([*layout.numbers, *layout.indicators, *codes]) == list(range(expected.shape[1]))
    assert expected.dtype == np.float32
    assert np.isfinite(expected).all()
    for i, n_codes in layout.categories:
        assert set(np.unique(expected[:, i])) <= set(range(n_codes))
    assert [n for _, n in layout.categories] == [9, 5, 3]


def test_one_hot_columns_are_named(encoder, expected):
    out = encoder.transform(X.to_pandas())
    assert list(out.columns) == list(encoder.get_feature_names_out())
    assert set(out.dtypes) == {np.dtype(np.float32)}
    levels = out.filter(regex="^job[:=]")
    assert list(levels.columns) == [
        "job:unknown",
        "job=cook",
        "job=nurse",
        "job=pilot",
        "job:missing",
    ]
    assert (levels.sum(axis=1) == 1).all()
    compact = TableEncoder(text_features=8, one_hot=False).fit(X)
    np.testing.assert_array_equal(compact.transform(X.to_pandas()), expected)
    assert len(compact.get_feature_names_out()) == expected.shape[1]


@pytest.mark.parametrize("library", ["pandas", "polars", "dictionaries", "chunks"])
def test_libraries_give_the_same(library, encoder, expected):
    other = {
        "pandas": lambda: X.to_pandas(),
        "polars": lambda: pl.from_arrow(X),
        "dictionaries": lambda: X.set_column(2, "job", X["job"].dictionary_encode()),
        "chunks": lambda: pa.concat_tables([X[:100], X[100:]]),
    }[library]()
    if library == "polars":
        other = other.with_columns(pl.col("vector").cast(pl.Array(pl.Float64, 3)))
    again = TableEncoder(text_features=8).fit(other)
    np.testing.assert_array_equal(again.encode(other), expected)
    np.testing.assert_array_equal(encoder.encode(other), expected)
    assert type(encoder.transform(other)) is type(other)


@settings(max_examples=10)
@given(size=st.integers(1, N), seed=st.none() | st.integers(0, 99))
def test_row_groups_and_the_order_of_rows_change_nothing(tmp_path_factory, size, seed):
    path = tmp_path_factory.mktemp("rows") / "a.parquet"
    order = np.arange(N) if seed is None else np.random.default_rng(seed).permutation(N)
    pq.write_table(MIXED.take(order), path, row_group_size=size)
    ds = sn.scan_parquet(path, target="label")
    one = TableEncoder(text_features=8).fit(ds)
    other = TableEncoder(text_features=8).fit(X)
    np.testing.assert_array_equal(one.encode(X), other.encode(X))
    np.testing.assert_array_equal(one.encode(ds), other.encode(X)[order])
    shuffled = np.random.default_rng(1).permutation(N)
    again = TableEncoder(text_features=8).fit(ds[shuffled])
    np.testing.assert_array_equal(again.encode(ds[shuffled]), one.encode(ds)[shuffled])


@given(size=st.integers(1, N), seed=st.integers(0, 99))
@settings(max_examples=5)
def test_neither_do_they_where_ranks_are_those_of_a_sample(tmp_path_factory, size, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearnish.preprocessing._encoding.learning._MOST", 100)
        path = tmp_path_factory.mktemp("rows") / "a.parquet"
        pq.write_table(X, path, row_group_size=size)
        order = np.random.default_rng(seed).permutation(N)
        learned = TableEncoder(text_features=8).fit(X).encode(X)
        for rows in (X, sn.scan_parquet(path), sn.scan_parquet(path)[order]):
            again = TableEncoder(text_features=8).fit(rows)
            np.testing.assert_array_equal(again.encode(X), learned)


@pytest.mark.slow
def test_memory_is_flat(tmp_path):
    """Four times the rows take a few bytes for each, for row numbers, whatever they hold."""
    peaks = []
    for n_groups in (10, 40):
        path = tmp_path / f"{n_groups}.parquet"
        _write_many(path, n_groups)
        peaks.append(Watched(FIT, str(path)).peak_over_imports()[0])
    assert peaks[1] - peaks[0] < 40 * 30 * GROUP, peaks


def test_a_frame_a_csv_and_a_parquet_file_give_the_same_bits(tmp_path):
    """Whole numbers with gaps are float64 in pandas, and int64 in the files."""
    rng = np.random.default_rng(0)
    table = X.select(["age", "rooms", "job", "smoker"])
    gaps = pa.array(rng.integers(0, 9, N), mask=rng.random(N) < 0.1)
    unsure = pa.array(rng.random(N) < 0.3, mask=rng.random(N) < 0.1)
    table = table.append_column("gaps", gaps).append_column("unsure", unsure)
    frame = table.to_pandas()
    frame.to_csv(tmp_path / "a.csv", index=False)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=60)
    files = sn.scan_csv(tmp_path / "a.csv"), sn.scan_parquet(tmp_path / "a.parquet")
    expected = TableEncoder().fit(frame)
    for rows in files:
        encoder = TableEncoder().fit(rows)
        assert list(encoder.get_feature_names_out()) == list(expected.get_feature_names_out())
        np.testing.assert_array_equal(encoder.encode(rows), expected.encode(frame))
        np.testing.assert_array_equal(encoder.encode(frame), expected.encode(frame))


GROUP = 50_000
FIT = """
import sys, warnings
import sklearnish as sn
from sklearnish.preprocessing import TableEncoder

warnings.simplefilter("ignore")
print("imported", flush=True)
sys.stdin.readline()
ds = sn.scan_parquet(sys.argv[1])
encoder = TableEncoder().fit(ds)
assert list(encoder.kinds_.values()) == ["number", "category", "text", "date"], encoder.kinds_
print(len(ds), flush=True)
"""


def _write_many(path, n_groups):
    """Write numbers, levels, ids and sentences that are all different, and days."""
    rng = np.random.default_rng(0)
    writer = None
    for group in range(n_groups):
        ids = np.arange(group * GROUP, (group + 1) * GROUP)
        table = pa.table(
            {
                "x": rng.normal(size=GROUP),
                "level": np.array(["a", "b", "c"])[rng.integers(0, 3, GROUP)],
                "id": pa.array(ids).cast(pa.string()),
                "words": pa.array(np.char.add("some words ", ids.astype(str))),
                "day": pa.array(rng.integers(0, 20_000, GROUP).astype("int32"), pa.date32()),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_dataset_is_encoded_where_its_rows_are_read(tmp_path, encoder, num_workers):
    pq.write_table(MIXED, tmp_path / "a.parquet", row_group_size=50)
    ds = sn.scan_parquet(tmp_path / "a.parquet", target="label")
    encoded = encoder.transform(ds)
    assert isinstance(encoded, sn.Dataset)
    assert list(encoded.columns) == list(encoder.get_feature_names_out())
    batches = list(encoded.batches(64, num_workers=num_workers))
    np.testing.assert_array_equal(
        np.vstack([X for X, _ in batches]), encoder.transform(X.to_pandas())
    )
    assert np.hstack([y for _, y in batches]).tolist() == MIXED["label"].to_pylist()


def test_columns_that_say_nothing_are_left_out_with_a_word():
    table = pd.DataFrame(
        {
            "id": [f"user-{i}" for i in range(50)],
            "row": range(50),
            "empty": [None] * 50,
            "country": ["NO"] * 50,
            "age": np.random.default_rng(0).normal(size=50),
        }
    )
    with pytest.warns(UserWarning, match=r"leaves out 'id' \(text that .*kinds=") as caught:
        encoder = TableEncoder().fit(table)
    assert len(caught) == 1
    assert list(encoder.left_out_) == ["id", "row", "empty", "country"]
    assert list(encoder.columns_) == ["age"]
    quiet = TableEncoder(kinds={"id": "drop", "empty": "drop", "country": "category"})
    quiet.fit(table.drop(columns="row"))
    assert quiet.kinds_ == {"country": "category", "age": "number"}
    with pytest.raises(
        ValueError, match=r"no column to encode in 50 samples: 'empty' \(all values are missing\)"
    ):
        TableEncoder().fit(table[["empty"]])


def test_what_fit_did_not_see(encoder):
    rows = X.slice(0, 3).to_pandas()
    rows["job"] = ["astronaut", None, "cook"]
    rows["smoker"] = [True, None, False]
    rows["born"] = [dt.date(1, 1, 1), None, dt.date(9999, 12, 31)]
    out = encoder.transform(rows.assign(more=1)[["more", *rows.columns[::-1]]])
    assert out["job:unknown"].tolist() == [1, 0, 0]
    assert out["job:missing"].tolist() == [0, 1, 0]
    assert out["smoker:unknown"].tolist() == [0, 1, 0]
    assert np.isfinite(out.to_numpy()).all()
    empty = encoder.transform(rows.assign(job=[None] * 3, age=np.nan))
    assert empty["job:missing"].tolist() == [1, 1, 1]


def test_dates_before_1677_and_of_any_unit():
    days = [f"{year}-05-0{1 + year % 3}" for year in range(1500, 1540)]
    table = pd.DataFrame({"when": np.array(days, dtype="datetime64[s]")})
    objects = pd.DataFrame({"when": [dt.date.fromisoformat(day) for day in days]})
    one = TableEncoder().fit_transform(table)
    pd.testing.assert_frame_equal(one, TableEncoder().fit_transform(objects))
    assert one["when"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda df: df.drop(columns="age"), r"X has no column 'age', which was there in fit"),
        (lambda df: df.assign(age="old"), r"'age' holds text, but numbers in fit"),
        (lambda df: df.assign(job=1), r"'job' holds numbers, but text in fit"),
        (lambda df: df.assign(born=1.5), r"'born' holds numbers, but dates in fit"),
    ],
)
def test_rows_of_another_kind_are_refused(encoder, change, match):
    with pytest.raises(ValueError, match=match):
        encoder.transform(change(X.to_pandas()))


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"kinds": {"zip": "category"}}, r"kinds names 'zip', which is no column of X: age, rooms"),
        ({"kinds": {"age": "numeric"}}, r"'numeric'} must be one of 'category', 'date', 'drop'"),
        ({"kinds": ["age"]}, r"kinds=\['age'\] must be a dict, such as {'zip': 'category'}"),
        ({"max_categories": 0}, r"max_categories=0 must be an integer of at least 1"),
        ({"text_features": 10**6}, r"text_features=1000000 must be at most 16,384"),
        ({"max_codes": 2.5}, r"max_codes=2.5 must be an integer of at least 0"),
    ],
)
def test_parameters_are_checked(params, match):
    with pytest.raises(ValueError, match=match):
        TableEncoder(**params).fit(X)


def test_mixed_types_in_a_column_of_objects_are_named():
    with pytest.raises(ValueError, match=r"'a' holds .*1 \(int\) in row 0.*'x' \(str\) in row 1"):
        TableEncoder().fit(pd.DataFrame({"a": [1, "x", 2.5], "b": [1.5, 2.5, 3.5]}))


def test_whole_numbers_beyond_64_bits_are_numbers():
    encoder = TableEncoder().fit(pd.DataFrame({"a": [2**70, 1, 2], "b": [1.5, 2.5, 3.5]}))
    assert encoder.kinds_ == {"a": "number", "b": "number"}


def test_categories_of_numbers_stay_categories():
    table = pd.DataFrame({"zip": pd.Categorical([8001, 3011, 4051] * 20)})
    encoder = TableEncoder().fit(table)
    assert encoder.kinds_ == {"zip": "category"}
    assert encoder.encode(pd.DataFrame({"zip": [8001, 1000]})).ravel().tolist() == [3, 0]


INSTANTS = pd.Series(pd.date_range("2021-01-01", periods=300, freq="7h", tz="Europe/Berlin"))


def test_instants_keep_the_clock_of_fit_whatever_zone_they_are_given_in(tmp_path):
    berlin = pd.DataFrame({"when": INSTANTS})
    encoder = TableEncoder().fit(berlin)
    expected = encoder.encode(berlin)
    for zone in ("UTC", "Asia/Tokyo", "-03:00"):
        other = pd.DataFrame({"when": INSTANTS.dt.tz_convert(zone)})
        np.testing.assert_array_equal(encoder.encode(other), expected)
    other.to_parquet(tmp_path / "a.parquet")
    rows = sn.scan_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(encoder.encode(rows), expected)
    assert np.isfinite(encoder.encode(pd.DataFrame({"when": [None]}))).all()


def test_dates_with_and_without_a_time_zone_are_not_the_same():
    zoned = pd.DataFrame({"when": INSTANTS})
    naive = pd.DataFrame({"when": INSTANTS.dt.tz_localize(None)})
    for one, other, match in (
        (zoned, naive, r"'when' holds dates, but dates with a time zone in fit.*tz_localize\(zone"),
        (naive, zoned, r"'when' holds dates with a time zone, but dates in fit.*localize\(None\)"),
    ):
        with pytest.raises(ValueError, match=match):
            TableEncoder().fit(one).encode(other)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, sn.as_dataset])
def test_names_that_come_again_are_numbered(make):
    rows = {"a": [1.5, None, 3.0, 4.5], "a:missing": [1.5, 2.5, 3.7, 4.7]}
    rows |= {"a:missing:2": list("xyxx"), "a:missing:2=x": [1.5, 2.5, 4.5, 5.5]}
    frame = make(pd.DataFrame(rows)) if make is sn.as_dataset else make(rows)
    encoder = TableEncoder().fit(frame)
    names = encoder.get_feature_names_out().tolist()
    assert names[:4] == ["a", "a:missing", "a:missing:2", "a:missing:2:unknown"]
    assert names[4:] == ["a:missing:2=x", "a:missing:2=y", "a:missing:2=x:2"]
    assert list(encoder.transform(frame).columns) == names


def test_a_row_whose_list_is_missing_is_encoded():
    table = pa.table({"v": pa.array([[1.0, 2.0], None, [3.0, 5.0]], pa.list_(pa.float64(), 2))})
    encoder = TableEncoder().fit(table)
    expected = encoder.encode(table)[1:2]
    nothing = (pd.DataFrame({"v": [None]}), pl.DataFrame({"v": [None]}), table[1:2])
    for rows in (*nothing, pa.table({"v": pa.array([None], pa.list_(pa.float64()))})):
        np.testing.assert_array_equal(encoder.encode(rows), expected)


def test_names_that_are_no_text_are_not_kept():
    encoder = TableEncoder().fit(pd.DataFrame(np.random.default_rng(0).normal(size=(20, 2))))
    assert not hasattr(encoder, "feature_names_in_")
    assert list(encoder.columns_) == ["0", "1"]


def test_many_distinct_values_are_said_to_be_ids():
    table = pa.table(
        {"key": pa.array(np.arange(300_000)).cast(pa.string()), "x": np.arange(3e5) / 7}
    )
    with pytest.warns(UserWarning, match=r"'key' \(text that is another in most rows"):
        assert list(TableEncoder().fit(table).columns_) == ["x"]
    kept = TableEncoder(kinds={"key": "category"}).fit(table)
    assert len(kept.columns_["key"].levels) == 100


def test_it_is_cloned_pickled_and_small(encoder, expected):
    assert clone(encoder).get_params() == encoder.get_params()
    stored = pickle.dumps(encoder)
    assert len(stored) < 60_000
    np.testing.assert_array_equal(pickle.loads(stored).encode(X), expected)


def test_it_is_saved_alone_and_in_a_pipeline(tmp_path, encoder, expected):
    sn.save(encoder, tmp_path / "a.sn")
    np.testing.assert_array_equal(sn.load(tmp_path / "a.sn").encode(X), expected)
    clf = sn.TorchClassifier(max_epochs=1, random_state=0)
    model = make_pipeline(TableEncoder(text_features=8), clf).fit(X.to_pandas(), MIXED["label"])
    sn.save(model, tmp_path / "b.sn")
    loaded = sn.load(tmp_path / "b.sn")
    frame = X.to_pandas()
    np.testing.assert_array_equal(loaded.predict_proba(frame), model.predict_proba(frame))


@pytest.mark.parametrize("wanted", ["pandas", "polars", "default"])
@pytest.mark.parametrize("make", [pa.table, pa.Table.to_pandas, pl.from_arrow])
def test_frames_of_another_library(make, wanted):
    rows = make(X.select(["age", "job"]))
    encoder = clone(TableEncoder().set_output(transform=wanted)).set_output(transform=None)
    out = encoder.fit_transform(rows)
    package = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "default": type(rows)}[wanted]
    assert type(out) is package
    assert type(encoder.transform(sn.as_dataset(rows))) is sn.Dataset
    with pytest.raises(ValueError, match="transform='numpy' must be"):
        encoder.set_output(transform="numpy")


def test_in_a_pipeline_of_scikit_learn():
    model = make_pipeline(TableEncoder(), LogisticRegression()).set_output(transform="pandas")
    frame = X.drop_columns(["vector"]).to_pandas()
    model.fit(frame, MIXED["label"].to_pandas())
    assert model[:-1].transform(frame).shape[1] == model[-1].n_features_in_


def test_scikit_learns_checks():
    check_estimator(TableEncoder(), on_skip=None)
