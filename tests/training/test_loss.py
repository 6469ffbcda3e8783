from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sklearnish.data import Batch
from sklearnish.training import make_criterion
from sklearnish.training._loss import BatchLoss


@pytest.mark.parametrize(
    ("function", "module"),
    [
        (F.mse_loss, nn.MSELoss()),
        (partial(F.huber_loss, delta=0.3), nn.HuberLoss(delta=0.3)),
        (partial(F.mse_loss, reduction="sum"), nn.MSELoss(reduction="sum")),
    ],
)
@pytest.mark.parametrize("weight", [None, torch.arange(8.0)])
def test_a_function_is_a_loss_with_weights_too(function, module, weight):
    y_pred, y = torch.randn(2, 8)
    batch = Batch(y_pred, y, weight)
    found = BatchLoss(make_criterion(function, {}))(y_pred, batch)[0]
    torch.testing.assert_close(found, BatchLoss(module)(y_pred, batch)[0])


def test_a_function_without_reduction_is_a_loss_without_weights():
    criterion = make_criterion(lambda y_pred, y: (y_pred - y).abs().mean(), {})
    assert criterion(torch.zeros(2), torch.ones(2)) == 1
    with pytest.raises(ValueError, match="no `reduction`"):
        BatchLoss(criterion)(torch.zeros(2), Batch(torch.zeros(2), torch.ones(2), torch.ones(2)))


def test_parameters_for_a_function_say_what_to_do():
    with pytest.raises(ValueError, match=r"functools\.partial of a function"):
        make_criterion(F.huber_loss, {"delta": 2})


@pytest.mark.parametrize("value", [None, 1.0])
def test_what_is_no_loss_is_refused(value):
    def own(y_pred, y, reduction="mean"):
        return value

    loss = BatchLoss(make_criterion(own, {}))
    for weight in (None, torch.ones(2)):
        with pytest.raises(TypeError, match=rf"criterion own returned {value}; wanted a tensor"):
            loss(torch.zeros(2), Batch(torch.zeros(2), torch.ones(2), weight))


def test_a_batch_without_targets_is_explained():
    with pytest.raises(ValueError, match=r"returned \(X, None\)\. Let it return \(X, y\)"):
        BatchLoss(nn.MSELoss())(torch.zeros(2), Batch(torch.zeros(2)))
