import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearnish import as_dataset
from sklearnish.data._sources.arrays import ArraySource
from sklearnish.data._sources.npy.source import NpySource
from sklearnish.data._views import sample
from sklearnish.data._views.sample import (
    at_random,
    few,
    hashed_sample,
    row_hashes,
    spread,
    stretches,
)

BLOCKS = np.arange(0, 101, 10)


def test_positions_at_random_are_ascending_and_repeat():
    assert at_random(3, 5, seed=0).tolist() == [0, 1, 2]
    some = at_random(10_000, 50, seed=0)
    assert len(some) == 50
    assert (np.diff(some) > 0).all()
    np.testing.assert_array_equal(some, at_random(10_000, 50, seed=0))
    assert not np.array_equal(some, at_random(10_000, 50, seed=1))


def test_stretches_begin_blocks_that_are_far_apart():
    found = stretches(range(100), BLOCKS, wanted=6, most=3)
    assert [part.tolist() for part in found] == [[0, 1], [40, 41], [90, 91]]


def test_of_a_view_its_own_rows_are_picked():
    rows = np.array([95, 33, 31, 97, 34])
    assert [part.tolist() for part in stretches(rows, BLOCKS, 4, most=2)] == [[1, 2], [0, 3]]
    assert [part.tolist() for part in stretches(range(90, 10, -20), BLOCKS, 1, 2)] == [[3], [0]]


def test_of_equal_parts_one_block_each_is_drawn():
    rows, blocks = range(30_000), np.arange(0, 30_001, 15)
    found = spread(rows, blocks, 640, seed=0)
    assert [len(part) for part in found] == [10] * 64
    firsts = np.array([part[0] for part in found])
    assert (firsts % 15 == 0).all()
    assert (firsts * 64 // 30_000 == np.arange(64)).mean() > 0.9  # parts end at blocks
    assert np.unique(np.diff(firsts)).size > 30
    again = spread(rows, blocks, 640, seed=1)
    assert not np.array_equal(firsts, [part[0] for part in again])
    assert [part.tolist() for part in spread(range(20), BLOCKS, 4, 0)] == [[0, 1], [10, 11]]
    assert len(spread(range(100), BLOCKS, 100, 0)) == 8


def test_few_rows_lie_in_the_first_and_last_block(tmp_path):
    np.save(tmp_path / "X.npy", np.zeros((50_000, 400), np.float32))
    source = NpySource(tmp_path / "X.npy").finer(5000)
    positions = few(range(50_000), source, seed=0)
    assert len(positions) == 1024
    assert set(positions // 5000) == {0, 9}
    assert few(range(0), source, seed=0).tolist() == []
    assert len(few(range(50_000), ArraySource(np.zeros((50_000, 1))), seed=0)) == 1024


def hashed(rows, n, seed=0):
    """Sample a view of these rows; return their numbers."""
    view = as_dataset(np.zeros((max(rows, default=0) + 1, 1)))[np.asarray(rows, int)]
    return view.rows[hashed_sample(view, n, seed)]


def test_hashes_are_the_outputs_of_splitmix64():
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert row_hashes(np.arange(3), 1234567).tolist() == published


@given(
    rows=st.lists(st.integers(0, 300), unique=True),
    n=st.integers(1, 40),
    piece=st.integers(1, 50),
    seed=st.integers(-3, 3),
    shuffled=st.randoms(use_true_random=False),
)
def test_a_hashed_sample_is_the_smallest_hashes_in_any_order_and_in_any_pieces(
    rows, n, piece, seed, shuffled
):
    smallest = sorted(rows, key=lambda row: row_hashes(np.array([row]), seed)[0])[:n]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "_PIECE", piece)
        assert hashed(rows, n, seed).tolist() == sorted(smallest)
        shuffled.shuffle(rows)
        assert hashed(rows, n, seed).tolist() == sorted(smallest)


def test_hashed_samples_merge():
    parts = [hashed(range(start, start + 1000), 50) for start in (0, 1000)]
    np.testing.assert_array_equal(hashed(range(2000), 50), hashed(np.concatenate(parts), 50))


def test_of_no_more_rows_all_are_picked():
    view = as_dataset(np.zeros((10, 1)))[[7, 3, 3, 5]]
    assert hashed_sample(view, 4).tolist() == [1, 2, 3, 0]
    assert hashed_sample(view[:0], 4).tolist() == []


def test_of_a_row_that_repeats_its_first_positions_are_picked():
    view = as_dataset(np.zeros((3, 1)))[[1] * 30]
    assert hashed_sample(view, 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_hashed_sample_is_uniform(seed):
    n_rows = 10**6
    view = as_dataset(np.broadcast_to(np.float32(0), (n_rows, 1)))
    rows = view.rows[hashed_sample(view, seed=seed)]
    assert len(rows) == 262_144
    error = np.abs(rows / n_rows - np.arange(len(rows)) / len(rows)).max()
    assert error < 0.0025
    counts = np.bincount(rows % 64, minlength=64)
    assert np.abs(counts - counts.mean()).max() < 5 * np.sqrt(counts.mean())
