"""Errors of optimizers and schedules say whose arguments they are."""

from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from sklearnish import TorchRegressor
from sklearnish.training._step.optimizers import make_optimizer, make_schedule
from tests.estimators.common import regression


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


def test_partial_fit_keeps_the_rate_of_a_named_schedule():
    X, y = regression()
    for name in ("cosine", "onecycle"):
        reg = TorchRegressor(lr_schedule=name, lr=0.01, max_epochs=2).fit(X, y)
        for _ in range(2):
            reg.partial_fit(X, y)
        assert [e["lr"] for e in reg.history_[2:]] == pytest.approx([0.01, 0.01])


def test_a_triangle_rises_and_falls():
    optimizer = make_optimizer(torch.optim.SGD, _groups(), {"lr": 1.0})
    schedule, rates = make_schedule("triangular", optimizer, 20), []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.2)
    assert rates.index(max(rates)) == 5
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(1 / 15)


@pytest.mark.parametrize("n_rows", [63, 64, 65, 66, 129])
def test_a_named_schedule_ends_with_the_last_batch(n_rows):
    X, y = regression()
    reg = TorchRegressor(lr_schedule="cosine", batch_size=64, max_epochs=2)
    reg.fit(X[:n_rows], y[:n_rows])
    assert reg.net_.descent_.lr == pytest.approx(0, abs=1e-9)
    assert reg.net_.descent_.schedule.left == 0
