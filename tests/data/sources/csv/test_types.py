"""Types over the whole file, and what is told of numbers that became text by some values."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from sklearnish.data._sources.csv import source as csv
from sklearnish.data._sources.csv.types import first_that_fails
from sklearnish.data._views.columns import check_numeric
from tests.data.csv_files import dtypes, everything, scan


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path_factory.mktemp("cache")))


def refused(source):
    with pytest.raises(ValueError, match="Features must be numbers") as caught:
        check_numeric(source, list(source.schema))
    return str(caught.value)


@pytest.mark.parametrize("odd", ["oops", "-", "?", "1,5"])
@pytest.mark.parametrize("row", [0, 5, 9])
def test_the_value_that_makes_text_of_numbers_is_named(tmp_path, monkeypatch, odd, row):
    monkeypatch.setattr(csv, "_LOOKED_AT", 4)
    values = ["1", "-2.5", "+3e-2", "", ".5"] * 2
    values[row] = f'"{odd}"'
    text = "a,b\n" + "".join(f"1,{v}\n" for v in values)
    told = refused(scan(tmp_path, text))
    assert f"Most values of 'b' are numbers, but data row {row} of {tmp_path / 'a.csv'}" in told
    assert f"has {odd!r}: scan_csv(..., na_values=[{odd!r}]) reads it as missing" in told
    assert "TabularClassifier" not in told  # it would take the numbers for words
    assert ("decimal=',' reads numbers such as '1,5'. Drop such a column" in told) == (odd == "1,5")
    fine = scan(tmp_path, text, na_values=[odd])
    check_numeric(fine, list(fine.schema))


def test_numbers_with_another_decimal_sign_are_told_of_it(tmp_path):
    text = "a;b\n1;1,5\n2;2,5\n"
    assert "data row 0 of" in (told := refused(scan(tmp_path, text, sep=";")))
    assert "decimal=','" in told
    check_numeric(scan(tmp_path, text, sep=";", decimal=","), ["a", "b"])
    assert "decimal='.'" in refused(scan(tmp_path, "a\n1\n2.5\n3\n", sep=";", decimal=","))


@pytest.mark.parametrize("values", ["2 1,234 7", "1,234 5,678", "1,234,567.5 1 2", "1,234 x 5 6 7"])
def test_thousands_are_not_told_of_a_decimal_comma(tmp_path, values):
    text = "a;b\n" + "".join(f"1;{value}\n" for value in values.split())
    told = refused(scan(tmp_path, text, sep=";"))
    assert "scan_csv(..., thousands=',') reads it as 1234" in told
    assert "decimal" not in told
    assert "na_values" not in told
    fine = scan(tmp_path, text, sep=";", thousands=",", na_values=["x"])
    check_numeric(fine, list(fine.schema))


def test_decimals_are_not_told_of_thousands(tmp_path):
    told = refused(scan(tmp_path, "a;b\n1;1,234\n2;2,5\n", sep=";"))
    assert "decimal=','" in told
    assert "thousands" not in told


@pytest.mark.parametrize("values", ["xyz", "x1", ["12345678901234567890123", "1.5"]])
def test_text_is_not_taken_for_numbers(tmp_path, values):
    told = refused(scan(tmp_path, "a\n" + "".join(f"{v}\n" for v in values)))
    assert "Most values" not in told
    assert "has 'a' (" in told


def test_points_between_thousands_are_told_with_the_decimal_comma(tmp_path):
    text = "a;b\n1;1.234,5\n2;2.345,25\n3;0,5\n"
    told = refused(scan(tmp_path, text, sep=";"))
    assert "scan_csv(..., decimal=',', thousands='.') reads it as 1234.5" in told
    assert "na_values" not in told
    fine = scan(tmp_path, text, sep=";", decimal=",", thousands=".")
    check_numeric(fine, ["a", "b"])


@pytest.mark.parametrize(
    ("early", "late", "dtype"),
    [
        ("1", "2.5", "float64"),
        ("1", "x", "string"),
        ("True", "1", "string"),
        ("True", "", "bool"),
        ("", "7", "int64"),
        ("", "x", "string"),
        ("0.5", "x", "string"),
        ("1", "12345678901234567890", "string"),
    ],
)
def test_types_are_promoted_over_the_whole_file(tmp_path, early, late, dtype):
    n = 30_000  # the last row is in a later block of the parser
    source = scan(tmp_path, "k,v\n" + f"{'k' * 72},{early}\n" * n + f"k,{late}\n")
    assert dtypes(source) == ["string", dtype]
    values = source.read(np.array([0, n]), ["v"])["v"].to_pylist()
    typed = {"float64": float, "int64": int, "string": str, "bool": lambda v: v == "True"}[dtype]
    assert values == [None if v == "" else typed(v) for v in (early, late)]


def test_long_identifiers_keep_their_digits(tmp_path):
    source = scan(tmp_path, "a\n123456789012345678901234567890\n1\n")
    assert everything(source) == {"a": ["123456789012345678901234567890", "1"]}


def test_dates_are_parsed_when_asked(tmp_path):
    text = "d,e\n2020-01-01,2020-01-01\n2020-01-02 10:00:00,\n"
    source = scan(tmp_path, text, parse_dates=["d", "e"])
    assert [field.kind for field in source.schema.values()] == ["datetime", "datetime"]
    assert everything(source)["d"] == [
        datetime.datetime(2020, 1, 1),
        datetime.datetime(2020, 1, 2, 10),
    ]


_ZONED = "2001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("odd", "late"),
    [(odd, 0) for odd in ["30", "1.5", "2001", "01/31/2001", _ZONED, "soon"]] + [("30", 100_000)],
)
def test_what_is_no_iso_date_is_refused_by_its_value(tmp_path, odd, late):
    text = "d,e\n2020-01-01,1\n" + "2020-01-02,1\n" * late + f",1\n{odd},1\n2020-01-03,1\n"
    with pytest.raises(ValueError, match=rf"parse_dates names 'd', but .*a\.csv has '{odd}' in it"):
        scan(tmp_path, text, parse_dates=["d"])


@pytest.mark.parametrize("place", range(5))
def test_the_first_text_that_is_no_number(place):
    texts = [str(i) for i in range(5)]
    texts[place:] = ["x" + text for text in texts[place:]]
    assert first_that_fails(pa.array(texts), pa.int64()) == f"x{place}"
