"""Codes of categories."""

import numpy as np
import pyarrow as pa
import pytest

from sklearnish.preprocessing._encoding.category import CategoryColumn, category_column

NAN = float("nan")


def codes(column, values):
    out = np.empty((1, len(values)), np.float32)
    column.encode(values, out)
    return out[0].tolist()


@pytest.mark.parametrize("make", [pa.array, lambda v: pa.array(v).dictionary_encode()])
def test_unknown_is_the_first_code_and_missing_the_last(make):
    column = CategoryColumn(("a", "b"), gaps=True, family="text")
    assert codes(column, make(["b", "a", "new", None])) == [2, 1, 0, 3]
    assert column.outputs("x")[0].labels == ("x:unknown", "x=a", "x=b", "x:missing")


def test_missing_is_unknown_where_fit_saw_no_gap():
    column = CategoryColumn(("a", "b"), gaps=False, family="text")
    assert codes(column, pa.array(["a", None])) == [1, 0]
    assert codes(column, pa.nulls(2, pa.string())) == [0, 0]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0, 1, 2, None]),
        pa.array([0.0, 1.0, 2.5, NAN]),
        pa.array([0, 1, 2, None], pa.uint8()),
        pa.array([0, 1, 2, None], pa.float32()),
    ],
)
@pytest.mark.parametrize("levels", [(0, 1), (0.0, 1.0), (False, True)])
def test_numbers_are_found_in_whatever_type_they_come(values, levels):
    assert codes(CategoryColumn(levels, gaps=True, family="number"), values) == [1, 2, 0, 3]


def test_bool():
    column = CategoryColumn((False, True), gaps=False, family="number")
    assert codes(column, pa.array([True, False, None])) == [2, 1, 0]
    assert column.outputs("x")[0].labels == ("x:unknown", "x=False", "x=True")


@pytest.mark.parametrize("dtype", [pa.large_string(), pa.string_view()])
def test_text_in_other_layouts(dtype):
    column = CategoryColumn(("a", "b"), gaps=False, family="text")
    assert codes(column, pa.array(["b", "a"], dtype)) == [2, 1]


def test_long_whole_numbers_are_told_apart():
    column = CategoryColumn((2**60, 2**60 + 1), gaps=False, family="number")
    assert codes(column, pa.array([2**60 + 1, 2**60, 2**60 + 2])) == [2, 1, 0]


@pytest.mark.parametrize("dtype", [pa.int64(), pa.uint64(), pa.float64()])
@pytest.mark.parametrize("levels", [(0.0, 1.0, 2.0**60), (0, 1, 2**60)])
def test_whole_numbers_that_floats_do_not_hold_are_looked_up(dtype, levels):
    column = CategoryColumn(levels, gaps=False, family="number")
    values = pa.array([1, 2**60, 2**61 + 1]).cast(dtype, safe=False)
    assert codes(column, values) == [2, 3, 0]


def test_the_most_frequent_are_levels():
    counts = pa.array(["z", "a", "b"]), np.array([5, 2, 1])
    assert category_column(counts, most=2, gaps=False, family="text").levels == ("a", "z")
