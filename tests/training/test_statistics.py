import numpy as np
import pandas as pd
import pytest
import torch

from sklearnish.data import as_dataset
from sklearnish.training import input_moments, moments


def test_weights_are_repetition_and_constants_have_scale_one():
    X = torch.randn(20, 3, dtype=torch.float64)
    X[:, 2] = 0.1
    weight = torch.randint(1, 4, (20,))
    mean, scale = moments(X, weight)
    repeated = X.repeat_interleave(weight, dim=0)
    torch.testing.assert_close(mean, repeated.mean(0))
    torch.testing.assert_close(scale[:2], repeated.std(0, correction=0)[:2])
    assert scale[2] == 1


def test_a_sample_stands_for_many_rows():
    X = np.random.default_rng(0).normal(3.0, 2.0, (70_000, 1))
    mean, scale = input_moments(as_dataset(X), seed=0, weighted=False)
    assert abs(mean.item() - 3) < 0.05
    assert abs(scale.item() - 2) < 0.05


def test_columns_that_float32_rounds_away_are_named():
    i = np.arange(2000)
    frame = pd.DataFrame({"far": 1_700_000_000 + i % 100, "near": i, "constant": 1e9, "one": i % 2})
    with pytest.warns(
        UserWarning, match=r"loses much of column 'far' of .*precision='float64'"
    ) as caught:
        input_moments(as_dataset(frame), seed=0, weighted=False)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=r"loses much of column 0 of "):
        input_moments(as_dataset(frame.to_numpy()), seed=0, weighted=False)


def test_columns_that_float32_holds_are_not():
    i = np.arange(2000)
    far = 1_700_000_000 + i % 100
    years = pd.DataFrame({"year": 2000 + i % 3, "time": 1_700_000_000 + 1000 * i})
    input_moments(as_dataset(years), seed=0, weighted=False)
    double = as_dataset(pd.DataFrame({"far": far})).with_dtype(torch.float64)
    input_moments(double, seed=0, weighted=False)


def test_columns_of_zeros_and_ones_are_left_as_they_are():
    X = np.zeros((1000, 2), dtype=np.float32)
    X[:3, 0], X[:, 1] = 1, np.arange(1000)
    mean, scale = input_moments(as_dataset(X), seed=0, weighted=False)
    assert mean.tolist() == [0, 499.5]
    assert scale[0] == 1
    assert scale[1] == pytest.approx(X[:, 1].std())
