import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from sklearnish.data._loading.cut import Rows, cut
from sklearnish.data._order.sizes import n_batches
from sklearnish.data._tensors.batch import Batch


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 12), st.integers(1, 2))
def test_batches_are_cut_across_fetches(lengths, size, least):
    total = sum(lengths)
    bounds = np.cumsum([0, *lengths])
    rows = torch.arange(total)
    fetches = [Rows(total - a, Batch(rows[a:b]), b - a) for a, b in itertools.pairwise(bounds)]
    batches = list(cut(fetches, size, least))
    assert torch.equal(torch.cat([b.X for b in batches]), rows)
    assert len(batches) == n_batches(total, size, least)
    assert all(len(b) == size for b in batches[:-1])
    assert min(least, size, total) <= len(batches[-1]) < size + least


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
    st.integers(1, 12),
    st.integers(0, 8),
    st.data(),
)
def test_parts_of_fetches_are_cut_where_the_whole_is(lengths, size, early, data):
    total = sum(lengths)
    mine = np.array(data.draw(st.lists(st.booleans(), min_size=total, max_size=total)))
    bounds, rows = np.cumsum([0, *lengths]), torch.arange(total)
    early = min(early, lengths[0] - 1)
    whole, parts = [], []
    for a, b in itertools.pairwise(bounds):
        offsets = np.flatnonzero(mine[a:b])
        whole.append(Rows(total - a, Batch(rows[a:b]), b - a))
        parts.append(Rows(total - a, Batch(rows[a:b][offsets]), b - a, offsets))
    whole[0], parts[0] = whole[0].without(early), parts[0].without(early)
    for all_rows, own in itertools.zip_longest(cut(whole, size), cut(parts, size)):
        assert torch.equal(all_rows.X[torch.from_numpy(mine)[all_rows.X]], own.X)
