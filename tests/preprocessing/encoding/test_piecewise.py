"""Piecewise linear functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sklearnish.preprocessing._encoding.piecewise import PiecewiseLinear

NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
KNOTS = arrays(np.float64, st.integers(1, 40), elements=NUMBERS, unique=True).map(np.sort)


def heights(knots):
    return np.linspace(-4, 4, len(knots))


@given(KNOTS, st.lists(st.floats(), max_size=40))
def test_it_is_what_numpy_computes(knots, values):
    values = np.array([*values, *knots, *((knots[1:] + knots[:-1]) / 2)])
    with np.errstate(all="ignore"):
        expected = np.interp(values, knots, heights(knots))
    expected[np.isnan(values)] = np.nan  # of one knot, NumPy says its height
    got = PiecewiseLinear(knots, heights(knots))(values)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@given(KNOTS, st.floats())
def test_a_value_is_the_same_alone_and_among_others(knots, value):
    line = PiecewiseLinear(knots, heights(knots))
    among = line(np.r_[knots, np.full(2**14, value), knots])[len(knots)]
    np.testing.assert_array_equal(line(np.array([value]))[0], among)


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e9])
@pytest.mark.parametrize("name", ["normal", "lognormal", "uniform", "pareto"])
def test_many_knots(name, scale):
    draw = getattr(np.random.default_rng(0), name)
    values = scale * (draw(3, size=20_000) if name == "pareto" else draw(size=20_000))
    knots = np.unique(values)[::20]
    got = PiecewiseLinear(knots, heights(knots))(values)
    np.testing.assert_allclose(got, np.interp(values, knots, heights(knots)), atol=1e-6)


def test_knots_in_two_heaps_far_apart():
    values = np.random.default_rng(0).normal(size=2000) + np.repeat([0.0, 1e12], 1000)
    knots = np.unique(values)
    got = PiecewiseLinear(knots, heights(knots))(values)
    np.testing.assert_allclose(got, np.interp(values, knots, heights(knots)), atol=1e-6)
