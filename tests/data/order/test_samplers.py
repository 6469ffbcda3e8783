import functools
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler, WeightedRandomSampler

from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._dataset import Dataset
from sklearnish.data._order.samplers import Order, check_sampler, nearest_to_block
from sklearnish.data._source import Field, Source
from sklearnish.data._views.view import View


class Blocks(Source):
    """Rows whose value is their number, in blocks of given sizes."""

    name = "blocks"

    def __init__(self, sizes):
        self.blocks = np.cumsum([0, *sizes], dtype=np.int64)
        self.n_rows = int(self.blocks[-1])
        self.schema = {"X": Field("int64")}

    def read(self, rows, columns):
        assert (np.diff(rows) >= 0).all()
        return {"X": rows.copy()}


sizes = st.lists(st.integers(1, 9), min_size=1, max_size=12)


@st.composite
def views(draw):
    """Views of blocks: whole, sliced (also backwards), picked in order, in disorder, repeated."""
    source = Blocks(draw(sizes))
    n = source.n_rows
    numbers = st.lists(st.integers(0, n - 1), min_size=1, max_size=2 * n)
    picked = numbers.map(lambda x: np.array(x, dtype=np.int64))
    rows = draw(
        st.one_of(
            st.just(range(n)),
            st.slices(n).map(lambda s: range(n)[s]).filter(len),
            picked,
            picked.map(np.sort),
        )
    )
    return Dataset(source, rows)


def fetches(ds, sampler="shuffle", seed=0, fetch_rows=5, epoch=0):
    return list(Order(ds, sampler, seed, fetch_rows).epoch(epoch))


def positions(*args, **keywords):
    return np.concatenate([f.positions for f in fetches(*args, **keywords)])


ARRAY = as_dataset(np.arange(20.0)[:, None], y=np.arange(20) % 2)


@given(views(), st.sampled_from(["shuffle", "sequential"]), st.integers(1, 40), st.integers(0, 3))
def test_every_row_exactly_once_an_epoch(ds, sampler, fetch_rows, epoch):
    parts = fetches(ds, sampler, fetch_rows=fetch_rows, epoch=epoch)
    drawn = np.concatenate([f.positions for f in parts])
    np.testing.assert_array_equal(np.sort(drawn), np.arange(len(ds)))
    assert drawn.dtype == np.int64
    lengths = [len(f.positions) for f in parts]
    assert [f.start for f in parts] == [0, *np.cumsum(lengths)[:-1]]
    assert {(f.epoch, f.total) for f in parts} == {(epoch, len(ds))}
    if sampler == "sequential":
        np.testing.assert_array_equal(drawn, np.arange(len(ds)))


@given(views(), st.integers(1, 40))
def test_a_fetch_holds_whole_blocks_and_no_block_is_in_two(ds, fetch_rows):
    blocks = ds.source.blocks
    seen = []
    for fetch in fetches(ds, fetch_rows=fetch_rows):
        block = np.searchsorted(blocks, ds.rows[fetch.positions], side="right") - 1
        touched = np.unique(block)
        assert len(fetch.positions) <= fetch_rows
        seen.extend(touched)
    rows_of_block = np.bincount(np.searchsorted(blocks, ds.rows, side="right") - 1)
    if rows_of_block.max() <= fetch_rows:
        assert len(seen) == len(set(seen))
    assert set(seen) == set(np.flatnonzero(rows_of_block))


@given(views(), st.integers(1, 40))
def test_sequential_fetches_of_ascending_views_end_where_blocks_end(ds, fetch_rows):
    ds = Dataset(ds.source, np.sort(ds.rows))
    blocks = ds.source.blocks
    of_row = np.searchsorted(blocks, ds.rows, side="right")
    if np.bincount(of_row).max() > fetch_rows:
        return
    seen = [set(of_row[f.positions]) for f in fetches(ds, "sequential", fetch_rows=fetch_rows)]
    assert sum(map(len, seen)) == len(set().union(*seen))


