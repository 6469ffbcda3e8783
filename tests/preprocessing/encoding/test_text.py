"""Hashed text."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearnish.preprocessing._encoding import text as module
from sklearnish.preprocessing._encoding.text import TextColumn

TEXTS = st.lists(st.none() | st.text(max_size=30), min_size=1, max_size=20)


def encoded(values, width=8, *, gaps=True):
    column = TextColumn(width, gaps)
    out = np.full((len(column.outputs("t")), len(values)), np.nan, np.float32)
    column.encode(pa.array(values, pa.string()), out)
    return out


@given(TEXTS)
def test_a_row_is_the_same_alone_and_among_others(values):
    together = encoded(values)
    alone = np.hstack([encoded([value]) for value in values])
    np.testing.assert_array_equal(together, alone)


@given(TEXTS)
def test_pieces_change_nothing(values):
    whole, module._PIECE = encoded(values), 4
    try:
        np.testing.assert_array_equal(encoded(values), whole)
    finally:
        module._PIECE = 2**20


def test_capitals_do_not_count_and_neither_does_the_way_it_is_stored():
    out = encoded(["Red wine", "red WINE", None, "white"])
    np.testing.assert_array_equal(out[:, 0], out[:, 1])
    assert out[0].tolist() == [0, 0, 1, 0]
    assert not out[1:, 2].any()
    column = TextColumn(8, gaps=True)
    again = np.empty_like(out)
    coded = pa.array(["Red wine", "red WINE", None, "white"]).dictionary_encode()
    column.encode(coded, again)
    np.testing.assert_array_equal(again, out)


def test_similar_texts_are_near_and_all_are_as_long():
    out = encoded(["a dry red wine", "a dry white wine", "printer out of paper"], 64, gaps=False)
    one, other, far = out.T
    assert one @ other > 2 * abs(one @ far)
    np.testing.assert_allclose(np.linalg.norm(out, axis=0), 8.0, rtol=1e-5)


def test_hashes_are_those_of_today():
    """Models that were saved depend on them."""
    got = encoded(["Grüße, world 42"], gaps=False)[:, 0]
    np.testing.assert_allclose(got, EXPECTED, atol=1e-4)


EXPECTED = [-1.0, 0.0, -1.4142, 0.0, 1.0, -1.0, 0.0, -1.7321]


@pytest.mark.parametrize("width", [0, 2**40])
def test_widths_that_memory_does_not_hold_are_refused(width):
    with pytest.raises(ValueError, match=f"1 to 16,384 columns, not {width}"):
        TextColumn(width, gaps=False)
