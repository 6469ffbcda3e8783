"""Numbers of tables: their range, quantiles, and members."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import mean_pinball_loss
from torch import nn

import sklearnish as sn
from sklearnish.modules import MLP
from tests.estimators.tables import FAST, N, X, Y


@pytest.fixture(scope="module")
def reg():
    return sn.TabularRegressor(**FAST).fit(X, Y)


def test_predictions_stay_in_the_range_of_the_targets(reg):
    far = X.assign(size=1e9, rooms=1000)
    predicted = reg.predict(far)
    assert Y.min() <= predicted.min()
    assert predicted.max() <= Y.max()
    more = sn.TabularRegressor(**FAST).fit(X, Y).partial_fit(X, Y + 100)
    assert more.target_range_.tolist() == [Y.min(), Y.max() + 100]


def test_members_say_how_little_is_known(reg):
    predicted, spread = reg.predict(X, return_std=True)
    np.testing.assert_array_equal(predicted, reg.predict(X))
    assert spread.shape == (N,)
    with torch.no_grad():
        members = reg.module_.members(torch.from_numpy(reg.encoder_.encode(X)))
    np.testing.assert_allclose(
        spread, members[..., 0].numpy().std(1) * reg.target_scale_, rtol=1e-3, atol=1e-4
    )
    plain = sn.TabularRegressor(MLP, max_epochs=1).fit(X, Y)
    with pytest.raises(ValueError, match="MLP has no method `members`"):
        plain.predict(X, return_std=True)


def test_quantiles_do_not_cross_and_hold_their_share(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.uniform(0, 1, 3000)})
    y = 1e3 * (X["x"] + (0.1 + X["x"]) * rng.normal(size=3000))
    params = {"quantiles": (0.1, 0.5, 0.9), "quality": "fast", "random_state": 0}
    reg = sn.TabularRegressor(**params).fit(X[:2000], y[:2000])
    low, middle, high = reg.predict(X[2000:]).T
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert np.mean(y[2000:] < low) == pytest.approx(0.1, abs=0.05)
    assert np.mean(y[2000:] < high) == pytest.approx(0.9, abs=0.05)
    assert 0.1 < reg.score(X[2000:], y[2000:]) < 0.5
    expected = mean_pinball_loss(y, reg.predict(X)[:, 2], alpha=0.9)
    assert reg.history_[-1]["train_loss"] == pytest.approx(expected, rel=0.6)
    reg.predict_to(tmp_path / "p.parquet", X)
    names = ["prediction_0.1", "prediction_0.5", "prediction_0.9"]
    assert list(pd.read_parquet(tmp_path / "p.parquet")) == names
    with pytest.raises(ValueError, match="quantiles are set"):
        reg.predict(X, return_std=True)
    sn.save(reg, tmp_path / "model.sn")
    np.testing.assert_array_equal(sn.load(tmp_path / "model.sn").predict(X), reg.predict(X))


@pytest.mark.parametrize(
    ("params", "y", "message"),
    [
        ({"quantiles": (0.5, 0.1)}, Y, "must be a list of numbers between 0 and 1, ascending"),
        ({"quantiles": [0, 0.5]}, Y, "must be a list of numbers between 0 and 1, ascending"),
        ({"quantiles": 0.5}, Y, "must be a list of numbers between 0 and 1, ascending"),
        ({"quantiles": []}, Y, "must be a list of numbers between 0 and 1, ascending"),
        ({"quantiles": [0.5], "criterion": nn.L1Loss}, Y, "leave criterion=None"),
        ({"quantiles": [0.5]}, np.stack([Y, Y], 1), "those of one target"),
    ],
)
def test_quantiles_that_are_none_are_refused(params, y, message):
    with pytest.raises(ValueError, match=message):
        sn.TabularRegressor(**params).fit(X, y)


def test_a_loss_of_quantiles_is_told():
    with pytest.raises(TypeError, match=r"criterion=\.\.\. instead\. For quantiles .* quantiles="):
        sn.TabularRegressor(loss="quantile")
