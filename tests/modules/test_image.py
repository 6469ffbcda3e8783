"""The network of images: whitened patches, any size, mirror images."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sklearnish.modules import ImageCNN, ImageModule, image_statistics
from sklearnish.modules.image import _patches


def images(n=40, channels=3, height=12, width=10, seed=0):
    """Bytes whose neighbours are alike."""
    g = torch.Generator().manual_seed(seed)
    noise = torch.rand(n, channels, height + 2, width + 2, generator=g)
    return (nn.functional.avg_pool2d(noise, 3, 1) * 255).to(torch.uint8)


@given(
    channels=st.integers(1, 4),
    sides=st.tuples(st.integers(2, 40), st.integers(2, 40)),
)
@settings(max_examples=15, deadline=None)
def test_images_of_any_size_are_taken(channels, sides):
    X = torch.randint(256, (3, channels, *sides), dtype=torch.uint8)
    module = ImageModule(ImageCNN(channels, 5, width=4), channels).eval()
    module.set_image_statistics(image_statistics(X))
    outputs = module(X)
    assert outputs.shape == (3, 5)
    assert outputs.isfinite().all()


def test_statistics_scale_and_whiten():
    X = images(n=200)
    mean, scale, whitening = image_statistics(X)
    torch.testing.assert_close(mean, X.float().mean((0, 2, 3)))
    torch.testing.assert_close(scale, X.float().std((0, 2, 3), correction=0))
    scaled = (X - mean.view(3, 1, 1)) / scale.view(3, 1, 1)
    white = nn.functional.conv2d(scaled, whitening).transpose(0, 1).flatten(1)
    covariance = white @ white.T / white.shape[1]
    torch.testing.assert_close(covariance, torch.eye(12), atol=0.05, rtol=0)


@pytest.mark.parametrize("constant", [0, 255, 0.1])
def test_a_constant_channel_stays_finite(constant):
    X = images().float()
    X[:, 1] = constant
    statistics = image_statistics(X)
    assert statistics.scale[1] == 1
    assert all(value.isfinite().all() for value in statistics)


def test_patches_of_large_images_are_some_of_all():
    X = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert _patches(X).tolist() == [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]
    assert len(_patches(torch.zeros(1, 1, 640, 64))) == 64 * 63


def test_mirror_images_get_the_same_outputs_in_eval_mode():
    X = images()
    module = ImageModule(ImageCNN(3, 4, width=4), 3).eval()
    torch.testing.assert_close(module(X), module(X.flip(3)))
    module.flip_average = False
    assert not torch.allclose(module(X), module(X.flip(3)))


def test_memory_format_changes_no_output():
    X, network = images(), ImageCNN(3, 4, width=4)
    last, first = (ImageModule(network, 3, channels_last=c).eval() for c in (True, False))
    torch.testing.assert_close(last(X), first(X))


def test_the_first_filters_pass_on_what_they_get():
    groups = ImageCNN(2, 3, width=8).groups
    X = torch.rand(2, 16, 6, 6)
    torch.testing.assert_close(groups[0].conv1(X), X[:, :8])  # fewer come out
    torch.testing.assert_close(groups[1].conv1(X[:, :8])[:, :8], X[:, :8])


def test_whitening_is_kept_but_not_learned():
    module = ImageCNN(3, 4, width=4)
    assert "whitening" in module.state_dict()
    assert "whitening" not in dict(module.named_parameters())
