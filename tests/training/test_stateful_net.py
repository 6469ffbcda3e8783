import copy
import pickle

import pytest
import torch
from torch import nn

from tests.training.test_net import batches, linear, make_net, rows, train


def adam(**params):
    return make_net(optimizer=torch.optim.Adam, **params)


def test_the_state_continues_another_net_bit_for_bit():
    data = batches(*rows(), 16)
    net = train(adam(), data, epochs=2)
    state = copy.deepcopy(net.state_dict())
    other = adam(module=nn.Linear(4, 1))
    other.load_state_dict(state)
    assert other.history[:, "train_loss"] == net.history[:, "train_loss"]
    assert other.best_epoch_ == 2
    for n in (net, other):
        train(n, data, epochs=1)
    assert torch.equal(other.module_.weight, net.module_.weight)


def test_the_state_within_an_epoch_has_its_losses():
    data = batches(*rows(), 16)
    net = train(make_net(), data)
    state = net.state_dict(batches=len(data))
    assert state["history"] == []  # its epoch is not complete
    other = make_net()
    other.load_state_dict(state)
    assert other.begun_.mean(0.1) == pytest.approx(net.history[-1]["train_loss"])


def test_training_a_twin_leaves_the_net_as_it_was():
    data = batches(*rows(), 16)
    net = train(adam(), data)
    before = copy.deepcopy(net.module_)
    twin = train(net.twin(), data)
    assert torch.equal(net.module_.weight, before.weight)
    assert len(net.history) == 1
    assert torch.equal(twin.module_.weight, train(net, data).module_.weight)


def test_pickles_with_its_optimizer():
    X, y = rows()
    data = batches(X, y, 16)
    net = train(adam(), data)
    twin = pickle.loads(pickle.dumps(net))
    other = copy.deepcopy(net)
    for n in (net, twin, other):
        train(n, data)
    torch.testing.assert_close(twin.module_.weight, net.module_.weight)
    torch.testing.assert_close(other.module_.weight, net.module_.weight)


@pytest.mark.gpu
def test_a_net_of_the_gpu_loads_on_the_cpu():
    X, y = (t.cuda() for t in rows())
    net = make_net(module=linear().cuda(), device="cuda")
    train(net, batches(X, y, 16))
    state = net.__getstate__()
    assert state["module_"].weight.device.type == "cpu"
    twin = pickle.loads(pickle.dumps(net))
    torch.testing.assert_close(twin.module_(X), net.module_(X))