@pytest.mark.parametrize(
    "ds", [ARRAY, Dataset(Blocks([3] * 7), range(21))], ids=["array", "blocks"]
)
def test_epochs_and_seeds_differ_and_repeat(ds):
    orders = [positions(ds, seed=s, epoch=e).tolist() for s in (0, 1) for e in (0, 1)]
    assert len(set(map(tuple, orders))) == 4
    assert positions(ds, seed=1, epoch=1).tolist() == orders[3]


def test_an_exact_shuffle_does_not_depend_on_the_size_of_fetches():
    orders = {tuple(positions(ARRAY, fetch_rows=k)) for k in (1, 3, 20, 100)}
    assert len(orders) == 1


def test_a_window_mixes_its_blocks():
    ds = Dataset(Blocks([10] * 20), range(200))
    first = fetches(ds, fetch_rows=100)[0].positions
    blocks = first // 10
    assert len(set(blocks[:20])) > 5
    assert len(set(blocks)) == 10
    assert len(set(np.diff(np.unique(blocks)))) > 1, "the blocks of a window are drawn at random"


@given(views(), st.integers(0, 5), st.integers(1, 40))
def test_weighted_draws_over_blocks_read_each_block_once(ds, seed, fetch_rows):
    weights = np.random.default_rng(seed).integers(0, 4, len(ds)).astype(float)
    weights[0] += 1
    ds = ds.with_weight(weights)
    parts = fetches(ds, "weighted", seed=seed, fetch_rows=10**6)
    drawn = np.concatenate([f.positions for f in parts])
    counts = np.bincount(drawn, minlength=len(ds))
    assert len(drawn) == len(ds)
    assert not counts[weights == 0].any()
    assert len(parts) == 1
    expected = weights / weights.mean()
    assert (abs(counts - expected) < 1 + 1e-9).all()
    small = positions(ds, "weighted", seed=seed, fetch_rows=fetch_rows)
    np.testing.assert_array_equal(np.sort(small), np.sort(drawn))


@given(views(), st.integers(0, 5), st.integers(1, 40))
def test_balanced_draws_over_blocks(ds, seed, fetch_rows):
    labels = np.random.default_rng(seed).integers(0, 3, len(ds))
    drawn = positions(ds.with_target(labels), "balanced", seed=seed, fetch_rows=fetch_rows)
    expected = len(ds) / len(np.unique(labels)) / np.bincount(labels)[labels]
    assert len(drawn) == len(ds)
    assert (abs(np.bincount(drawn, minlength=len(ds)) - expected) < 1 + 1e-9).all()


@given(views(), st.integers(0, 3), st.integers(1, 40))
def test_drawing_by_equal_weights_is_a_shuffle(ds, seed, fetch_rows):
    drawn = positions(ds.with_weight(np.full(len(ds), 0.3)), "weighted", 0, fetch_rows, seed)
    np.testing.assert_array_equal(np.sort(drawn), np.arange(len(ds)))


def test_weights_of_a_file_are_drawn_in_random_order():
    ds = ARRAY.with_weight(np.arange(20))
    drawn = positions(ds, "weighted")
    assert drawn.tolist() != sorted(drawn.tolist())
    assert positions(ds, "weighted", epoch=1).tolist() != drawn.tolist()


def test_balanced_draws_every_class_equally_often():
    labels = np.array(["rare"] * 3 + ["common"] * 90 + ["some"] * 27)
    drawn = positions(as_dataset(np.zeros((120, 1)), y=labels), "balanced")
    assert np.unique(labels[drawn], return_counts=True)[1].tolist() == [40, 40, 40]
    assert len(set(drawn[labels[drawn] == "common"])) == 40, "without repeats where there is choice"


