import pickle
import random

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearnish.data import scan_parquet
from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._functions.functions import per_batch
from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data._tensors.batch import Batch

N = 67
SIZES = [1, 2, 7, 100]


def with_rng(x, rng):
    return x + float(rng.normal())


def with_global_generators(x):
    return x + torch.randn(x.shape) + np.random.normal() + random.random()  # noqa: NPY002


def scaled_batch(X, rng):
    return X * rng.uniform(0.5, 2)


def mixed_up(X, y):
    order = torch.randperm(len(X))
    return (X + X[order]) / 2, y[order]


def shifted(X):
    return X + 1


AUGMENT = {
    "none": None,
    "rng": with_rng,
    "generators": [with_global_generators, torch.nn.Dropout(0.5)],
    "all": [with_rng, per_batch(scaled_batch), with_global_generators, per_batch(mixed_up)],
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 3)).astype(np.float32), columns=list("abc"))
    frame["label"] = rng.integers(0, 3, N)
    frame["w"] = rng.random(N).astype(np.float32)
    path = tmp_path_factory.mktemp("loader") / "frame.parquet"
    frame.to_parquet(path, row_group_size=5)
    return path


@pytest.fixture(scope="module", params=["array", "parquet"])
def ds(request, path):
    parquet = scan_parquet(path, target="label", weight="w")
    if request.param == "parquet":
        return parquet
    return as_dataset(np.asarray(parquet), parquet.target, sample_weight=parquet.weight)


CODES = np.random.default_rng(2).permutation(N)


def numbered(ds):
    """The same rows with their positions as labels, scattered lest they look sorted."""
    return ds.with_target(CODES[: len(ds)])


def copied(batch):
    return Batch(*(None if t is None else t.clone() for t in batch))


def epochs(ds, n=1, **keywords):
    with prepare_loader(ds, epochs=n, **{"batch_size": 7, **keywords}) as loader:
        return [[copied(batch) for batch in loader] for _ in range(n)]


def assert_same(stream, other):
    assert len(stream) == len(other)
    for batches, others in zip(stream, other, strict=True):
        assert len(batches) == len(others)
        for batch, also in zip(batches, others, strict=True):
            for a, b in zip(batch, also, strict=True):
                assert a is b is None or torch.equal(a, b)


def drawn(batches):
    """Positions of the rows of a numbered view."""
    return np.argsort(CODES)[torch.cat([batch.y for batch in batches]).numpy()].tolist()


def views(ds):
    order = np.random.default_rng(1).permutation(N)
    return {
        "all": ds,
        "range": ds[5:60],
        "backwards": ds[60:3:-2],
        "sorted": ds[np.sort(order[:30])],
        "unsorted": ds[order[:30]],
        "repeats": ds[np.r_[order[:20], order[:20], 3, 3]],
        "one": ds[10:11],
        "two": ds[[50, 2]],
    }


VIEWS = ["all", "range", "backwards", "sorted", "unsorted", "repeats", "one", "two"]
MEMORY = ["1KB", "256MB"]


@settings(max_examples=80)
@given(
    st.sampled_from(VIEWS),
    st.sampled_from(["shuffle", "sequential"]),
    st.sampled_from(SIZES),
    st.integers(700, 10_000),
    st.sampled_from([0, "auto"]),
)
def test_every_row_once_in_batches_of_the_size(ds, view, sampler, size, memory, num_workers):
    view = numbered(views(ds)[view])
    n, stored = len(view), view.read(np.arange(len(view)))
    for batches in epochs(
        view, 2, batch_size=size, sampler=sampler, shuffle_memory=memory, num_workers=num_workers
    ):
        rows = drawn(batches)
        assert sorted(rows) == list(range(n))
        assert torch.equal(torch.cat([b.X for b in batches]), stored.X[rows])
        assert torch.equal(torch.cat([b.weight for b in batches]), stored.weight[rows])
        assert sampler == "shuffle" or rows == list(range(n))
        assert all(len(b) == size for b in batches[:-1])
        assert all(b.X.is_contiguous() for b in batches)
        assert n == 1 or size == 1 or len(batches[-1]) > 1
        assert 1 <= len(batches[-1]) <= (size + 1 if size > 1 else 1)


@settings(max_examples=40)
@given(
    st.sampled_from(VIEWS),
    st.sampled_from(["shuffle", "sequential", "balanced", "weighted", "half"]),
    st.sampled_from(SIZES),
    st.sampled_from(MEMORY),
    st.sampled_from(list(AUGMENT)),
    st.integers(0, 2**40),
)
def test_a_thread_gives_the_stream_of_inline(ds, view, sampler, size, memory, augment, seed):
    keywords = {
        "sampler": every_second if sampler == "half" else sampler,
        "batch_size": size,
        "shuffle_memory": memory,
        "augment": AUGMENT[augment],
        "seed": seed,
    }
    view = views(ds)[view]
    assert_same(
        epochs(view, 2, num_workers=0, **keywords), epochs(view, 2, num_workers="auto", **keywords)
    )


