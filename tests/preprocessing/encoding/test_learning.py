"""One pass over the rows."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sklearnish as sn
from sklearnish.preprocessing import TableEncoder
from sklearnish.preprocessing._encoding import learning
from sklearnish.preprocessing._encoding.tallies import Options

OPTIONS = Options(max_categories=100, max_codes=20, text_features=8)


def learn(table, **kinds):
    return learning.learn(sn.as_dataset(table), kinds, OPTIONS)


def test_columns_come_in_their_order_and_dropped_ones_say_so():
    table = pd.DataFrame({"a": [1.5, 2.5, 4.5], "b": list("xyx"), "c": [1, 2, 3]})
    found = learn(table, b="drop")
    assert list(found) == ["a", "b", "c"]
    assert found["b"] == "dropped by kinds"
    assert found["a"].kind == "number"
    assert learn(table, a="drop", b="drop", c="drop").keys() == found.keys()


@pytest.mark.parametrize(
    ("column", "match"),
    [
        (pa.array([{"a": 1}]), r"'a' holds struct<a: int64>, of which no numbers"),
        (pa.array([b"x"]), r"'a' holds .*binary"),
        (pa.array([[1.0], [1.0, 2.0]]), r"'a' holds list<.*double>: lists of several lengths"),
        (pa.array([["x"], ["y"]]), r"'a' holds list<.*string>, of which no numbers"),
    ],
)
def test_what_no_numbers_can_be_made_of_is_named(column, match):
    table = pa.table({"a": column, "b": np.arange(len(column)) + 0.5})
    with pytest.raises(TypeError, match=match):
        learn(table)


@pytest.mark.parametrize(
    ("column", "kind", "match"),
    [
        (
            ["x", "y"],
            "number",
            r"holds text, which can be 'category' or 'date' or 'text'",
        ),
        ([1, 2], "date", r"holds numbers, which can be 'number' or 'category' or 'drop'"),
        (pd.to_datetime(["2020-01-01"] * 2), "category", r"which can be 'date' or 'number'"),
    ],
)
def test_kinds_that_a_column_cannot_be(column, kind, match):
    with pytest.raises(TypeError, match=match):
        learn(pd.DataFrame({"a": column}), a=kind)


def test_a_wide_table_has_a_smaller_sample(monkeypatch):
    monkeypatch.setattr(learning, "_VALUES", 2000)
    monkeypatch.setattr(learning, "_LEAST", 100)
    values = np.random.default_rng(0).normal(size=(1000, 4))
    found = learn(pd.DataFrame(values, columns=list("abcd")))
    assert len(found["a"].knots) == 500


def test_what_pandas_makes_of_numbers_and_dates():
    x = pd.Series(np.linspace(0.5, 9.5, 60))
    days = pd.Series(pd.date_range("2020-01-01", periods=60, freq="W"))
    months = days.dt.to_period("M")
    frame = pd.DataFrame(
        {
            "bin": pd.cut(x, 5),
            "interval": pd.cut(x, [0, 5, 10]).astype("interval[float64, right]"),
            "day": days.astype("category"),
            "month": months,
            "level": months.astype("category"),
            "text": days.astype(str),
        }
    )
    encoder = TableEncoder().fit(frame)
    kinds = dict.fromkeys(["bin", "interval"], "category")
    assert encoder.kinds_ == kinds | dict.fromkeys(["day", "month", "level", "text"], "date")
    expected = encoder.encode(frame)
    one_by_one = [encoder.encode(frame.iloc[[i]]) for i in range(60)]
    np.testing.assert_array_equal(np.concatenate(one_by_one), expected)
    np.testing.assert_array_equal(encoder.encode(frame.assign(text=days)), expected)
    np.testing.assert_array_equal(TableEncoder().fit(sn.as_dataset(frame)).encode(frame), expected)


@pytest.mark.parametrize(
    ("n_columns", "n_rows", "codes"), [(5, 40, True), (12, 40, False), (12, 1_500, True)]
)
def test_numbers_have_codes_where_there_are_rows_enough(n_columns, n_rows, codes):
    values = np.random.default_rng(0).integers(0, 11, (n_rows, n_columns))
    found = learn(pd.DataFrame(values, columns=[f"x{j}" for j in range(n_columns)]))
    assert [bool(column.levels) for column in found.values()] == [codes] * n_columns
    assert all(len(column.knots) > 9 for column in found.values())
