import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearnish.data._order.windows import deal


def dealt(sizes, most, seed=0):
    return list(deal(np.array(sizes, dtype=np.int64), most, np.random.default_rng(seed)))


@given(st.lists(st.integers(1, 9), max_size=60), st.integers(1, 40), st.integers(0, 3))
def test_every_block_is_in_one_window_of_bounded_size(sizes, most, seed):
    windows = dealt(sizes, most, seed)
    assert sorted(block for window in windows for block in window) == list(range(len(sizes)))
    for window in windows:
        assert len(window) == 1 or sum(sizes[block] for block in window) <= most
        assert len(window)


@pytest.mark.parametrize("seed", range(5))
def test_a_window_has_one_block_of_every_part_of_the_file(seed):
    windows = dealt([10] * 64, 80, seed)
    assert len(windows) == 8
    for window in windows:
        np.testing.assert_array_equal(np.sort(window) // 8, np.arange(8))


def test_windows_are_of_one_size_where_the_last_would_be_small():
    windows = dealt([10] * 65, 640)
    assert sorted(map(len, windows)) == [32, 33]


def test_any_block_may_come_first_and_meet_any_of_another_part():
    firsts = [tuple(np.sort(dealt([1] * 6, 2, seed)[0])) for seed in range(200)]
    assert set(firsts) == {(a, b) for a in range(3) for b in range(3, 6)}


def test_a_large_block_is_alone_and_the_small_ones_still_meet():
    windows = dealt([1] * 50 + [1000] + [1] * 50, 50)
    assert sorted(map(len, windows)) == [1, 50, 50]


def test_uneven_blocks_fill_their_windows():
    sizes = np.random.default_rng(0).integers(1, 100, 1000)
    windows = dealt(sizes, 2000)
    fewest = sizes.sum() / 2000
    assert len(windows) <= 1.3 * fewest