def every_second(ds, rng):
    return rng.permutation(len(ds))[::2] if len(ds) > 1 else [0]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("augment", ["none", "all"])
def test_worker_processes_give_the_stream_of_inline(ds, workers, augment):
    size = SIZES[workers]
    for view, sampler in [
        ("all", "shuffle"),
        ("unsorted", "weighted"),
        ("backwards", "sequential"),
    ]:
        keywords = {
            "batch_size": size,
            "sampler": sampler,
            "shuffle_memory": "1KB",
            "augment": AUGMENT[augment],
            "seed": workers,
        }
        rows = views(ds)[view].map(with_rng).map_batches(shifted)
        assert_same(
            epochs(rows, 2, num_workers=workers, **keywords),
            epochs(rows, 2, num_workers=0, **keywords),
        )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("sampler", ["shuffle", "sequential", "balanced", "weighted", every_second])
def test_every_mode_gives_the_stream_of_inline(ds, workers, memory, sampler):
    for size, augment, view in zip(SIZES, AUGMENT.values(), VIEWS[::2], strict=True):
        keywords = {
            "batch_size": size,
            "sampler": sampler,
            "shuffle_memory": memory,
            "augment": augment,
        }
        assert_same(
            epochs(views(ds)[view], 3, num_workers=workers, **keywords),
            epochs(views(ds)[view], 3, num_workers=0, **keywords),
        )


def test_text_labels_and_several_targets_travel_from_workers(path, tmp_path):
    frame = pd.read_parquet(path)
    frame["name"] = np.array(["x", "y", "z"])[frame["label"]]
    frame.to_parquet(tmp_path / "f.parquet", row_group_size=9)
    named = scan_parquet(tmp_path, target="name", weight="w", columns=["a"])
    both = scan_parquet(tmp_path, target=["b", "c"], weight="w", columns=["a"])
    for ds in (named, both, both.with_target(frame["name"])):
        assert_same(epochs(ds, num_workers=2), epochs(ds, num_workers=0))


def test_each_block_that_the_view_touches_is_read_once_an_epoch(path):
    view = numbered(scan_parquet(path, target="label")[np.r_[3:9, 41, 40, 66, 66]])
    for sampler in ("shuffle", "sequential"):
        view.source.blocks_read = 0
        epochs(view, 3, sampler=sampler, num_workers=0, shuffle_memory="1KB")
        assert view.source.blocks_read <= 3 * (4 if sampler == "shuffle" else 5)


@pytest.mark.parametrize("num_workers", [0, "auto"])
def test_memory_for_a_few_blocks_reads_each_once(path, num_workers):
    ds = numbered(scan_parquet(path, target="label"))
    memory = 8 * 3 * 4 * 11  # windows of 11 rows, two blocks of 5
    (rows,) = epochs(ds, shuffle_memory=memory, num_workers=num_workers)
    assert (ds.source.blocks_read, ds.source.rows_read) == (14, N)
    first = [row // 5 for row in drawn(rows)[:7]]  # of 10, or of 7 with the last block
    assert len(set(first)) == len(set(first[:5])) == 2


@pytest.mark.parametrize("sampler", ["weighted", "balanced"])
def test_weighted_draws_read_each_block_once(path, sampler):
    ds = scan_parquet(path, target="label", weight="w")
    assert ds.target is not None
    assert ds.weight is not None
    ds.source.blocks_read = 0
    epochs(ds, sampler=sampler, num_workers=0, shuffle_memory=8 * 3 * 4 * 11)
    assert ds.source.blocks_read <= 14


def test_order_follows_seed_and_epoch(ds):
    ds = numbered(ds)
    first, second, third = map(drawn, epochs(ds, 3))
    assert len({tuple(first), tuple(second), tuple(third)}) == 3
    assert [drawn(e) for e in epochs(ds, 2, first_epoch=1)] == [second, third]
    assert drawn(epochs(ds, seed=1)[0]) != first
    assert drawn(epochs(ds, batch_size=3)[0]) == first


def test_a_continued_fit_augments_as_one_that_was_not_cut(ds):
    augment = AUGMENT["all"]
    whole = epochs(ds, 3, augment=augment)
    assert_same(whole[2:], epochs(ds, 1, first_epoch=2, augment=augment))
    assert not torch.equal(whole[0][0].X, whole[1][0].X)


def test_a_row_drawn_twice_is_augmented_anew(ds):
    ((batch,),) = epochs(ds, sampler=lambda ds: [4, 4], augment=with_rng)
    assert not torch.equal(batch.X[0], batch.X[1])


@pytest.mark.parametrize("num_workers", [0, "auto", 2])
@pytest.mark.parametrize("augment", ["none", "all"])
@pytest.mark.parametrize("sampler", ["shuffle", every_second])
def test_the_global_generators_are_left_as_they_were(ds, num_workers, augment, sampler):
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    epochs(ds, 2, num_workers=num_workers, augment=AUGMENT[augment], sampler=sampler)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]


