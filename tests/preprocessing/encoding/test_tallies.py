"""What columns are found to be."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from sklearnish.preprocessing._encoding.tallies import (
    DateTally,
    ListTally,
    NumberTally,
    Options,
    TextTally,
)

OPTIONS = Options(max_categories=3, max_codes=4, text_features=8)


def found(tally, values, kind=None, dtype=None, name=""):
    array = pa.array(values, dtype)
    tally = tally(kind, OPTIONS, name)
    for start in range(0, len(array), 7):
        chunk = array[start : start + 7]
        tally.add(chunk, np.ones(len(chunk), bool))
    return tally.finish()


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([0, 1, 1], (0, 1)),
        ([0.5, 2.5, 2.5], (0.5, 2.5)),
        ([True, False], (False, True)),
        ([3, None, 3], (3,)),
    ],
)
def test_two_values_are_a_category(values, levels):
    column = found(NumberTally, values)
    assert column.kind == "category"
    assert column.levels == levels
    assert column.gaps == (None in values)


def test_few_whole_numbers_have_codes_and_others_have_not():
    assert found(NumberTally, [1.0, 2.0, 9.0, 2.0]).levels == (1, 2, 9)
    assert found(NumberTally, [1.0, 2.0, 9.5, 2.0]).levels == ()
    assert found(NumberTally, [1, 2, 3, 4, 5, 5]).levels == ()
    assert found(NumberTally, [1, 2, 3, None]).gaps


def test_numbers_that_are_called_categories():
    column = found(NumberTally, [10, 20, 20, 30, 30, 40, 40], "category")
    assert column.levels == (20, 30, 40)


@pytest.mark.parametrize(
    ("tally", "dtype"),
    [(NumberTally, pa.int8()), (TextTally, pa.string()), (DateTally, pa.date32())],
)
def test_all_missing(tally, dtype):
    assert found(tally, [None, None], dtype=dtype) == "all values are missing"


@pytest.mark.parametrize(
    ("tally", "values"),
    [(NumberTally, [1, 1]), (TextTally, ["a", "a"]), (DateTally, [dt.date(2000, 1, 1)] * 2)],
)
def test_one_value(tally, values):
    assert found(tally, values) == "one value in all rows"
    assert not isinstance(found(tally, [*values, None]), str)


def test_one_value_that_is_called_a_number():
    assert found(NumberTally, [1, 1], "number").kind == "number"


NAMES_OF_IDS = ["id", "ID", "user_id", "user id", "PassengerId", "userID", "uid", "index", "Index"]
NAMES_OF_IDS += ["Unnamed: 0", "row", "row_number", "rowid"]


@pytest.mark.parametrize("name", NAMES_OF_IDS)
def test_whole_numbers_that_are_all_different_are_ids_if_their_name_says_so(name):
    rows = np.random.default_rng(0).permutation(150)[:120]
    assert "as ids are" in found(NumberTally, rows, name=name)
    assert found(NumberTally, rows, "number", name=name).kind == "number"
    assert found(NumberTally, rows + 0.5, name=name).kind == "number"
    assert found(NumberTally, np.r_[rows, rows[:1]], name=name).kind == "number"


@pytest.mark.parametrize(
    "name", ["age", "paid", "PAID", "heat_index", "rows", "grid", "Android", "x"]
)
def test_no_other_number_is_an_id_even_if_it_counts_the_rows(name):
    assert found(NumberTally, range(200), name=name).kind == "number"
    assert found(NumberTally, np.random.default_rng(0).permutation(400), name=name).kind == "number"


def test_text_that_comes_again_is_a_category():
    assert found(TextTally, list("aabbccdd")).levels == ("a", "b", "c")
    assert found(TextTally, list("abcdefghij")).kind == "category"  # of few rows


def test_text_that_comes_once_is_an_id_or_free():
    ids = [f"user-{i}" for i in range(60)]
    assert "as ids are" in found(TextTally, ids)
    assert found(TextTally, ids, "category").kind == "category"
    assert found(TextTally, ids, "text").kind == "text"
    assert found(TextTally, [f"the user {i}" for i in range(60)]).kind == "text"


def test_numbers_that_are_text_are_called_so():
    assert "looks like numbers" in found(TextTally, [f"{i}.5" for i in range(60)])


DAYS = [str(dt.date(2000, 1, 1) + dt.timedelta(i)) for i in range(60)]


@pytest.mark.parametrize("gap", [[], [None] * 60])
@pytest.mark.parametrize("values", [DAYS, [f"{day} 12:30:0{i % 9}" for i, day in enumerate(DAYS)]])
def test_text_is_dates_if_all_of_it_is(values, gap):
    parsed = found(DateTally, [dt.datetime.fromisoformat(value) for value in values] + gap)
    column = found(TextTally, values + gap)
    np.testing.assert_array_equal(column.elapsed.knots, parsed.elapsed.knots)
    assert column.cycles == parsed.cycles
    assert column.zone == ""
    assert column.elapsed.gaps == bool(gap)
    assert found(TextTally, [f"{day}T12:00:00+01:00" for day in DAYS]).zone == "UTC"
    assert found(TextTally, values * 3, "category").kind == "category"
    assert "as ids are" in found(TextTally, [*values, "today"])
    with pytest.raises(ValueError, match=r"{'when': 'date'}, but the column holds text that is n"):
        found(TextTally, [*values, "today"], "date", name="when")


def test_more_texts_than_are_counted_are_known_by_the_sample(monkeypatch):
    monkeypatch.setattr("sklearnish.preprocessing._encoding.tallies._MANY", 5)
    assert found(TextTally, [*"abcdefgh"] * 9).kind == "category"
    assert "as ids are" in found(TextTally, [f"user-{i}" for i in range(60)])


def test_texts_too_long_to_be_counted_are_free(monkeypatch):
    monkeypatch.setattr("sklearnish.preprocessing._encoding.counts._MOST_BYTES", 50)
    words = [f"some words {i}" for i in range(30)]
    assert found(TextTally, words).kind == "text"
    with pytest.raises(ValueError, match="more than 64 MiB"):
        found(TextTally, words, "category")


def test_cycles_that_never_change_are_no_columns():
    days = [dt.date(2000, 1, 1) + dt.timedelta(7 * i) for i in range(10)]
    column = found(DateTally, days)
    assert column.year is None
    assert column.cycles == ("month", "day")
    times = [dt.datetime(year, 5, 1, year % 24) for year in range(1600, 1640)]
    column = found(DateTally, times)
    assert column.year is not None
    assert column.cycles == ("month", "weekday", "hour")  # 1 May is a day later in leap years
    assert found(DateTally, times, "number").cycles == ()


def test_lists():
    dtype = pa.list_(pa.float32(), 2)
    column = found(ListTally, [[1, 2], [3, 4], None], dtype=dtype)
    assert column.mean.tolist() == [2, 3]
    assert column.gaps
    assert found(ListTally, [None, None], dtype=dtype) == "all values are missing"
