import datetime
import multiprocessing
import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._sources.frames import FrameSource, is_frame

FRAME = pd.DataFrame(
    {
        "f": np.array([1.5, np.nan, 3, 4], dtype=np.float32),
        "i": [1, 2, 3, 4],
        "b": [True, False, True, True],
        "Int": pd.array([1, None, 3, 4], dtype="Int64"),
        "arrow": pd.array([1, None, 3, 4], dtype="int32[pyarrow]"),
        "s": ["x", None, "y", "z"],
        "cat": pd.Categorical(["u", None, "v", "u"]),
        "numcat": pd.Categorical([10, 20, 10, 20]),
        "when": pd.date_range("2020-01-01", periods=4),
        "objects": pd.Series([1, 2.5, None, 4], dtype=object),
        "decimals": pd.Series([Decimal(1), Decimal(2), None, Decimal(4)], dtype=object),
        "none": pd.Series([None] * 4, dtype=object),
        "mixed": pd.Series([1, "a", None, {}], dtype=object),
        "days": pd.Series([datetime.date(2020, 1, 1)] * 4, dtype=object),
        "period": pd.period_range("2020", periods=4, freq="D"),
    }
).set_axis([9, 9, 7, 5])
KINDS = dict.fromkeys(FRAME.columns, "number") | {
    "s": "text",
    "cat": "text",
    "when": "datetime",
    "days": "datetime",
    "mixed": "other",
    "period": "other",
}


def listed(column):
    values = column.tolist() if isinstance(column, np.ndarray) else column.to_pylist()
    return [None if v is None or v is pd.NaT or v != v else v for v in values]


def test_kinds_of_pandas_columns():
    source = FrameSource(FRAME)
    assert {name: field.kind for name, field in source.schema.items()} == KINDS
    assert source.schema["f"].dtype == "float32"
    assert (source.n_rows, source.blocks, source.in_memory) == (4, None, True)
    assert source.columns_are_strings


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.integers(0, 3), max_size=8))
def test_read_equals_iloc(rows):
    names = [name for name in FRAME if name not in ("when", "days", "period")]
    got = FrameSource(FRAME).read(np.array(rows, dtype=np.int64), names)
    for name in names:
        want = [None if pd.isna(v) else v for v in FRAME[name].iloc[rows].tolist()]
        assert listed(got[name]) == want


@pytest.mark.parametrize("make", [pl.DataFrame, pa.table, pd.DataFrame])
def test_the_same_columns_in_any_library(make):
    frame = make({"x": [1.0, 2.0, 3.0], "n": [1, None, 3], "t": ["a", None, "b"]})
    source = FrameSource(frame)
    assert [field.kind for field in source.schema.values()] == ["number", "number", "text"]
    got = source.read(np.array([2, 0, 1, 2]), ["t", "x", "n"])
    assert list(got) == ["t", "x", "n"]
    assert [listed(column) for column in got.values()] == [
        ["b", "a", None, "b"],
        [3, 1, 2, 3],
        [3, 1, None, 3],
    ]


def test_chunks_are_joined():
    frame = pl.concat([pl.DataFrame({"x": [1, 2]}), pl.DataFrame({"x": [3]})], rechunk=False)
    assert FrameSource(frame).read(np.array([2, 0]), ["x"])["x"].tolist() == [3, 1]


def test_numbers_are_not_copied():
    values = np.random.default_rng(0).standard_normal((100, 3))
    frame = pd.DataFrame(values, columns=list("abc"), copy=False)
    source = FrameSource(frame)
    assert all(np.shares_memory(source.columns[name], values) for name in "abc")
    series = pl.Series("x", values[:, 0].copy())
    assert np.shares_memory(FrameSource(series.to_frame()).columns["x"], series.to_numpy())


def test_a_read_does_not_show_later_changes():
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    got = FrameSource(frame).read(np.array([0, 1]), ["x"])["x"]
    frame.loc[:, "x"] = 0.0
    assert got.tolist() == [1, 2]