@pytest.mark.parametrize("num_workers", [0, "auto", 2])
def test_an_epoch_left_early_is_followed_by_the_next_one(ds, num_workers):
    ds = numbered(ds)
    whole = epochs(ds, 3)
    with prepare_loader(ds, batch_size=7, epochs=3, num_workers=num_workers) as loader:
        assert drawn([next(iter(loader))]) == drawn(whole[0][:1])
        assert drawn(loader) == drawn(whole[1])
        assert drawn(loader) == drawn(whole[2])
        with pytest.raises(RuntimeError, match="made for 3 epochs"):
            iter(loader)


def test_the_report_counts_what_was_delivered(ds):
    with prepare_loader(ds, batch_size=10, epochs=3, num_workers=0) as loader:
        for _ in range(2):
            list(loader)
        next(iter(loader))
    report = loader.report()
    assert [(e.rows, e.batches) for e in report.epochs[:2]] == [(N, 7), (N, 7)]
    assert loader.steps_per_epoch == 7
    assert (report.mode, report.source) == ("inline", ds.source.name)
    assert all(0 < e.wait <= e.seconds for e in report.epochs[:2])
    assert pickle.loads(pickle.dumps(report)) == report


def test_nan_raises_only_where_it_is_asked_for(path):
    X = np.zeros((5, 2))
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN: feature 1, row 3 of"):
        list(prepare_loader(as_dataset(X), batch_size=2))
    assert len(list(prepare_loader(as_dataset(X), batch_size=2, finite=False))) == 2


def test_dicts_and_images_are_cut_and_joined():
    images = as_dataset(np.arange(5 * 12, dtype=np.uint8).reshape(5, 3, 2, 2))
    with prepare_loader(
        images, batch_size=2, sampler="sequential", shuffle_memory=8 * 12 * 3
    ) as loader:
        assert [tuple(b.X.shape) for b in loader] == [(2, 3, 2, 2), (3, 3, 2, 2)]
    dicts = images.map(lambda x: {"a": x, "b": x[0, 0].float()})
    with prepare_loader(dicts, batch_size=4, sampler="sequential", shuffle_memory=8 * 40) as loader:
        (batch,) = loader
    assert batch.X["b"].shape == (5, 2)
    assert batch.X["a"].dtype == torch.uint8


@settings(max_examples=60)
@given(
    st.sampled_from(VIEWS),
    st.sampled_from(["shuffle", "sequential", "balanced", "weighted", "half"]),
    st.sampled_from(SIZES),
    st.sampled_from(MEMORY),
    st.sampled_from(list(AUGMENT)),
    st.sampled_from([0, "auto"]),
    st.data(),
)
def test_a_stream_that_begins_within_an_epoch(
    ds, view, sampler, size, memory, augment, num_workers, data
):
    keywords = {
        "sampler": every_second if sampler == "half" else sampler,
        "batch_size": size,
        "shuffle_memory": memory,
        "augment": AUGMENT[augment],
    }
    view = views(ds)[view].map_batches(noisy_chunk)
    whole = epochs(view, 3, **keywords)
    first = data.draw(st.integers(0, len(whole[1]) - 1))
    begun = epochs(view, 2, first_epoch=1, first_batch=first, num_workers=num_workers, **keywords)
    assert_same(begun, [whole[1][first:], whole[2]])


def noisy_chunk(X, rng):
    return X + float(rng.normal()) + torch.arange(len(X))[:, None]


def test_a_stream_that_begins_within_an_epoch_in_worker_processes(ds):
    keywords = {"batch_size": 4, "shuffle_memory": "1KB", "augment": AUGMENT["all"]}
    whole = epochs(ds, 2, num_workers=0, **keywords)
    assert_same(epochs(ds, 2, first_batch=9, num_workers=2, **keywords), [whole[0][9:], whole[1]])


def test_fetches_before_the_first_batch_are_not_read(path):
    read = {}
    for first in (0, 6):
        ds = scan_parquet(path)
        epochs(ds, batch_size=10, first_batch=first, num_workers=0, shuffle_memory="1KB")
        read[first] = ds.source.rows_read
    assert read[0] == N
    assert read[6] <= 5 + N - 60  # and what shares a row group with the first of them
