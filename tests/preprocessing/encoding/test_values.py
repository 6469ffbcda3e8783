"""Arrow columns as numbers."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sklearnish.preprocessing._encoding.values import comparable, family, flat, numbers, readable

NAN = float("nan")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None, 3]), [1.0, NAN, 3.0]),
        (pa.array([1.5, NAN, None]), [1.5, NAN, NAN]),
        (pa.array([True, None, False]), [1.0, NAN, 0.0]),
        (pa.array([Decimal("1.25"), None]), [1.25, NAN]),
        (pa.array([None, None]), [NAN, NAN]),
        (pa.array([7, 7, None]).dictionary_encode(), [7.0, 7.0, NAN]),
        (
            pa.array([dt.date(1970, 1, 3), dt.date(1500, 1, 1), None]),
            [2 * 86400, -14831769600, NAN],
        ),
        (pa.array([86_400_000], pa.date64()), [86_400.0]),
        (pa.array([dt.time(1, 0, 1), None]), [3601.0, NAN]),
        (pa.array([1500], pa.time32("ms")), [1.5]),
        (pa.array([dt.timedelta(minutes=2)]), [120.0]),
        *(
            (pa.array([dt.datetime(1970, 1, 2)], pa.timestamp(u)), [86400.0])
            for u in ["s", "ms", "us", "ns"]
        ),
        (pa.array([0], pa.timestamp("s", "+02:00")), [7200.0]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_numbers(column, expected):
    np.testing.assert_array_equal(numbers(column), expected)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (pa.string(), "text"),
        (pa.large_string(), "text"),
        (pa.dictionary(pa.int8(), pa.string()), "text"),
        (pa.dictionary(pa.int8(), pa.int64()), "number"),
        (pa.bool_(), "number"),
        (pa.null(), "number"),
        (pa.duration("s"), "number"),
        (pa.timestamp("ns"), "date"),
        (pa.date32(), "date"),
        (pa.list_(pa.float32(), 3), "list"),
        (pa.list_(pa.string(), 3), "other"),
        (pa.struct([("a", pa.int8())]), "other"),
        (pa.binary(), "other"),
    ],
    ids=str,
)
def test_families(dtype, expected):
    assert family(dtype) == expected


def test_whole_numbers_are_compared_with_all_their_digits():
    ids = [2**60, 2**60 + 1]
    assert comparable(pa.array(ids)).to_pylist() == ids
    assert comparable(pa.array(ids).dictionary_encode()).to_pylist() == ids


def test_nan_is_null_and_there_is_one_zero():
    values = comparable(pa.array([NAN, -0.0, 0.0]))
    assert values.null_count == 1
    assert len(values.drop_null().unique()) == 1


def test_a_chunked_array_becomes_an_array():
    assert flat(pa.chunked_array([[1], [2]])).to_pylist() == [1, 2]


X = pd.Series([0.5, 3.0, None, 9.5])
MONTHS = pd.Series(pd.PeriodIndex(["2020-01", "2021-06", None], freq="M"))


@pytest.mark.parametrize("kind", ["category", "interval[float64, right]"])
def test_intervals_are_categories_by_their_text(kind):
    column = readable(pa.chunked_array([pa.array(pd.cut(X, [0.0, 1.0, 5.0, 10.0]).astype(kind))]))
    assert family(column.type) == "text"
    assert column.to_pylist() == ["(0.0, 1.0]", "(1.0, 5.0]", None, "(5.0, 10.0]"]
    assert column.is_null().to_pylist() == [False, False, True, False]


@pytest.mark.parametrize("make", [pd.Series, lambda months: months.astype("category")])
def test_periods_are_dates(make):
    column = readable(pa.chunked_array([pa.array(make(MONTHS))]))
    assert family(column.type) == "date"
    expected = MONTHS.dt.to_timestamp().to_numpy().astype("datetime64[s]").astype(float)
    np.testing.assert_array_equal(numbers(column)[:2], expected[:2])
    assert np.isnan(numbers(column)[2])
