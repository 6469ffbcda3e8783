"""Sizes that follow from the quality and the number of rows."""

import pytest

import sklearnish as sn


@pytest.mark.parametrize(
    ("n_rows", "params", "sizes"),
    [
        (900, {}, (32, 50)),
        (7_000, {}, (64, 22)),
        (40_000, {}, (256, 15)),
        (10**7, {}, (256, 1)),
        (40_000, {"max_epochs": 1}, (66, 1)),
        (40_000, {"max_epochs": 10}, (256, 10)),
        (10**6, {"max_epochs": 1}, (256, 1)),
        (40_000, {"max_steps": 600, "batch_size": 128}, (128, 2)),
        (40_000, {"quality": "fast"}, (256, 5)),
        (40_000, {"accumulate_steps": 2}, (256, 31)),
    ],
)
def test_sizes(n_rows, params, sizes):
    assert sn.TabularClassifier(**params)._sizes(n_rows) == sizes


def test_what_is_given_comes_before_the_quality():
    clf = sn.TabularClassifier(quality="best", width=10)
    assert [clf._size(name) for name in ("n_members", "width", "max_steps")] == [16, 10, 6000]


def test_defaults_that_differ_are_told():
    doc = sn.TabularRegressor.__doc__
    assert 'optimizer : {"adam", "adamw", "sgd", "muon"} or optimizer class, default="muon"' in doc
    assert 'patience : int or "auto", default="auto"' in doc
    assert "on_bad_rows" not in sn.TabularRegressor().get_params()
