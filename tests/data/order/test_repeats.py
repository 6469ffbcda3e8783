import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sklearnish.data._order.repeats import by_class, by_weight, pieces


def counts(draws, seed=0):
    """Draw all, and check that the slices are those of the rows, in order."""
    rng = np.random.default_rng(seed)
    drawn = list(draws.counts(rng))
    assert [piece for piece, _ in drawn] == list(pieces(draws.n, draws.size))
    return np.concatenate([counts for _, counts in drawn])


sizes = st.integers(1, 60)
weights = st.lists(st.floats(0, 1e300), min_size=1, max_size=50).filter(any).map(np.array)


@given(weights, sizes, st.integers(0, 1000))
def test_counts_add_up_and_zero_weights_are_never_drawn(weights, size, seed):
    drawn = counts(by_weight(weights, size), seed)
    assert drawn.sum() == len(weights)
    assert drawn.min() >= 0
    assert not drawn[weights == 0].any()


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=50).filter(any), sizes, st.integers(0, 1000)
)
def test_a_row_is_drawn_the_floor_or_ceiling_of_its_expected_number(weights, size, seed):
    weights = np.array(weights, dtype=float)
    expected = weights * len(weights) / weights.sum()
    drawn = counts(by_weight(weights, size), seed)
    assert (drawn >= np.floor(expected - 1e-9)).all()
    assert (drawn <= np.ceil(expected + 1e-9)).all()


@given(weights, st.integers(0, 1000))
@example(np.array([5e-324]), 0)
@example(np.array([5e-324, 1e-310, 0.0, 3e-305]), 0)
def test_neither_order_of_magnitude_nor_type_matters(weights, seed):
    drawn = counts(by_weight(weights), seed)
    scale = 2.0**-40 if weights[weights > 0].min() > 1e-290 else 2.0**40
    assume(weights.max() < 1e290 or scale < 1)  # no scale keeps all digits of both ends
    np.testing.assert_array_equal(counts(by_weight(weights * scale), seed), drawn)
    whole = np.round(weights / weights.max() * 100)
    np.testing.assert_array_equal(
        counts(by_weight(whole.astype(np.uint8)), seed), counts(by_weight(whole), seed)
    )


def test_rows_are_drawn_as_often_as_their_weights_say():
    weights = np.array([0.1, 3.0, 0.0, 1.3, 0.6])
    total = sum(counts(by_weight(weights), [7, i]) for i in range(4000))
    np.testing.assert_allclose(total / 4000, weights / weights.mean() / 1.0, atol=0.03)


@given(st.integers(1, 200), sizes, st.integers(0, 1000))
def test_equal_weights_draw_every_row_once(n, size, seed):
    assert (counts(by_weight(np.full(n, 0.1), size), seed) == 1).all()


@pytest.mark.parametrize("seed", range(3))
def test_rounding_does_not_grow_with_the_number_of_rows(seed):
    weights = np.full(10**6, 0.1)
    weights[::7] = 0.3  # what a row is expected to be drawn is no whole number
    before = 10**6 * np.cumsum(weights) / weights.sum()
    upto = np.cumsum(counts(by_weight(weights, 2**12), seed))
    assert (abs(upto - before) < 1 + 1e-6).all()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, -1], "not negative; row 1 has -1"),
        ([1, 2, 3, 4, np.nan], "finite and not negative; row 4 has nan"),
        ([np.inf], "row 0 has inf"),
        ([0, 0], "All weights are zero"),
    ],
)
def test_weights_that_cannot_be_drawn_by(weights, message):
    with pytest.raises(ValueError, match=message):
        by_weight(np.array(weights), 3)


labels = st.lists(st.sampled_from("abcd"), min_size=1, max_size=60)


@given(labels, st.sampled_from([str, object]), sizes, st.integers(0, 1000))
def test_every_class_is_drawn_equally_often(labels, dtype, size, seed):
    labels = np.array(labels, dtype=dtype)
    drawn = counts(by_class(labels, size), seed)
    classes = np.unique(labels)
    per_class = np.array([drawn[labels == c].sum() for c in classes])
    assert per_class.sum() == len(labels)
    rows = np.array([(labels == c).sum() for c in classes])
    expected = len(labels) / len(classes)
    assert (drawn >= np.floor(expected / rows - 1e-9)[np.searchsorted(classes, labels)]).all()
    assert (drawn <= np.ceil(expected / rows + 1e-9)[np.searchsorted(classes, labels)]).all()
