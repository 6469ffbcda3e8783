"""Normal scores."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, rankdata

from sklearnish.preprocessing._encoding.number import number_column

FINITE = st.floats(allow_nan=False, allow_infinity=True, width=32)
VALUES = arrays(np.float64, st.integers(1, 400), elements=FINITE)


def scores(column, values):
    out = np.empty((len(column.outputs("x")), len(values)), np.float32)
    column.encode(pa.array(values), out)
    return out


@given(VALUES)
def test_a_few_values_get_the_normal_quantile_of_their_middle_rank(values):
    got = scores(number_column(values, gaps=False), values)[0]
    expected = norm.ppf(((rankdata(values) - 0.5) / len(values)).clip(1e-5, 1 - 1e-5))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_the_scores_of_many_values_differ_by_little_from_those_of_all():
    values = np.random.default_rng(0).lognormal(size=100_000)
    column = number_column(values, gaps=False)
    assert len(column.knots) <= 1000
    ranks = (rankdata(values) - 0.5) / len(values)
    np.testing.assert_allclose(norm.cdf(scores(column, values)[0]), ranks, atol=1e-3)


def test_a_tie_takes_the_middle_of_its_ranks_and_its_neighbours_keep_theirs():
    rng = np.random.default_rng(0)
    values = np.r_[np.zeros(90_000), rng.uniform(1e-3, 1, 5_000), rng.uniform(-1, -1e-3, 5_000)]
    column = number_column(values, gaps=False)
    got = scores(column, np.array([0.0, values[values > 0].min(), values[values < 0].max()]))[0]
    np.testing.assert_allclose(got, norm.ppf([0.5, 0.95, 0.05]), atol=1e-2)


def test_values_beyond_those_of_fit_are_clamped_and_gaps_are_zero():
    column = number_column(np.arange(10.0), gaps=True)
    got = scores(column, np.array([-np.inf, -1e300, 0, 9, 1e300, np.inf, np.nan]))
    assert got[0, 0] == got[0, 1] == got[0, 2]
    assert got[0, 3] == got[0, 4] == got[0, 5]
    assert got[:, 6].tolist() == [0.0, 1.0]
    assert [o.name for o in column.outputs("x")] == ["x", "x:missing"]


def test_whole_numbers_have_codes_beside():
    column = number_column(np.array([3.0, 5.0, 5.0]), gaps=False, levels=(3, 5))
    got = scores(column, np.array([5.0, 3.0, 4.0]))
    assert got[1].tolist() == [2, 1, 0]
    assert column.outputs("x")[1].labels == ("x:unknown", "x=3", "x=5")


@given(st.lists(st.integers(-50, 5000), min_size=1, max_size=50), st.integers(-100, 6000))
def test_whole_numbers_get_the_scores_that_they_have_among_others(known, value):
    column = number_column(np.array(known, float), gaps=False)
    alone = scores(column, np.array([value]))[0, 0]
    assert alone == scores(column, np.array([value, 0.5]))[0, 0]
