import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sklearnish.data._loading.cut import cut, n_batches, next_size
from sklearnish.data._tensors.batch import Batch


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 12), st.integers(1, 2))
def test_batches_are_cut_across_fetches(lengths, size, least):
    total = sum(lengths)
    bounds = np.cumsum([0, *lengths])
    rows = torch.arange(total)
    fetches = [(total - a, Batch(rows[a:b])) for a, b in itertools.pairwise(bounds)]
    batches = list(cut(fetches, size, least))
    assert torch.equal(torch.cat([b.X for b in batches]), rows)
    assert len(batches) == n_batches(total, size, least)
    assert all(len(b) == size for b in batches[:-1])
    assert min(least, size, total) <= len(batches[-1]) < size + least


@pytest.mark.parametrize(
    ("left", "size", "wanted"), [(9, 4, 4), (5, 4, 5), (4, 4, 4), (3, 4, 3), (2, 1, 1), (1, 1, 1)]
)
def test_next_size(left, size, wanted):
    assert next_size(left, size) == wanted


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "steps"),
    [(1, 64, 1), (64, 64, 1), (65, 64, 1), (66, 64, 2), (3, 1, 3)],
)
def test_steps_of_an_epoch(n_rows, batch_size, steps):
    assert n_batches(n_rows, batch_size) == steps
