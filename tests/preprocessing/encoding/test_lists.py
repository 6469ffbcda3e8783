"""Lists of one length."""

import numpy as np
import pyarrow as pa

from sklearnish.preprocessing._encoding.lists import items, list_column

NAN = float("nan")


def array(rows):
    return pa.array(rows, pa.list_(pa.float64(), 2))


def test_items_are_rows_of_a_matrix_wherever_the_list_is_a_slice():
    rows = [[1, 2], None, [3, None], [5, 6]]
    expected = [[1, 2], [NAN, NAN], [3, NAN], [5, 6]]
    np.testing.assert_array_equal(items(array(rows)), expected)
    np.testing.assert_array_equal(items(array(rows)[1:]), expected[1:])


def test_items_are_standardised_and_gaps_are_zero():
    sample = np.array([[1.0, 5.0], [3.0, 5.0], [NAN, 5.0]])
    column = list_column(sample, gaps=True)
    out = np.empty((3, 3), np.float32)
    column.encode(array([[1, 5], [3, 6], None]), out)
    assert out.tolist() == [[0, 0, 1], [-1, 1, 0], [0, 1, 0]]
    assert [o.name for o in column.outputs("e")] == ["e:missing", "e:0", "e:1"]


def test_infinity_and_what_float32_does_not_hold_count_as_missing():
    rows = array([[1.0, np.inf], [3.0, -1e200], [5.0, 2.0], [-np.inf, 4.0]])
    column = list_column(items(rows), gaps=True)
    out = np.empty((3, 4), np.float32)
    column.encode(rows, out)
    assert out[0].tolist() == [1, 1, 0, 1]
    assert out[2].tolist() == [0, 0, -1, 1]
    assert np.isfinite(out).all()
    far = list_column(np.array([[1.0, 1e-30], [2.0, 2e-30]]), gaps=False)
    out = np.empty((2, 1), np.float32)
    far.encode(array([[1.0, 1e30]]), out)
    assert np.isfinite(out).all()


def test_the_order_of_rows_changes_no_digit():
    sample = np.random.default_rng(0).normal(size=(1000, 3))
    one, other = list_column(sample, gaps=False), list_column(sample[::-1].copy(), gaps=False)
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.scale, other.scale)
