import pytest
import torch
from torch import nn

from sklearnish.training import World
from sklearnish.training._step.descent import Descent
from sklearnish.training._step.optimizers import take_step


def parameters():
    return [nn.Parameter(torch.ones(3)), nn.Parameter(torch.zeros(2))]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_computed_elsewhere_are_those_of_backward(accumulate):
    ours, theirs = parameters(), parameters()
    receiving = Descent(torch.optim.SGD(ours, lr=0.1), accumulate=accumulate)
    backward = Descent(torch.optim.SGD(theirs, lr=0.1), accumulate=accumulate)
    for size in (3, 1):
        loss = (theirs[0] ** 2).sum() * size
        receiving.receive(ours, [2 * ours[0].detach() * size, None], size)
        backward.backward(loss, size)
        receiving.step()
        backward.step()
    torch.testing.assert_close(ours, theirs)
    assert ours[0].grad is None


@pytest.mark.parametrize("cls", [torch.optim.Adam, torch.optim.SGD, torch.optim.LBFGS])
def test_a_step_is_the_optimizers_own(cls):
    def run(step):
        weights = parameters()
        optimizer = cls(weights, lr=0.1)
        for _ in range(3):
            for p in weights:
                p.grad = p.detach() + 1
            step(optimizer)
        return weights

    if cls is torch.optim.LBFGS:
        with pytest.raises(TypeError, match="closure"):
            run(take_step)
    else:
        torch.testing.assert_close(run(take_step), run(lambda optimizer: optimizer.step()))


def test_hooks_and_wrappers_of_a_step_are_called():
    called = []
    optimizer = torch.optim.SGD(parameters(), lr=0.1)
    optimizer.register_step_post_hook(lambda *args: called.append("hook"))
    take_step(optimizer)
    optimizer = torch.optim.SGD(parameters(), lr=0.1)
    optimizer.step = lambda: called.append("wrapper")
    take_step(optimizer)
    assert called == ["hook", "wrapper"]


@pytest.mark.parametrize("rank", [0, 1])
def test_gradients_that_wait_are_those_of_the_first_process(rank):
    weight = torch.nn.Parameter(torch.ones(2))
    descent = Descent(torch.optim.SGD([weight], lr=0.1), accumulate=3)
    descent.backward(weight.sum(), 5)
    descent.join(World(rank, 2))
    waiting = descent.state_dict()
    assert waiting["pending"] == 1  # the step comes as soon in each
    assert waiting["size"] == (0 if rank else 5)
    assert (weight.grad is None) == bool(rank)
