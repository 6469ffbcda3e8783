import pytest
import torch

from sklearnish.training._step import gradient_sum
from sklearnish.training._step.gradient_sum import GradientSum
from tests.ranks import in_ranks


def parameters():
    shapes = [(3,), (2, 2), (4,), (1,), (2,), (2, 3, 4, 5)]
    dtypes = [torch.float64, torch.float32, torch.float32, torch.bfloat16, torch.float32]
    made = [torch.zeros(s, dtype=d) for s, d in zip(shapes, [*dtypes, torch.float32], strict=True)]
    made[-1] = made[-1].contiguous(memory_format=torch.channels_last)
    return made


def add_up(world):
    gradient_sum._BUCKET = 40  # so that there are several of a type
    weights, found = parameters(), []
    sums = GradientSum(world, weights)
    for step in (1, 2):
        for i, weight in enumerate(weights):
            weight.grad = torch.full_like(weight, 10.0 * step + world.rank + i)
        weights[1].grad = None  # in all
        if world.rank:
            weights[4].grad = None  # in one
        told = sums(torch.tensor([1.0, world.rank, 0.25]))
        gradients = [None if w.grad is None else w.grad.flatten()[0].item() for w in weights]
        assert weights[-1].grad.stride() == weights[-1].stride()
        assert weights[2].grad.shape == (4,)
        found.append((gradients, told.tolist()))
        kept = told
    assert kept.tolist() == [2.0, 1.0, 0.5]
    return found


@pytest.mark.slow
def test_gradients_and_riders_are_added_up():
    for found in in_ranks(2, add_up):
        first, second = found
        assert first == ([21.0, None, 25.0, 27.0, 14.0, 31.0], [2.0, 1.0, 0.5])
        assert second == ([41.0, None, 45.0, 47.0, 24.0, 51.0], [2.0, 1.0, 0.5])


def in_half(world):
    weights = [torch.zeros(2, dtype=torch.bfloat16)]
    weights[0].grad = torch.ones(2, dtype=torch.bfloat16)
    return GradientSum(world, weights)(torch.tensor([1000.25])).item(), weights[0].grad.tolist()


@pytest.mark.slow
def test_counts_are_not_sent_in_half_precision():
    assert in_ranks(2, in_half) == [(2000.5, [2.0, 2.0])] * 2
