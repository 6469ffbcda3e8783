import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from sklearnish.data import as_dataset, prepare_loader, scan_parquet
from sklearnish.data._order.samplers import Fetch
from sklearnish.data._order.shares import Share

N = 101


def with_rng(x, rng):
    return x + 1e-3 * float(rng.normal())


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    frame = pd.DataFrame({"row": np.arange(N, dtype=np.float32), "y": np.arange(N) % 2})
    path = tmp_path_factory.mktemp("shares") / "rows.parquet"
    frame.to_parquet(path, row_group_size=4)
    ds = scan_parquet(path, target="y")
    weights = np.random.default_rng(0).random(N)
    return {
        "arrays": as_dataset(frame[["row"]].to_numpy(), frame["y"].to_numpy()),
        "parquet": ds,
        "disorder": ds[np.random.default_rng(1).permutation(N)],
        "weights": ds.with_weight(weights),
    }


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("batch_size", [1, 7, 20, 99, 500])
@pytest.mark.parametrize(
    ("view", "sampler", "memory"),
    [
        ("arrays", "shuffle", "1MB"),
        ("arrays", "sequential", "1MB"),
        ("parquet", "shuffle", 8 * 30 * 4),  # a window holds 30 rows: about seven blocks
        ("parquet", "sequential", 8 * 30 * 4),
        ("disorder", "shuffle", 8 * 30 * 4),
        ("weights", "weighted", 8 * 30 * 4),
        ("disorder", lambda ds: np.arange(len(ds))[::-3], 8 * 30 * 4),
    ],
)
def test_all_processes_together_read_every_batch_once(
    views, view, sampler, memory, size, batch_size
):
    options = {"sampler": sampler, "shuffle_memory": memory, "augment": with_rng, "epochs": 2}
    first = int(batch_size < N - 2)
    options |= {"first_batch": first, "num_workers": 0, "batch_size": batch_size}

    def batches(share):
        with prepare_loader(views[view], **options, share=share) as loader:
            every, n_rows = [], []
            for _ in range(2):
                every += list(loader)
                n_rows.append(loader.n_rows)
            return every, n_rows

    whole, n_rows = batches(Share())
    parts = [batches(Share(rank, size)) for rank in range(size)]
    assert all(n == n_rows for _, n in parts)
    assert sum(n_rows) == sum(map(len, whole))
    for batch, *ours in itertools.zip_longest(whole, *(part for part, _ in parts)):
        joined = torch.cat([part.X for part in ours])
        assert torch.equal(joined.sort(0).values, batch.X.sort(0).values)  # bit for bit
        order = torch.cat([part.y for part in ours])[joined.flatten().argsort()]
        assert torch.equal(order, batch.y[batch.X.flatten().argsort()])
        if view == "arrays" and len(batch) >= 2 * size:
            assert max(map(len, ours)) - min(map(len, ours)) <= 1
        assert 1 not in map(len, ours) or len(batch) == 1


@pytest.mark.parametrize("size", [2, 3])
def test_hardly_any_block_is_read_twice(views, size):
    blocks, n_batches = views["parquet"].source.blocks, 0
    with prepare_loader(views["parquet"], batch_size=100, shuffle_memory=8 * 48 * 4) as loader:
        for fetch in loader.order.epoch(0):
            ours = [Share(rank, size).of(fetch, views["parquet"], 100, 2) for rank in range(size)]
            read = [np.unique(np.searchsorted(blocks, f.positions, "right")) for f in ours]
            assert sum(map(len, read)) <= fetch.n_blocks + size - 1
            sizes = [f.part.used for f in ours]
            assert max(sizes) - min(sizes) <= 1
            assert sum(sizes) == len(fetch.positions)
            n_batches += 1
    assert n_batches > 1


def test_small_batches_are_parted_evenly_whatever_is_stored_where(views):
    fetch = Fetch(0, 0, 23, np.arange(23), n_blocks=6)  # batches of 20 and 3 rows
    ours = [Share(rank, 2).of(fetch, views["parquet"], 20, 2) for rank in range(2)]
    assert [f.positions.tolist() for f in ours] == [[*range(10), 20, 21, 22], [*range(10, 20)]]


def test_a_process_without_rows_reads_one_and_uses_none(views):
    fetch = Fetch(0, 0, 1, np.array([5]))
    first, second = (Share(rank, 2).of(fetch, views["arrays"], 10, 2) for rank in (0, 1))
    assert (first.part.used, second.part.used) == (1, 0)
    assert second.positions.tolist() == [5]
    assert second.n_rows == 1


def test_each_process_draws_other_numbers_for_its_part_of_a_batch(views):
    seen = []

    def noted(X, rng):
        seen.append(rng.random())
        return X

    from sklearnish.data import per_batch

    for rank in (0, 1):
        options = {"batch_size": 50, "augment": per_batch(noted), "num_workers": 0}
        with prepare_loader(views["arrays"], **options, share=Share(rank, 2)) as loader:
            list(loader)
    assert len(seen) == len(set(seen)) == 4