def test_names_that_are_no_strings():
    source = FrameSource(pd.DataFrame(np.eye(2)))
    assert (list(source.schema), source.columns_are_strings) == (["0", "1"], False)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
    ],
)
def test_repeated_names_are_refused(frame):
    with pytest.raises(ValueError, match="two columns named 'a'"):
        FrameSource(frame)


def test_what_is_no_frame_is_refused():
    with pytest.raises(TypeError, match="collect"):
        FrameSource(pl.LazyFrame({"x": [1]}))
    with pytest.raises(TypeError, match="got list"):
        FrameSource([1])
    assert [is_frame(x) for x in (FRAME, pl.LazyFrame(), np.eye(2), {"x": [1]})] == [
        True,
        True,
        False,
        False,
    ]


def test_empty_frames():
    assert FrameSource(pd.DataFrame({"x": []})).n_rows == 0
    assert len(FrameSource(pl.DataFrame({"x": []})).read(np.array([], dtype=int), ["x"])["x"]) == 0


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("frame", [FRAME, pl.DataFrame({"f": [1.0, 2.0], "s": ["a", None]})])
def test_it_pickles_and_survives_a_fork(frame):
    source, rows = FrameSource(frame), np.array([1, 0])
    here = [listed(column) for column in source.read(rows, ["f", "s"]).values()]
    again = pickle.loads(pickle.dumps(source))
    assert [listed(column) for column in again.read(rows, ["f", "s"]).values()] == here
    with multiprocessing.get_context("fork").Pool(1) as pool:
        there = pool.apply(source.read, (rows, ["f", "s"]))
    assert [listed(column) for column in there.values()] == here


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array(["a", "b", None, "b"], pa.string_view()), "text"),
        (pa.array([b"a", b"b", None, b"b"], pa.binary_view()), "other"),
        (pa.RunEndEncodedArray.from_arrays(pa.array([1, 4], pa.int32()), [1.5, 2]), "number"),
        (pa.RunEndEncodedArray.from_arrays(pa.array([1, 4], pa.int32()), ["a", "b"]), "text"),
        (pa.DictionaryArray.from_arrays([0, 1, 2, 3], ["a", "b", None, "b"]), "text"),
        (pa.DictionaryArray.from_arrays([0, 1, None, 2], ["a", "b", "b"]), "text"),
    ],
)
def test_encodings_of_arrow_are_the_values_they_mean(column, kind):
    source = FrameSource(pa.table({"a": column}))
    assert source.schema["a"].kind == kind
    rows = np.array([2, 0, 3, 3])
    wanted = [column.to_pylist()[row] for row in rows]
    found = source.read(rows, ["a"])["a"]
    assert (found.tolist() if kind == "number" else found.to_pylist()) == wanted
    shown = as_dataset(pa.table({"a": column})).to_pandas()["a"]
    assert [None if pd.isna(value) else value for value in shown] == column.to_pylist()


def test_objects_that_are_numbers_beyond_arrow_are_floats():
    for values in ([2**70, None, 3], [Decimal("Infinity"), Decimal("NaN"), Decimal("1.5")]):
        source = FrameSource(pd.DataFrame({"a": pd.Series(values, dtype=object)}))
        expected = [float("nan") if value is None else float(value) for value in values]
        np.testing.assert_array_equal(source.read(np.arange(3), ["a"])["a"], expected)


@pytest.mark.parametrize("make", [pd.interval_range, pd.period_range])
def test_categories_of_intervals_and_periods_are_read(make):
    levels = make(start=0, end=3) if make is pd.interval_range else make("2020", "2022", freq="Y")
    column = pd.Series(pd.Categorical([levels[1], levels[0], None], categories=levels))
    read = FrameSource(pd.DataFrame({"a": column})).read(np.array([2, 0]), ["a"])["a"]
    assert read.chunk(0).indices.to_pylist() == [None, 1]
