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
