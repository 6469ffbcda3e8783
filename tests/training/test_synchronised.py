import copy

import pytest
import torch
from torch import nn

from sklearnish.training import ALONE, synchronised
from sklearnish.training._synchronised import is_synchronised
from tests.ranks import in_ranks


def layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.BatchNorm2d(3, momentum=0.2), nn.Conv2d(3, 2, 2)).double()


def rows():
    return torch.randn(5, 3, 4, 4, dtype=torch.float64, generator=torch.manual_seed(1))


def of_parts(world):
    """Train on 4 rows, 1 row and none."""
    module, every = layers(), rows()
    parts = [every[:4], every[4:], every[:0]]
    X = parts[world.rank].clone().requires_grad_()
    with synchronised(module, world):
        module(X).square().sum().backward()
    gradients = [p.grad for p in module.parameters()]
    world.add_up(gradients)
    return [g.tolist() for g in (*gradients, *module.buffers(), X.grad)]


@pytest.mark.slow
def test_parts_are_normalised_as_the_whole():
    module, X = layers(), rows().requires_grad_()
    module(X).square().sum().backward()
    wanted = [*(p.grad for p in module.parameters()), *module.buffers()]
    found = in_ranks(3, of_parts)
    for part, start, stop in zip(found, (0, 4, 5), (4, 5, 5), strict=True):
        for one, other in zip([*wanted, X.grad[start:stop]], part, strict=True):
            assert torch.allclose(one.double(), torch.tensor(other).double().view(one.shape))


def test_layers_stay_what_they_are():
    module, X = layers(), rows()
    plain = copy.deepcopy(module)
    with synchronised(module, ALONE):
        assert is_synchronised(module)
        assert type(module[0]) is nn.BatchNorm2d
        assert torch.allclose(module(X), plain(X))
        copied = copy.deepcopy(module)
        assert copied[0].forward.__self__ is copied[0]
        for one in (module, plain):
            one.eval()
        assert torch.allclose(module(X), plain(X))
    assert not is_synchronised(module)
    assert "forward" not in vars(module[0])
    for one, other in zip(module.buffers(), plain.buffers(), strict=True):
        assert torch.allclose(one.double(), other.double())
