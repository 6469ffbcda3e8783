"""Dates as numbers and cycles."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from sklearnish.preprocessing._encoding.date import CYCLES, DateColumn, fields, split
from sklearnish.preprocessing._encoding.number import number_column


def column(cycles=CYCLES, gaps=False):
    year = number_column(np.array([1999.0, 2000.0, 2001.0]), gaps=False)
    return DateColumn(number_column(np.array([0.0, 1e9]), gaps=gaps), year, cycles, "")


def encoded(column, values):
    names = [output.name for output in column.outputs("d")]
    out = np.full((len(names), len(values)), np.nan, np.float32)
    column.encode(values, out)
    return dict(zip(names, out, strict=True))


def test_the_names_of_what_comes_out():
    waves = [f"d:{c}_{w}" for c in ("month", "day", "weekday", "hour") for w in ("sin", "cos")]
    assert list(encoded(column(gaps=True), pa.array([], pa.date32()))) == [
        "d", "d:missing", "d:year", *waves
    ]  # fmt: skip


@pytest.mark.parametrize("n", [1, 500])
def test_days_are_the_same_alone_and_among_others(n):
    days = [dt.date(2000, 1, 1) + dt.timedelta(7 * i) for i in range(n)]
    far = [dt.date(1, 1, 1), dt.date(9999, 12, 31)]
    one = encoded(column(), pa.array(days))
    other = encoded(column(), pa.array([*days, *far]))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name][:n])


@pytest.mark.parametrize("year", [1, 1600, 1969, 1970, 2000, 2024])
def test_fields_are_those_of_the_calendar(year):
    dates = [dt.date(year, 1, 1) + dt.timedelta(i) for i in range(360)]
    days = np.array(dates, "datetime64[D]").astype(np.int64)
    found = fields(days)
    assert found["year"].tolist() == [d.year for d in dates]
    np.testing.assert_allclose(found["day"] * 31 + 1, [d.day for d in dates])
    np.testing.assert_allclose(found["weekday"] * 7, [d.weekday() for d in dates])
    np.testing.assert_allclose(found["month"] * 366 + 1, [d.timetuple().tm_yday for d in dates])


def test_hours_go_round():
    times = [dt.datetime(2000, 1, 1, hour) for hour in (0, 6, 12, 18)]
    got = encoded(column(), pa.array(times))
    np.testing.assert_allclose(got["d:hour_sin"], [0, 1, 0, -1], atol=1e-6)
    np.testing.assert_allclose(got["d:hour_cos"], [1, 0, -1, 0], atol=1e-6)


def test_times_before_1970():
    days, minutes = split(np.array([-1.0, -86_400.0, 86_399.0]))
    assert days.tolist() == [-1, -1, 0]
    assert minutes.tolist() == [1439, 0, 1439]


def test_a_missing_date_is_zero_in_all_columns_but_one():
    got = encoded(column(gaps=True), pa.array([None, dt.date(2000, 1, 1)]))
    assert got.pop("d:missing").tolist() == [1.0, 0.0]
    assert all(values[0] == 0 for values in got.values())


def test_elapsed_time_alone():
    only = DateColumn(number_column(np.array([0.0, 86_400.0]), gaps=False), None, (), "")
    got = encoded(only, pa.array([dt.date(1970, 1, 1), dt.date(1970, 1, 2)]))
    assert list(got) == ["d"]
    assert got["d"][0] < got["d"][1]
