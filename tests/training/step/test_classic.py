import copy

import numpy as np
import pytest
import torch
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from sklearnish.training import EpsilonFirstAdam, VelocitySGD
from sklearnish.training._step.optimizers import make_optimizer, take_step

GRADIENTS = np.random.default_rng(0).normal(size=(12, 7))
RATES = np.repeat([0.1, 0.02, 0.005], 4)


def ours(kind, rates=RATES, **options):
    weight = torch.zeros(7, dtype=torch.float64, requires_grad=True)
    optimizer = make_optimizer(kind, [{"params": [weight]}], {"lr": 0.1, **options})
    for gradient, rate in zip(GRADIENTS, rates, strict=True):
        weight.grad = torch.from_numpy(gradient.copy())
        optimizer.param_groups[0]["lr"] = rate
        take_step(optimizer)
    return weight.detach().numpy()


def theirs(optimizer, rates=RATES):
    weight = np.zeros(7)
    for gradient, rate in zip(GRADIENTS, rates, strict=True):
        optimizer.learning_rate = rate
        optimizer.update_params([weight], [gradient])
    return weight


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
def test_steps_before_the_learning_rate_fell_keep_their_length(momentum, nesterov):
    if nesterov and not momentum:
        return  # which torch refuses
    expected = theirs(SGDOptimizer([np.zeros(7)], 0.1, momentum=momentum, nesterov=nesterov))
    found = ours(VelocitySGD, momentum=momentum, nesterov=nesterov)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("eps", [1e-8, 1e-2, 1.0])
@pytest.mark.parametrize("fused", [True, False])
def test_epsilon_is_added_before_the_correction(eps, fused):
    rates = np.full(12, 0.1)
    expected = theirs(AdamOptimizer([np.zeros(7)], 0.1, epsilon=eps), rates)
    np.testing.assert_allclose(ours(EpsilonFirstAdam, rates, eps=eps, fused=fused), expected)


@pytest.mark.parametrize("kind", [EpsilonFirstAdam, VelocitySGD])
def test_a_copy_by_its_state_goes_on_alike(kind):
    options = {"eps": 0.1} if kind is EpsilonFirstAdam else {"momentum": 0.9}
    whole = ours(kind, **options)
    weight = torch.zeros(7, dtype=torch.float64, requires_grad=True)
    optimizer = kind([weight], lr=0.1, **options)
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        state = copy.deepcopy(optimizer.state_dict())
        optimizer = kind([weight], lr=0.3, **options)
        optimizer.load_state_dict(state)
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    np.testing.assert_allclose(weight.detach().numpy(), whole, rtol=1e-12)


@pytest.mark.parametrize("kind", [EpsilonFirstAdam, VelocitySGD])
def test_a_closure_computes_the_loss(kind):
    weight = torch.ones(2, requires_grad=True)

    def loss():
        total = weight.square().sum()
        weight.grad = None
        total.backward()
        return total

    assert kind([weight], lr=0.1).step(loss).item() == 2.0
    assert (weight < 1).all()
