"""Settings of nets, and states of optimizers and schedules, as a stranger may have changed them."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as schedules

import sklearnish as sn
from sklearnish.persistence._descent import _check_schedule, bound, load_descent, longest
from sklearnish.persistence._trust import Trust
from sklearnish.training import Net
from tests.estimators.common import classification
from tests.persistence.common import FAST

SCHEDULES = {
    "cosine": "cosine",
    "onecycle": "onecycle",
    "constant": schedules.ConstantLR,
    "annealing": partial(schedules.CosineAnnealingLR, T_max=5),
    "restarts": partial(schedules.CosineAnnealingWarmRestarts, T_0=2),
    "cyclic": partial(schedules.CyclicLR, base_lr=1e-4, max_lr=1e-2, cycle_momentum=False),
    "exponential": partial(schedules.ExponentialLR, gamma=0.9),
    "linear": schedules.LinearLR,
    "steps": partial(schedules.MultiStepLR, milestones=[1, 3], gamma=1),
    "polynomial": schedules.PolynomialLR,
    "plateau": partial(schedules.ReduceLROnPlateau, patience=0),
    "step": partial(schedules.StepLR, step_size=1),
}


def _net(schedule):
    with torch.random.fork_rng():
        module = nn.Linear(3, 1)
        options = {"optimizer": torch.optim.Adam, "lr": 1e-3}
        return Net(module, nn.MSELoss(), lr_schedule=schedule, **options).initialize()


def _state(schedule):
    """Return the state of a net that has taken some steps."""
    net = _net(schedule)
    net.descent_.start(schedule, 8)
    for _ in range(5):
        net.descent_.backward(net.module_(torch.ones(2, 3)).mean(), 2)
        net.descent_.step()
        net.descent_.schedule.epoch(1.0)
    return copy.deepcopy(net.descent_.state_dict())


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_was_saved_goes_on(name):
    state, net = _state(SCHEDULES[name]), _net(SCHEDULES[name])
    load_descent(net, copy.deepcopy(state), Trust(()))
    after = net.descent_.state_dict()
    assert after["schedule"] == state["schedule"]
    assert after["optimizer"]["param_groups"] == state["optimizer"]["param_groups"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("step", {"optimizer": 1}),
        ("step", {"step": 1}),
        ("step", {"__class__": 1}),
        ("step", {"gamma": "a"}),
        ("step", {"base_lrs": [1e-3] * 9}),
        ("step", {"base_lrs": "a"}),
        ("steps", {"milestones": {5: 10**9}}),
        ("cyclic", {"_scale_fn_custom": {"__wrapped__": 1}}),
        ("cosine", {"lr_lambdas": [{"__module__": "payload"}]}),
        ("plateau", {"mode": "max"}),
        ("onecycle", {"_schedule_phases": []}),
    ],
)
def test_no_other_attribute_is_set(name, change):
    state, net = _state(SCHEDULES[name]), _net(SCHEDULES[name])
    state["schedule"]["scheduler"] |= change
    with pytest.raises(ValueError, match="of another kind"):
        load_descent(net, state, Trust(()))


def test_functions_of_torch_are_left_as_they_are():
    """CyclicLR would write the attributes of the function that it is given."""
    loss = nn.functional.mse_loss
    with pytest.raises(ValueError, match="_scale_fn_custom"):
        _check_schedule({"_scale_fn_custom": None}, {"_scale_fn_custom": {"evil": 1}})
    assert not vars(loss)


def test_a_schedule_of_the_users_own_is_theirs(tmp_path):
    scale = partial(schedules.LambdaLR, lr_lambda=_halved)
    clf = sn.TorchClassifier(lr_schedule=scale, **FAST).fit(*classification(60))
    sn.save(clf, tmp_path / "a.sn")
    names = ["torch.optim.lr_scheduler.LambdaLR", f"{__name__}._halved"]
    assert sn.load(tmp_path / "a.sn", names).net_.descent_.lr == clf.net_.descent_.lr


def _halved(epoch):
    return 0.5**epoch


@pytest.mark.parametrize(
    ("value", "n"),
    [
        (3, 1),
        ([], 0),
        ("a long text", 1),
        ([1, [2, 3, 4]], 3),
        ({"a": 1, "b": range(9)}, 2),
        ({"a": (1, 2), "b": {5, 6, 7}}, 3),
        (np.zeros((4, 5)), 20),
        ([torch.zeros(3, 3)], 9),
    ],
)
def test_the_longest_container_counts(value, n):
    assert longest(value) == n


def test_all_that_partials_bind_is_seen():
    inner = partial(max, 1, key=abs)
    assert list(bound(partial(inner, 2))) == [(1, 2), {"key": abs}]
    assert list(bound(max)) == []
