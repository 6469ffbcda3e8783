import numpy as np
import pandas as pd
import pytest
import torch

import sklearnish as sn
from sklearnish.data import as_dataset
from sklearnish.preprocessing import input_moments, moments


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
    mean, scale, _ = input_moments(as_dataset(X), seed=0, weighted=False)
    assert abs(mean.item() - 3) < 0.05
    assert abs(scale.item() - 2) < 0.05


def test_columns_that_float32_rounds_away_are_listed():
    i = np.arange(2000)
    frame = pd.DataFrame({"far": 1_700_000_000 + i % 100, "near": i, "constant": 1e9, "one": i % 2})
    frame["lost"] = 1e8 + np.random.default_rng(0).random(2000)  # one number in float32
    for rows in (frame, frame.to_numpy()):
        moments = input_moments(as_dataset(rows), seed=0, weighted=False)
        assert moments.coarse == [0, 4]
        torch.testing.assert_close(moments.mean[4].item(), frame["lost"].mean(), rtol=1e-15, atol=0)


def test_columns_that_float32_holds_are_not():
    i = np.arange(2000)
    frame = pd.DataFrame({"year": 2000 + i % 3, "time": 1_700_000_000 + 1000 * i, "even": 2.0**30})
    frame["even"] += 128 * (i % 7)  # far, but whole in float32
    assert input_moments(as_dataset(frame), seed=0, weighted=False).coarse == []


def test_columns_of_zeros_and_ones_are_left_as_they_are():
    X = np.zeros((1000, 2), dtype=np.float32)
    X[:3, 0], X[:, 1] = 1, np.arange(1000)
    mean, scale, _ = input_moments(as_dataset(X), seed=0, weighted=False)
    assert mean.tolist() == [0, 499.5]
    assert scale[0] == 1
    assert scale[1] == pytest.approx(X[:, 1].std())


@pytest.mark.parametrize("group_rows", [500, 5_000])
def test_a_sorted_file_is_sampled_over_its_length(tmp_path, group_rows):
    path = tmp_path / "sorted.parquet"
    pd.DataFrame({"x": np.linspace(0, 1, 200_000)}).to_parquet(path, row_group_size=group_rows)
    for seed in range(3):
        mean, scale, _ = input_moments(sn.scan_parquet(path), seed=seed, weighted=False)
        assert abs(mean.item() - 0.5) < 0.03
        assert scale.item() == pytest.approx(12**-0.5, rel=0.06)
