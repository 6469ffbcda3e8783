"""Errors of optimizers and schedules say whose arguments they are."""

from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from sklearnish.training._optim import make_optimizer, make_schedule


def _groups():
    return [{"params": [torch.zeros(2, requires_grad=True)]}]


def test_what_an_optimizer_cannot_use_is_told():
    message = r"optimizer Adam cannot be built with lr=0\.1, betas=0\.9, .*Correct optimizer_params"
    with pytest.raises(TypeError, match=message) as caught:
        make_optimizer(torch.optim.Adam, _groups(), {"lr": 0.1, "betas": 0.9})
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("value", [None, 0.1])
def test_a_function_that_makes_no_schedule_is_refused(value):
    def schedule(epoch):
        return value

    optimizer = make_optimizer(torch.optim.SGD, _groups(), {"lr": 0.1})
    message = rf"lr_schedule=schedule was called with the optimizer and returned {value}; wanted"
    with pytest.raises(TypeError, match=message):
        make_schedule(schedule, optimizer, 1)


def test_the_way_that_is_named_for_functions_of_the_epoch_works():
    optimizer = make_optimizer(torch.optim.SGD, _groups(), {"lr": 0.1})
    schedule = make_schedule(partial(LambdaLR, lr_lambda=lambda epoch: 0.5), optimizer, 1)
    assert isinstance(schedule.scheduler, LambdaLR)
    assert optimizer.param_groups[0]["lr"] == 0.05
