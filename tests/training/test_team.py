from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

import sklearnish as sn
from sklearnish.training import ALONE, World
from sklearnish.training._team import Team
from tests.ranks import in_ranks


def test_one_that_is_alone_changes_nothing():
    X = np.random.default_rng(0).normal(size=(20, 3))
    net = sn.TorchClassifier(max_epochs=1, random_state=0).fit(X, np.arange(20) % 2).net_
    step, team = {"loss": torch.ones(()), "size": 3}, Team()
    team.begin(net, True)
    assert team.step(net, step, None, training=True) is step
    assert team.agree(True) is True
    assert team.agree(False) is False
    assert net.team_.world is ALONE  # also after the fit
    assert net.descent_.world is ALONE


class FakeNet:
    """What a Team needs of a net, so that two ranks can differ in it."""

    device = "cpu"

    def __init__(self, rank):
        self.module_, self.criterion_ = nn.Linear(2, 1), nn.MSELoss()
        self.optimizer_ = torch.optim.SGD(self.module_.parameters(), 0.1 + rank, rank / 2)
        self.callbacks_ = [] if rank else [("a", None)]
        self.module_.weight.requires_grad_(bool(rank))
        with torch.no_grad():
            self.module_.weight.fill_(rank)
        self.descent_ = self
        self.joined = []

    def join(self, world):
        self.joined.append(world.size)


def follows(world: World):
    net, team = FakeNet(world.rank), Team(world)
    team.begin(net, hooks_of_steps=False)
    state = net.module_.weight.tolist(), net.module_.weight.requires_grad
    (group,) = net.optimizer_.param_groups
    rate = group["lr"], group["momentum"]
    stops = team.agree(world.rank == 1), team.agree(world.rank == 0)
    team.end(net)
    return state, rate, stops, net.joined


@pytest.mark.slow
def test_the_others_follow_the_first():
    wanted = (([[0.0, 0.0]], False), (0.1, 0.0), (False, True), [2, 1])
    assert in_ranks(2, follows) == [wanted, wanted]


def wrong_rows(world: World):
    net = FakeNet(world.rank)
    for seen, told in ((7, 7), (6, 7), (7, world.rank)):
        team = Team(world, drawn=lambda told=told: (7, told))
        team._seen = seen
        with nullcontext() if seen == told else pytest.raises(RuntimeError, match="7, in an order"):
            team.end_pass(net)
    return True


@pytest.mark.slow
def test_rows_that_are_missing_are_an_error():
    assert in_ranks(2, wrong_rows) == [True, True]