@pytest.mark.parametrize(
    ("sampler", "ds", "message"),
    [
        ("balanced", ARRAY.with_target(None), "needs one class label per row"),
        ("balanced", ARRAY.with_target(np.zeros((20, 2))), "needs one class label per row"),
        ("weighted", ARRAY, "needs weights: pass sample_weight"),
        ("weighted", ARRAY.with_weight(-np.ones(20)), "not negative"),
        (lambda ds: [], ARRAY, "returned no rows"),
        (lambda ds: np.zeros(20, bool), ARRAY, "returned no rows"),
    ],
)
def test_what_cannot_be_drawn(sampler, ds, message):
    with pytest.raises(ValueError, match=message):
        fetches(ds, sampler)


@pytest.mark.parametrize("sampler", [SequentialSampler(range(3)), np.arange(3), 5, None])
def test_an_instance_is_refused_with_the_way_out(sampler):
    with pytest.raises(
        TypeError, match=r"a name or a callable, not .*lambda ds: RandomSampler\(ds\)"
    ):
        check_sampler(sampler)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"one of .*'shuffle'.*not 'random'"):
        check_sampler("random")


def odd(ds):
    return ds.target == 1


def half(ds, rng):
    return rng.choice(len(ds), 10)


@pytest.mark.parametrize(
    ("sampler", "drawn"),
    [
        (lambda ds: [3, -1, 3], [3, 19, 3]),
        (odd, list(range(1, 20, 2))),
        (lambda ds: range(5, 0, -1), [5, 4, 3, 2, 1]),
        (lambda ds: torch.tensor([2, 1]), [2, 1]),
        (lambda ds: iter([4, 0]), [4, 0]),
        (lambda ds: iter(torch.tensor([[4], [0]])), [4, 0]),
        (lambda ds: [ds.target[3] == 1] * 20, list(range(20))),
        (SequentialSampler, list(range(20))),
        (lambda ds: SequentialSampler(ds[:3]), [0, 1, 2]),
    ],
)
def test_a_callable_draws_in_its_own_order(sampler, drawn):
    parts = fetches(ARRAY, sampler)
    assert np.concatenate([f.positions for f in parts]).tolist() == drawn
    assert {f.total for f in parts} == {len(drawn)}


@pytest.mark.parametrize(
    "sampler",
    [
        half,
        functools.partial(half),
        RandomSampler,
        lambda ds: WeightedRandomSampler(np.arange(len(ds)), 10),
        lambda ds: np.random.permutation(len(ds)),  # noqa: NPY002
    ],
)
def test_a_random_callable_follows_seed_and_epoch(sampler):
    state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (positions(ARRAY, sampler, seed=3, epoch=2).tolist() for _ in range(2))
    assert first == again
    assert positions(ARRAY, sampler, seed=3, epoch=1).tolist() != first
    assert positions(ARRAY, sampler, seed=4, epoch=2).tolist() != first
    assert torch.equal(torch.get_rng_state(), state[0])
    np.testing.assert_array_equal(np.random.get_state()[1], state[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([20], "Row 20 is out of range"),
        ([0.5], "integers"),
        (np.array([[0, 1]]), "Rows are picked by"),
        (
            BatchSampler(range(5), 2, drop_last=False),
            r"at a time, but this one gave \[0, 1\]. Return",
        ),
        (iter([torch.tensor([0, 1])]), r"gave tensor\(\[0, 1\]\)"),
        ([[0, 1], [2]], r"gave \[0, 1\]"),
        (["a"], "gave 'a'"),
        ([None], "gave None"),
    ],
)
def test_wrong_numbers_of_a_callable_are_refused(returned, message):
    with pytest.raises(IndexError, match=message):
        fetches(ARRAY, lambda ds: returned)


@settings(max_examples=20)
@given(st.integers(1, 30))
def test_a_fetch_of_equally_cheap_rows_has_the_size_asked_for(fetch_rows):
    lengths = [len(f.positions) for f in fetches(ARRAY, fetch_rows=fetch_rows)]
    assert max(lengths[:-1], default=0) in (0, fetch_rows)
    assert sum(lengths) == 20
    assert lengths[-1] <= fetch_rows


MANY = 1_200_000
"""Rows of more than one piece, and for which the narrow type is used."""


