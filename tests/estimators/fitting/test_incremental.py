import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sklearnish.data import Batch
from sklearnish.estimators._fitting.incremental import merged


def batches_of(sizes):
    starts = np.cumsum([0, *sizes])
    return [Batch(torch.arange(a, b)) for a, b in itertools.pairwise(starts)]


@given(st.integers(0, 6), st.integers(1, 9), st.integers(0, 8), st.integers(1, 9))
def test_no_row_is_lost_and_no_batch_too_small(n_whole, size, last, least):
    size = max(size, least)
    given = [size] * n_whole + [last] * (last > 0)
    found = [batch.X for batch in merged(batches_of(given), least)]
    assert torch.equal(torch.cat([torch.empty(0, dtype=int), *found]), torch.arange(sum(given)))
    assert all(len(X) >= least for X in found) or sum(given) < least
    assert all(len(X) == size for X in found[:-1])


@pytest.mark.parametrize("least", [1, 4])
def test_whole_batches_stay(least):
    assert [len(batch) for batch in merged(batches_of([4, 4, 4]), least)] == [4, 4, 4]
