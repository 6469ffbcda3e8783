from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from sklearnish.plotting import _axes


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([32, 64, 128], "log"),
        ([1e-4, 1e-3, 1e-1], "log"),
        ([64, 1024], "log"),
        ([2, 3], "linear"),
        ([1, 2, 3, 4], "linear"),
        ([-1.0, 0.0, 1.0], "linear"),
        ([5], "linear"),
        ([0, 1e-5, 1e-3], "category"),
        (["adam", "sgd"], "category"),
        ([None, 0.1], "category"),
        ([True, False], "category"),
        ([1.0, float("inf")], "category"),
    ],
)
def test_scales(values, scale):
    places, found = _axes.places(values)
    assert found == scale
    np.testing.assert_array_equal(places, range(len(values)) if scale == "category" else values)


@given(
    start=st.floats(1e-6, 1e3),
    factor=st.floats(1.5, 30),
    step=st.floats(1e-3, 1e3),
    n=st.integers(3, 12),
)
def test_values_that_grow_by_a_factor_are_on_a_logarithmic_axis(start, factor, step, n):
    assert _axes.places(list(start * factor ** np.arange(n)))[1] == "log"
    assert _axes.places(list(step * np.arange(1, n + 1)))[1] == "linear"


@pytest.mark.parametrize(("n", "ticks"), [(3, 3), (10, 10), (25, 9)])
def test_categories_have_at_most_ten_ticks(n, ticks):
    _, ax = plt.subplots()
    values = [f"v{i}" for i in range(n)]
    _axes.set_ticks(ax, "x", np.arange(n), values, "category")
    assert len(ax.get_xticks()) == ticks
    assert ax.get_xticklabels()[1].get_text() in values


@pytest.mark.parametrize("values", [["a", "b", "c"], ["a rather long name"] * 3])
def test_labels_do_not_touch_each_other(values):
    figure, ax = plt.subplots(figsize=(4, 3), layout="constrained")
    ax.set(xlim=(-0.5, 2.5), ylabel="y")
    _axes.set_ticks(ax, "x", np.arange(3), values, "category")
    figure.canvas.draw()
    labels = ax.get_xticklabels()
    assert [text.get_text() for text in labels] == values
    boxes = [text.get_window_extent() for text in labels]
    turned = labels[0].get_rotation() > 0
    assert turned == (len(values[0]) > 1)
    assert turned or not any(a.overlaps(b) for a, b in pairwise(boxes))
    assert boxes[0].x0 >= 0
    assert boxes[0].y0 >= 0


def test_ticks_of_a_logarithmic_axis_are_the_values():
    _, ax = plt.subplots()
    _axes.set_ticks(ax, "y", np.array([32.0, 64.0]), [32, 64], "log")
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_yticklabels()] == ["32", "64"]
    assert len(ax.yaxis.get_minorticklocs()) == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00012346, "0.0001235"),
        (64, "64"),
        (None, "None"),
        (np.float64(0.5), "0.5"),
        (dict, "dict"),
    ],
)
def test_values_are_told_shortly(value, text):
    assert _axes.told(value) == text


def test_what_is_long_keeps_its_ends_or_its_beginning():
    assert _axes.told({"hidden": [64] * 5}) == "{'hidden':… 64, 64]}"
    assert _axes.told({"hidden": [64, 64, 64]}) != _axes.told({"hidden": [64, 64, 8]})
    assert _axes.cut("abcdef", 4) == "abc…"
    assert _axes.cut("abcd", 4) == "abcd"


@pytest.mark.parametrize(("room", "size"), [(100.0, 9.0), (0.001, 6.0), (0.5, 7.5)])
def test_text_is_as_large_as_its_room_but_can_be_read(room, size):
    assert _axes.font_size(_axes.text_width(8, 1), room) == pytest.approx(size)
    found = _axes.font_size(_axes.text_height(2, 1), room)
    assert found == pytest.approx(np.clip(room * 72 / (2 * 1.8), 6, 9))


def test_text_is_no_wider_or_higher_than_estimated():
    figure, ax = plt.subplots()
    text = ax.text(0, 0, "permutation_importance")
    box = text.get_window_extent()
    size = text.get_fontsize()
    assert 0.8 < box.width / figure.dpi / _axes.text_width(22, size) < 1.1
    assert 0.4 < box.height / figure.dpi / _axes.text_height(1, size) < 1


@pytest.mark.parametrize("fontsize", [8, 16])
def test_sentences_are_as_wide_as_the_axes(fontsize):
    with plt.rc_context({"font.size": fontsize}):
        figure, ax = plt.subplots(figsize=(8, 6), layout="constrained")
        _axes.sentences_below(ax, "Readers wait for the disk most of the time. " * 6)
        figure.canvas.draw()
        assert 0.7 < ax.texts[0].get_window_extent().width / ax.bbox.width <= 1


def test_colours_differ():
    assert _axes.color(2, 3) == _axes.COLORS[2]
    assert len({_axes.color(i, 12) for i in range(12)}) == 12


def test_a_size_is_that_after_the_layout():
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.set_axis_off()
    width, height = _axes.size_of(ax)
    assert 5.8 < width <= 6
    assert 3.8 < height <= 4
    subfigure = figure.subfigures(1, 2)[0]
    assert _axes.size_of(subfigure.subplots())[0] < 3
