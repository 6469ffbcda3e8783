from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearnish.preprocessing._streaming import by_value
from sklearnish.preprocessing._streaming.by_value import SumsByValue

TEXT = st.lists(st.sampled_from(["Bern", "Graz", "Ulm", "", None]), min_size=1)
MIXED = st.lists(st.sampled_from(["Bern", True, 7, np.nan]), min_size=1)
NUMBERS = st.lists(st.sampled_from([0.0, 1.0, 2.5, -3.0, np.nan]), min_size=1)


def counts(codes, n):
    return np.bincount(codes, minlength=n)


def summed(parts):
    sums = SumsByValue()
    for part in parts:
        sums.add(part, counts)
    return sums


@given(values=TEXT | MIXED | NUMBERS, size=st.integers(1, 5), most=st.integers(0, 4))
def test_values_are_counted_in_any_pieces(values, size, most):
    objects = any(isinstance(value, str | bool | None) for value in values)
    column = pd.Series(values, dtype=object if objects else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_value, "_MOST", most)
        sums = summed(column[start : start + size] for start in range(0, len(values), size))
    found, n = sums.merged()
    assert dict(zip(map(repr, found), n.tolist(), strict=True)) == Counter(map(repr, column))
    assert found.dtype == column.dtype
    np.testing.assert_array_equal(sums.of(found[::-1].to_numpy()), n[::-1])


def test_there_are_none_of_other_values():
    sums = SumsByValue()
    sums.add(np.array([3, 1, 3]), lambda codes, n: np.arange(2.0 * n).reshape(n, 2))
    assert sums.of(np.array([1.0, 2.0, 3.0])).tolist() == [[2, 3], [0, 0], [0, 1]]


def test_whole_numbers_may_turn_into_others_and_categories_into_text():
    found, n = summed([pd.Series([3, 1]), pd.Series([1.0, np.nan, 3.0])]).merged()
    assert (found.dtype, n.tolist()) == (np.float64, [2, 2, 1])
    kinds = [pd.CategoricalDtype(names) for names in (["c", "b", "a"], ["a", "c"])]
    found, n = summed(
        [pd.Series(["a", "b"], dtype=kinds[0]), pd.Series(["c", "a"], dtype=kinds[1])]
    ).merged()
    assert dict(zip(found, n, strict=True)) == {"a": 2, "b": 1, "c": 1}


def test_few_values_are_held():
    sums = SumsByValue()
    for start in range(50):
        sums.add(np.arange(start, start + 10_000), counts)
        assert sum(len(values) for values, _ in sums._parts) < 2**16 + 3 * 10_100
