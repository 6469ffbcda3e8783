import numpy as np
import pytest
import torch

from sklearnish.data._views.rounding import (
    coarse_columns,
    merges_numbers,
    name_columns,
    warn_of_rounding,
)

COUNT = torch.arange(2000, dtype=torch.float64)


def test_columns_that_float32_rounds_by_much():
    far, near, even = 1.7e9 + COUNT % 100, COUNT, 2.0**30 + 128 * (COUNT % 7)
    lost = 1e8 + torch.rand(2000, dtype=torch.float64)  # one number in float32
    X = torch.stack([far, near, torch.full_like(COUNT, 1e9 + 0.1), COUNT % 2, lost, even], 1)
    assert coarse_columns(X) == [0, 4]
    assert coarse_columns({"a": X[:, 1:3], "b": X[:, 3:]}) == ["b"]
    assert coarse_columns(X.float()) == []  # whatever it was before
    assert coarse_columns(X.reshape(2000, 2, 3)) == []


def test_missing_values_hide_nothing():
    X = torch.stack([1.7e9 + COUNT % 100, COUNT, torch.full_like(COUNT, torch.nan)], 1)
    X[::3, :2], X[1, :2] = torch.nan, torch.inf
    assert coarse_columns(X) == [0]
    assert merges_numbers(X)
    assert not merges_numbers(X[:, 1:])


def test_whole_numbers_are_kept_apart():
    ids = 1e8 * torch.rand(2000, dtype=torch.float64)
    assert coarse_columns(ids[:, None]) == []
    assert merges_numbers(ids.round()[:, None])
    assert not merges_numbers(ids[:, None])  # digits that no float32 has
    assert not merges_numbers((ids.round() % 2**24)[:, None])
    assert not merges_numbers({})


def test_the_warning_names_columns_and_the_cure():
    assert name_columns([1, "a"], ["x", "y"], 2) == ["y", "a"]
    assert name_columns([1], ["x", "list"], 4) == [1]
    with pytest.warns(UserWarning, match=r"column 'x', 1, 2, 3, 4 and 2 more of f\..* Do this\."):
        warn_of_rounding(["x", 1, 2, 3, 4, 5, 6], "f.csv", "Do this.")
    warn_of_rounding([], "f.csv", "Do this.")
    assert np.float32(2**24 + 1) == 2**24
