"""Sizes that follow from the number of images, and defaults of the optimizer."""

import pytest
import torch

import sklearnish as sn


@pytest.mark.parametrize(
    ("n_rows", "params", "sizes"),
    [
        (500, {}, (32, 80)),
        (10_000, {}, (128, 12)),
        (50_000, {}, (128, 8)),
        (10**6, {"max_epochs": 3, "batch_size": 64}, (64, 3)),
    ],
)
def test_sizes(n_rows, params, sizes):
    assert sn.ImageClassifier(**params)._sizes(n_rows) == sizes


def test_what_is_given_comes_before_the_defaults_of_sgd():
    clf = sn.ImageClassifier(optimizer_params={"momentum": 0, "weight_decay": 0.1})
    assert clf._optimizer_params() == {"momentum": 0, "nesterov": False, "weight_decay": 0.1}
    assert sn.ImageClassifier(optimizer="adam")._optimizer_params() == {}


def test_biases_learn_faster_in_the_default_network_alone():
    assert sn.ImageClassifier()._lr_factors() == {"groups.*.bias": 64.0}
    assert sn.ImageClassifier(lr_factors={"head": 2})._lr_factors() == {"head": 2}
    for params in ({"module": torch.nn.Flatten()}, {"optimizer": "adamw"}):
        assert sn.ImageClassifier(**params)._lr_factors() == {}
