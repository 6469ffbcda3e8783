import random

import numpy as np
import torch

from sklearnish.training import seeded, thread_count


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def test_generators_are_seeded_and_put_back():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with seeded(0, torch.device("cpu")):
        first = draw()
    assert torch.equal(torch.get_rng_state(), before)
    draw()
    with seeded(0, torch.device("cpu")):
        assert draw() == first


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with thread_count(before + 1, in_memory=True):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
