"""Units of targets by themselves; with a fit around them, in test_regressor.py."""

import numpy as np
import pytest
from torch import nn

from sklearnish.estimators._fitting.units import check_range, is_far, loss_units, scales


class OwnLoss(nn.MSELoss):
    """A user's own."""


@pytest.mark.parametrize(
    ("criterion", "power"),
    [(nn.MSELoss, 2), (nn.HuberLoss, 2), (nn.L1Loss, 1), (nn.SmoothL1Loss, 1)],
)
def test_losses_that_scale(criterion, power):
    assert scales(criterion)
    assert scales(criterion())
    assert loss_units(criterion(), np.array([2.0, 3.0])).tolist() == [2**power, 3**power]


@pytest.mark.parametrize("criterion", [nn.PoissonNLLLoss, OwnLoss])
def test_losses_that_may_not_scale(criterion):
    assert not scales(criterion)
    assert loss_units(criterion(), np.array(7.0)) == 1
    assert scales(None)


@pytest.mark.parametrize(
    ("mean", "scale", "far"),
    [(1.7e12, 6e4, True), (1e3, 7.0, False), (-1e9, 1.0, True), (0, 0, False)],
)
def test_targets_that_float32_would_round(mean, scale, far):
    assert is_far(np.array(mean), np.array(scale)) is far
    assert is_far(np.array([0.0, mean]), np.array([1.0, scale])) is far


def test_the_first_target_beyond_float32_is_named():
    check_range(np.array([[3e38], [-3e38]]))
    told = r"y contains -1e\+39 \(row 1\).*or, where the estimator has no such parameter, on X of"
    with pytest.raises(ValueError, match=told):
        check_range(np.array([[0.0, 1.0], [2.0, -1e39], [1e40, 0.0]]))
