"""Tables of any library."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sklearnish as sn
from sklearnish.preprocessing._encoding.frames import column_of, declared, frame_like, rows_of
from sklearnish.preprocessing._encoding.values import numbers

MATRIX = np.arange(4, dtype=np.float32).reshape(2, 2)


@pytest.mark.parametrize("X", [np.eye(2), [[1.0, 0.0], [0.0, 1.0]]])
def test_columns_of_arrays_are_numbered(X):
    assert rows_of(X).columns == ("x0", "x1")


@pytest.mark.parametrize("rows", [[[30, 1.5, "a"], [31, 2, "b"]], [(30, 1.5, "a"), (31, 2, "b")]])
def test_lists_of_mixed_rows_keep_their_numbers(rows):
    assert list(rows_of(rows).kinds.values())[:2] == ["number", "number"]
    assert list(rows_of([[1, 2.5], [3, 4]]).kinds.values()) == ["number", "number"]
    assert rows_of([["a", "b"], ["c", "d"]]).kinds == rows_of(np.array([["a", "b"]])).kinds


@pytest.mark.parametrize("X", [sn.as_dataset(np.eye(3)), {"a": np.eye(3)}])
def test_rows_without_names_are_refused(X):
    with pytest.raises(TypeError, match=r"TableEncoder takes tables, and .* has no named columns"):
        rows_of(X)


def test_categories_of_pandas_are_declared():
    frame = pd.DataFrame({0: pd.Categorical([1, 2]), "b": [1, 2]})
    assert declared(frame) == {"0": "category"}
    assert declared(np.eye(2)) == {}
    days = pd.Series(pd.date_range("2020-01-01", periods=2))
    for dates in (days, days.dt.tz_localize("UTC"), days.dt.to_period("M")):
        assert declared(pd.DataFrame({"a": dates.astype("category")})) == {}


def test_frames_like_others():
    one = frame_like(pd.DataFrame({"a": [1, 2]}, index=[5, 6]), MATRIX, ["x", "y"])
    pd.testing.assert_frame_equal(one, pd.DataFrame(MATRIX, index=[5, 6], columns=["x", "y"]))
    two = frame_like(pl.DataFrame({"a": [1, 2]}), MATRIX, ["x", "y"])
    assert two.equals(pl.DataFrame(MATRIX, schema=["x", "y"]))
    three = frame_like(pa.table({"a": [1, 2]}), MATRIX, ["x", "y"])
    assert three.column("y").to_pylist() == [1, 3]
    assert frame_like([[1], [2]], MATRIX, ["x", "y"]) is MATRIX


@pytest.mark.parametrize(
    "values", [pa.nulls(2), pa.array([float("nan")] * 2), pa.array([], pa.int8())]
)
@pytest.mark.parametrize("family", ["text", "date", "number"])
def test_a_column_without_values_may_be_of_any_type(values, family):
    column = column_of(pa.table({"a": values}), "a", family, "in fit")
    assert column.is_null(nan_is_null=True).true_count == len(values)


def test_another_kind_is_named():
    with pytest.raises(ValueError, match=r"'a' holds numbers, but text in fit"):
        column_of(pa.table({"a": [1]}), "a", "text", "in fit")


@pytest.mark.parametrize("wanted", ["date", "instant"])
def test_text_is_taken_for_dates_where_fit_saw_dates(wanted):
    zone = "Z" if wanted == "instant" else ""
    texts = pa.array([f"2020-01-01 10:00:00{zone}", None])
    for column in (texts, texts.dictionary_encode()):
        dates = column_of(pa.table({"a": column}), "a", wanted, "in fit")
        assert numbers(dates)[0] == 1577872800
        assert np.isnan(numbers(dates)[1])
    with pytest.raises(ValueError, match=r"'a' holds text, but dates.* in fit.*pd.to_datetime"):
        column_of(pa.table({"a": ["2020-01-01", "soon"]}), "a", wanted, "in fit")