def disorder(n_rows, block=4096):
    source = Blocks([block] * (n_rows // block))
    rows = np.random.default_rng(0).permutation(source.n_rows).astype(np.int32)
    return Dataset(source, rows)


def test_many_rows_in_disorder_are_grouped_by_block():
    ds = disorder(MANY)
    drawn = np.zeros(len(ds), np.int8)
    seen = np.zeros(ds.source.n_rows // 4096, np.int8)
    for fetch in fetches(ds, fetch_rows=50_000):
        drawn[fetch.positions] += 1
        seen[np.unique(ds.rows[fetch.positions] // 4096)] += 1
        assert fetch.positions.dtype == np.int64
    assert (drawn == 1).all()
    assert (seen == 1).all()


def test_many_rows_are_drawn_by_their_weights():
    weights = np.random.default_rng(0).integers(0, 4, MANY)
    for ds in (as_dataset(np.zeros((MANY, 1), np.float32)), disorder(MANY)):
        n = len(ds)
        expected = weights[:n] / weights[:n].mean()
        drawn = positions(ds.with_weight(weights[:n]), "weighted", fetch_rows=50_000)
        assert (abs(np.bincount(drawn, minlength=n) - expected) < 1 + 1e-6).all()


def peak_bytes(ds, sampler):
    """Most bytes in use while an epoch's fetches are taken and let go."""
    tracemalloc.start()
    try:
        for _ in Order(ds, sampler, 0, 16_384).epoch(0):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def labelled(ds):
    rng = np.random.default_rng(0)
    return ds.with_target(rng.integers(0, 5, len(ds))).with_weight(rng.random(len(ds)))


VIEWS = {
    "arrays": lambda n: as_dataset(np.zeros((n, 1), np.float32)),
    "blocks": lambda n: Dataset(Blocks([4096] * (n // 4096)), range(n // 4096 * 4096)),
    "backwards": lambda n: VIEWS["blocks"](n)[::-1],
    "every second": lambda n: VIEWS["blocks"](2 * n)[::2],
    "disorder": disorder,
}


@pytest.mark.parametrize(
    ("view", "sampler", "most"),
    [
        ("arrays", "sequential", 0),
        ("arrays", "shuffle", 4),
        ("arrays", "balanced", 4),
        ("arrays", "weighted", 4),
        ("blocks", "sequential", 0),
        ("blocks", "shuffle", 0),
        ("blocks", "balanced", 4),
        ("blocks", "weighted", 4),
        ("backwards", "sequential", 0),
        ("backwards", "shuffle", 4),
        ("every second", "sequential", 0),
        ("every second", "shuffle", 0),
        ("disorder", "sequential", 0),
        ("disorder", "shuffle", 4),
        ("disorder", "balanced", 8),
        ("disorder", "weighted", 8),
    ],
)
def test_bytes_per_row(view, sampler, most):
    small, large = (labelled(VIEWS[view](n)) for n in (MANY, 2 * MANY))
    more = peak_bytes(large, sampler) - peak_bytes(small, sampler)
    assert more / (len(large) - len(small)) <= most + 0.1


@given(st.data())
def test_the_nearest_row_to_the_beginning_of_its_block(data):
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    blocks, n = np.cumsum([0, *sizes]), sum(sizes)
    start, step = data.draw(st.integers(0, n - 1)), data.draw(st.integers(1, 4))
    regular = range(start, n, step)
    picked = data.draw(st.lists(st.integers(0, n - 1), min_size=1, unique=True))
    for rows in (regular, np.array(sorted(picked), np.int32)):
        view = View(Blocks(sizes), rows)
        distances = [row - max(b for b in blocks if b <= row) for row in rows]
        assert distances[nearest_to_block(view)] == min(distances)


def test_in_disorder_the_first_row_is_as_good_as_any():
    source = Blocks([4, 4])
    for rows in (range(7, -1, -1), np.array([3, 4, 1])):
        assert nearest_to_block(View(source, rows)) == 0
    assert nearest_to_block(as_dataset(np.zeros((8, 1)))) == 0
