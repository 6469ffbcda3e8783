import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sklearnish.modules import BinaryLogLoss, HalfPoissonDeviance, LogLoss, PlainMLP

ACTIVATIONS = {
    "identity": nn.Identity(),
    "logistic": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "relu": nn.ReLU(),
}


def small(activation="tanh", hidden=(3, 5), alpha=0.0):
    torch.manual_seed(0)
    return PlainMLP(4, 2, hidden, activation, alpha).double()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_it_is_a_chain_of_linear_layers(activation):
    module, X = small(activation), torch.randn(6, 4, dtype=torch.float64)
    expected = X
    for weight, bias in module.layers():
        expected = ACTIVATIONS[activation](expected) if expected is not X else X
        expected = nn.functional.linear(expected, weight.t(), bias)
    torch.testing.assert_close(module(X), expected)
    torch.testing.assert_close(module(X.reshape(6, 2, 2)), expected)


def test_weights_are_one_vector_with_the_biases_behind():
    module = small()
    weights, biases = zip(*module.layers(), strict=True)
    assert [tuple(w.shape) for w in weights] == [(4, 3), (3, 5), (5, 2)]
    joined = torch.cat([part.flatten() for part in (*weights, *biases)])
    assert torch.equal(joined, module.packed)
    assert [name for name, _ in module.named_parameters()] == ["packed"]


@given(
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    hidden=st.lists(st.integers(1, 4), max_size=3),
    criterion=st.sampled_from([BinaryLogLoss(), LogLoss(), HalfPoissonDeviance()]),
    alpha=st.sampled_from([0.0, 0.7]),
    n=st.integers(1, 5),
)
def test_its_gradient_is_that_of_autograd(activation, hidden, criterion, alpha, n):
    module, X = small(activation, hidden, alpha), torch.randn(n, 4, dtype=torch.float64)
    classes = isinstance(criterion, LogLoss)
    y = torch.randint(0, 2, (n,) if classes else (n, 2))
    y = y if classes else y.double()
    with torch.no_grad():
        values = module.values(X)
        delta = criterion.residual(values[-1], y) / n
        found = module.gradient(values, delta, n)
    loss = criterion(module(X), y) + module.penalty(n)
    torch.testing.assert_close(found, torch.autograd.grad(loss, module.packed)[0])


def test_the_penalty_leaves_biases_out():
    module = small(alpha=2.0)
    expected = sum(weight.square().sum() for weight, _ in module.layers()) / 8
    torch.testing.assert_close(module.penalty(8), expected)
    assert small().penalty(8) == 0


def test_copies_and_casts_keep_the_layers_at_the_weights():
    copied = copy.deepcopy(small()).float()
    with torch.no_grad():
        copied.packed.zero_()
    assert not copied(torch.ones(2, 4)).any()


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation='gelu' is not one of 'identity', 'logistic'"):
        PlainMLP(4, 2, activation="gelu")
