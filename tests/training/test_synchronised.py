from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from sklearnish.training import ALONE, World, synchronised
from sklearnish.training._synchronised import whole_batches
from tests.ranks import in_ranks


class Rectified(nn.BatchNorm2d):
    """Does more than the layer that it is derived from."""

    def forward(self, X):
        return super().forward(X).relu()


def layers():
    torch.manual_seed(0)
    return nn.Sequential(
        Rectified(3, momentum=0.2), nn.Conv2d(3, 2, 2), nn.BatchNorm2d(2, affine=False)
    ).double()


def rows():
    return torch.randn(5, 3, 4, 4, dtype=torch.float64, generator=torch.manual_seed(1))


def of_parts(world, again):
    """Train on 4 rows, 1 row and none."""
    module, every = layers(), rows()
    parts = [every[:4], every[4:], torch.full_like(every[:1], torch.nan)]
    X = parts[world.rank].clone().requires_grad_()
    with whole_batches(module, world, counts=world.rank < 2):
        outputs = checkpoint(module, X, use_reentrant=False) if again else module(X)
        outputs.backward(outputs.detach() if world.rank < 2 else torch.zeros_like(outputs))
    gradients = [p.grad if world.rank < 2 else torch.zeros_like(p) for p in module.parameters()]
    world.add_up(gradients)
    of_rows = [] if world.rank == 2 else X.grad.tolist()
    return [g.tolist() for g in (*gradients, *module.buffers())], of_rows


def in_parts(world):
    return of_parts(world, again=False)


def in_parts_once_more(world):
    return of_parts(world, again=True)


@pytest.mark.slow
@pytest.mark.parametrize("function", [in_parts, in_parts_once_more])
def test_parts_are_normalised_as_the_whole(function):
    module, X = layers(), rows().requires_grad_()
    again = function is in_parts_once_more
    outputs = checkpoint(module, X, use_reentrant=False) if again else module(X)
    outputs.backward(outputs.detach())
    wanted = [*(p.grad for p in module.parameters()), *module.buffers()]
    found = in_ranks(3, function)
    for whole, _ in found:
        for one, other in zip(wanted, whole, strict=True):
            assert torch.allclose(one.double(), torch.tensor(other).double())
    of_rows = torch.tensor([row for _, some in found for row in some], dtype=torch.float64)
    assert torch.allclose(X.grad, of_rows)


def a_single_value(world):
    layer = nn.BatchNorm1d(3)
    with (
        whole_batches(layer, world, counts=world.is_first),
        pytest.raises(ValueError, match="more than 1 value per channel") as caught,
    ):
        layer(torch.ones(1, 3))
    return str(caught.value)


@pytest.mark.slow
def test_one_row_of_all_processes_is_refused_as_ever():
    with pytest.raises(ValueError, match="more than 1 value per channel") as caught:
        nn.BatchNorm1d(3)(torch.ones(1, 3))
    assert in_ranks(2, a_single_value) == [str(caught.value)] * 2


class Sums(World):
    """Two processes of which one has nothing to say."""

    def __init__(self):
        super().__init__(0, 2)

    def add_up(self, tensors):
        """Leave the sums as they are."""


@pytest.mark.parametrize(
    ("dtype", "n", "atol"),
    [(torch.float32, 100, 1e-5), (torch.bfloat16, 1_023, 0.04), (torch.float16, 70_000, 0.01)],
)
def test_layers_answer_as_those_of_torch(dtype, n, atol):
    X = (torch.randn(n, 2, generator=torch.manual_seed(0)) + 3).to(dtype)
    module, plain = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    with whole_batches(module, Sums()):
        found = module(X)
    wanted = plain(X)
    assert found.dtype == wanted.dtype
    assert torch.allclose(found, wanted, atol=atol)
    for one, other in zip(module.buffers(), plain.buffers(), strict=True):
        assert torch.allclose(one.double(), other.double(), rtol=1e-5)
    for one in (module, plain):
        one.eval()
    with whole_batches(module, Sums()):
        assert torch.equal(module(X[:5].float()), module(X[:5].float()))


def test_layers_stay_what_they_are():
    module, step = layers(), SimpleNamespace(normalising=ALONE)
    own = module[0].forward = partial(Rectified.forward, module[0])  # of the user
    before = [dict(vars(layer)) for layer in module.modules()]
    with synchronised(step, Sums()):
        assert step.normalising.size == 2
        with whole_batches(module, step.normalising):
            assert type(module[2]) is nn.BatchNorm2d
            assert torch.allclose(module(rows()), layers()(rows()))
    assert [dict(vars(layer)) for layer in module.modules()] == before
    assert module[0].forward is own
    assert step.normalising is ALONE
