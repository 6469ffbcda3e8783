"""What training changes in images, and what is refused as none."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sklearnish as sn
from sklearnish.estimators._fitting.images import FlipAndCrop, _reflected, kind_of_values


def images(n=6, height=7, width=9, dtype=torch.uint8):
    g = torch.Generator().manual_seed(0)
    return torch.randint(256, (n, 3, height, width), generator=g).to(dtype)


def changed(X, flip="none", crop=0, epoch=0, seed=0):
    return FlipAndCrop(flip, crop)(X, np.random.default_rng(seed), epoch)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_every_image_is_mirrored_in_every_other_epoch(dtype):
    X = images(n=50, dtype=dtype)
    first, second, third = (changed(X, "alternating", epoch=epoch) for epoch in range(3))
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(first, X, strict=True)]
    assert 10 < sum(mirrored) < 40
    assert torch.equal(second, first.flip(3))
    assert torch.equal(third, first)
    assert first.dtype == dtype


def test_order_and_mirroring_do_not_change_which_ones():
    X, order = images(n=20), torch.randperm(20)
    expected = changed(X, "alternating")
    assert torch.equal(changed(X[order], "alternating"), expected[order])
    assert torch.equal(changed(X.flip(3), "alternating"), expected.flip(3))


def test_about_half_are_mirrored_where_all_sums_are_even():
    X = images(n=200) // 16 * 16
    X[..., 0, 0] = 0
    mirrored = (changed(X, "alternating") != X).flatten(1).any(1)
    assert 70 < int(mirrored.sum()) < 130


def test_random_mirrors_about_half():
    X = images(n=200)
    same = (changed(X, "random") == X).flatten(1).all(1)
    assert 70 < int(same.sum()) < 130
    assert torch.equal(changed(X, "random"), changed(X, "random"))
    assert not torch.equal(changed(X, "random"), changed(X, "random", seed=1))


@given(crop=st.integers(0, 6), sides=st.tuples(st.integers(7, 12), st.integers(7, 12)))
@settings(max_examples=20, deadline=None)
def test_crops_are_those_of_a_reflected_rim(crop, sides):
    X = images(4, *sides)
    padded = torch.nn.functional.pad(X.float(), (crop,) * 4, mode="reflect").to(torch.uint8)
    for image, rim in zip(changed(X, crop=crop), padded, strict=True):
        places = [(down, right) for down in range(2 * crop + 1) for right in range(2 * crop + 1)]
        height, width = sides
        assert any(
            torch.equal(image, rim[:, down : down + height, right : right + width])
            for down, right in places
        )


def test_places_are_reflected():
    assert _reflected(torch.arange(-3, 7), 4).tolist() == [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("shape", "params", "message"),
    [
        ((10, 64), {}, r"rows of shape \(64,\)\. .*X\.reshape\(-1, 1, 8, 8\)"),
        ((10, 8, 8), {}, r"X\[:, None\] adds the axis"),
        ((10, 2, 3, 8, 8), {}, "TorchClassifier"),
        ((10, 8, 8, 3), {}, r"channels first.*X\.transpose\(0, 3, 1, 2\)"),
        ((10, 8, 8, 2), {}, "look like .height, width, channels"),
        ((10, 16, 16, 13), {}, "look like .height, width, channels"),
        ((10, 3, 8, 2), {}, "too small for crop=2"),
        ((10, 3, 8, 1), {"crop": 0}, "at least 2 pixels"),
    ],
)
def test_what_is_no_image_is_refused(shape, params, message):
    X, y = np.zeros(shape, np.uint8), np.arange(10) % 2
    with pytest.raises(ValueError, match=message):
        sn.ImageClassifier(**params).fit(X, y)
    with pytest.raises(ValueError, match=message):
        sn.ImageClassifier(**params).fit(sn.as_dataset(torch.from_numpy(X)), y)


@pytest.mark.parametrize(
    ("X", "kind"),
    [
        (images(), "whole"),
        (images().float(), "whole"),
        (images() / 255, "scaled"),
        (images() / 128 - 1, "scaled"),
        (images() * 0.5, ""),
        (torch.zeros(6, 1, 8, 8), ""),
    ],
)
def test_the_range_is_told_by_the_values(X, kind):
    assert kind_of_values(sn.as_dataset(X)) == kind
