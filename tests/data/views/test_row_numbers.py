import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearnish.data._views.row_numbers import as_array, is_ascending, positions_of, select, take


def as_mask(values):
    return np.array(values, dtype=bool)


steps = st.integers(-3, 3).filter(bool)
ranges = st.builds(range, st.integers(0, 20), st.integers(0, 20), steps)
arrays = st.lists(st.integers(0, 50), max_size=20).map(lambda x: np.array(x, dtype=np.int64))


@st.composite
def keys(draw, n):
    ends = st.none() | st.integers(-n - 2, n + 2)
    options = [st.builds(slice, ends, ends, st.none() | steps)]
    options.append(st.lists(st.booleans(), min_size=n, max_size=n).map(as_mask))
    if n:
        options.append(st.lists(st.integers(-n, n - 1), max_size=2 * n))
    return draw(st.one_of(options))


@given(st.data(), ranges | arrays)
def test_select_indexes_as_numpy_does_and_again(data, rows):
    expected = np.asarray(rows, dtype=np.int64)
    for _ in range(3):
        key = data.draw(keys(len(rows)))
        expected = expected[np.array(key, dtype=int) if isinstance(key, list) else key]
        rows = select(rows, key)
        np.testing.assert_array_equal(as_array(rows), expected)
        assert as_array(rows).dtype in (np.int32, np.int64)


@given(st.data(), ranges | arrays)
def test_take_looks_up(data, rows):
    places = st.lists(st.integers(0, max(0, len(rows) - 1)), max_size=9 if len(rows) else 0)
    positions = np.array(data.draw(places), dtype=np.int64)
    np.testing.assert_array_equal(take(rows, positions), [rows[p] for p in positions])


def test_a_slice_of_an_array_does_not_share_its_memory():
    rows = np.arange(5)
    assert not np.shares_memory(select(rows, slice(1, 3)), rows)
    assert isinstance(select(range(5), slice(None, None, -2)), range)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ([0, 7], "Row 7 is out of range for 5 rows"),
        ([0, -6], "Row -6 is out of range for 5 rows"),
        ([True, False], "The mask has 2 values for 5 rows"),
        ([0.5], "must be integers, got float64"),
        ([[1, 2]], "Rows are picked by a slice, a mask or a list of numbers"),
        (None, "Rows are picked by"),
    ],
)
def test_a_wrong_key_is_refused(key, message):
    with pytest.raises(IndexError, match=message):
        positions_of(5, key)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64"])
def test_numbers_of_any_integer_type(dtype):
    picked = positions_of(300, np.array([3, 200 if dtype != "int16" else -100], dtype=dtype))
    np.testing.assert_array_equal(picked, [3, 200])


@given(arrays)
def test_is_ascending(rows):
    assert is_ascending(rows) == (rows.tolist() == sorted(rows.tolist()))


@pytest.mark.parametrize("key", ["a", ["a", "b"], np.array(["a"]), np.array(["a"], object)])
def test_names_of_columns_are_no_rows(key):
    with pytest.raises(IndexError, match=r"'a' names a column.*ds.select\(\['a'.*ds\[:, 'a'\]"):
        positions_of(5, key)
