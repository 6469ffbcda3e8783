import pickle
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearnish.data import scan_csv, scan_npy, scan_parquet
from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data._order.blocks import between_share, suitable_blocks

N, GROUP = 8000, 400
MEMORY = 8 * 4 * 3 * 1000  # windows of a thousand rows of three float32


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of this test alone."""
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(path, labels, group=GROUP):
    frame = pd.DataFrame({"row": np.arange(len(labels)), "a": 0.5, "b": 1.0, "label": labels})
    frame.to_parquet(path, row_group_size=group)
    return scan_parquet(path, target="label")


def one_epoch(ds, **keywords):
    with prepare_loader(ds, **{"batch_size": 100, "shuffle_memory": MEMORY, **keywords}) as loader:
        return list(loader)


def kinds(n=N):
    rng = np.random.default_rng(0)
    return {
        "numbers": np.repeat(np.arange(10), n // 10),
        "text": np.repeat([f"class {i}" for i in range(10)], n // 10),
        "floats": np.sort(rng.normal(size=n)),
        "grouped": np.repeat(rng.permutation(40), n // 40),
    }


@pytest.mark.parametrize("kind", ["numbers", "text", "floats", "grouped"])
def test_a_file_in_clusters_is_mixed_and_said_so_once(tmp_path, cache, kind):
    ds = write(tmp_path / f"{kind}.parquet", kinds()[kind])
    with pytest.warns(
        UserWarning, match=rf"{kind}\.parquet is sorted or grouped by label"
    ) as caught:
        batches = one_epoch(ds)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one_epoch(ds[::2])
        one_epoch(ds, seed=1)
    assert len(list(cache.glob("*.arrow"))) == 1
    rows = np.concatenate([b.X[:, 0] for b in batches]).astype(int)
    np.testing.assert_array_equal(np.sort(rows), np.arange(N))


def test_batches_of_a_sorted_file_are_nearly_as_mixed_as_a_full_shuffle(tmp_path):
    n = 2**18
    frame = pd.DataFrame(np.zeros((n, 32), np.float32)).add_prefix("x")
    frame.assign(label=np.arange(n) // (n // 2)).to_parquet(
        tmp_path / "f.parquet", row_group_size=2**14
    )
    ds = scan_parquet(tmp_path / "f.parquet", target="label")
    with pytest.warns(UserWarning, match="grouped by label"):
        batches = one_epoch(ds, shuffle_memory="64MB")
    full = one_epoch(as_dataset(np.zeros((n, 1)), ds.target))
    spread, ideal = (np.std([b.y.double().mean() for b in bs]) for bs in (batches, full))
    assert ideal == pytest.approx(0.05, abs=0.01)
    assert spread < 0.15, "windows of four row groups would give about 0.25"


def test_the_rows_keep_their_numbers(tmp_path):
    labels = kinds()["numbers"]
    ds = write(tmp_path / "f.parquet", labels)
    with pytest.warns(UserWarning, match="grouped by label"):
        made = suitable_blocks(ds[5:-7:3], 1000, shuffled=True)
    assert made.source is not ds.source
    np.testing.assert_array_equal(made.rows, ds[5:-7:3].rows)
    X, y, _ = made.read(np.arange(len(made))[::-1])
    np.testing.assert_array_equal(X[:, 0], np.arange(N)[5:-7:3][::-1])
    np.testing.assert_array_equal(y, labels[5:-7:3][::-1])
    assert made.columns == ds.columns


@pytest.mark.parametrize("n", [3000, N])
@pytest.mark.parametrize("group", [10, 100, GROUP])
@pytest.mark.parametrize("classes", [2, 50, None])
@pytest.mark.parametrize("window", [500, 1000])
def test_a_file_in_random_order_is_not_copied(tmp_path, n, group, classes, window):
    rng = np.random.default_rng(n + group)
    labels = rng.normal(size=n) if classes is None else rng.integers(0, classes, n)
    ds = write(tmp_path / "random.parquet", labels, group)
    for view in (ds, ds[::3], ds[rng.permutation(n)[: n // 2]]):
        assert suitable_blocks(view, window, shuffled=True) is view


@pytest.mark.parametrize("shuffled", [True, False])
def test_row_groups_larger_than_a_window_are_copied(tmp_path, cache, shuffled):
    ds = write(tmp_path / "large.parquet", np.random.default_rng(0).integers(0, 2, N), N)
    made = suitable_blocks(ds, 1000, shuffled=shuffled)
    assert np.diff(made.source.blocks).max() <= 8192
    assert len(made.source.blocks) > 1
    assert made.source is not ds.source
    assert list(cache.glob("*.arrow"))
    np.testing.assert_array_equal(made[10:20].read(np.arange(10)).X[:, 0], np.arange(10, 20))


@pytest.mark.parametrize("num_workers", [0, "auto", 2])
def test_the_stream_over_a_copy_is_the_same_in_every_mode(tmp_path, num_workers):
    ds = write(tmp_path / "large.parquet", np.random.default_rng(0).integers(0, 2, N), N)
    for sampler in ("shuffle", "sequential"):
        batches = one_epoch(ds, sampler=sampler, num_workers=num_workers)
        rows = np.concatenate([b.X[:, 0] for b in batches]).astype(int)
        np.testing.assert_array_equal(np.sort(rows), np.arange(N))
        assert (rows == np.arange(N)).all() == (sampler == "sequential")


def test_what_needs_no_copy(tmp_path):
    ds = write(tmp_path / "f.parquet", kinds()["numbers"])
    assert suitable_blocks(ds, 1000, shuffled=False) is ds
    assert suitable_blocks(ds, N, shuffled=True) is ds, "one window holds everything"
    assert suitable_blocks(ds[:900], 1000, shuffled=True).source is ds.source
    assert suitable_blocks(ds.with_target(None), 1000, shuffled=True).target is None
    array = as_dataset(np.zeros((N, 1)), kinds()["numbers"])
    assert suitable_blocks(array, 10, shuffled=True) is array


def test_labels_attached_in_memory_count_too(tmp_path):
    ds = write(tmp_path / "f.parquet", np.random.default_rng(0).integers(0, 2, N))
    with pytest.warns(UserWarning, match="grouped by label"):
        made = suitable_blocks(ds.with_target(kinds()["numbers"]), 1000, shuffled=True)
    assert made.source is not ds.source


def scan_sorted_npy(path, labels):
    """Blocks of 1 MiB are 256 rows of a thousand float32."""
    X = np.zeros((len(labels), 1024), np.float32)
    X[:, 0] = np.arange(len(labels))
    np.save(path / "X.npy", X)
    np.save(path / "y.npy", labels)
    return scan_npy(path / "X.npy", target=path / "y.npy")


def cached(path, labels):
    return as_dataset(np.zeros((N, 1024), np.float32), labels).cache(path / "folder")


@pytest.mark.parametrize("make", [scan_sorted_npy, cached])
@pytest.mark.parametrize("kind", ["numbers", "floats", "grouped"])
def test_mapped_files_in_clusters_are_mixed_without_a_copy(tmp_path, cache, make, kind):
    labels = kinds()[kind]
    ds = make(tmp_path, labels)
    made = suitable_blocks(ds, 1000, shuffled=True)
    assert np.diff(made.source.blocks).max() == 1000 // 256
    assert np.diff(ds.source.blocks).max() == 256
    assert not list(cache.glob("*.arrow"))
    again = pickle.loads(pickle.dumps(made.source))
    np.testing.assert_array_equal(again.blocks, made.source.blocks)
    positions = np.random.default_rng(0).permutation(N)[:50]
    for name in ("X", "y"):
        read = [getattr(d.read(positions), name) for d in (made, ds)]
        np.testing.assert_array_equal(*read)


def test_a_mapped_file_in_random_order_stays_as_it_is(tmp_path):
    labels = np.random.default_rng(0).permutation(kinds()["numbers"])
    ds = scan_sorted_npy(tmp_path, labels)
    assert suitable_blocks(ds, 1000, shuffled=True) is ds
    assert suitable_blocks(ds, 100, shuffled=True).source.blocks[1] <= 100, "blocks fit a window"


def test_the_copy_of_a_sorted_csv_file_is_copied_in_smaller_blocks(tmp_path, cache):
    labels = kinds()["text"]
    frame = pd.DataFrame({"row": np.arange(N), "label": labels} | {f"x{j}": 0 for j in range(200)})
    frame.to_csv(tmp_path / "f.csv", index=False)
    ds = scan_csv(tmp_path / "f.csv", target="label")
    with pytest.warns(UserWarning, match=r"f\.csv is sorted or grouped by label"):
        made = suitable_blocks(ds[::2], 1000, shuffled=True)
    assert np.diff(made.source.blocks).max() < np.diff(ds.source.blocks).max()
    X, y, _ = made.read(np.arange(len(made))[::-1])
    np.testing.assert_array_equal(X[:, 0], np.arange(N)[::2][::-1])
    np.testing.assert_array_equal(y, np.repeat(np.arange(10), N // 10)[::2][::-1])
    assert made.source.row_name(N - 1) == ds.source.row_name(N - 1)


def test_small_files_of_one_class_each_are_mixed(tmp_path):
    for label in range(20):
        write(tmp_path / f"{label:02}.parquet", np.full(N // 20, label))
    ds = scan_parquet(tmp_path, target="label")
    with pytest.warns(UserWarning, match="grouped by label"):
        batches = one_epoch(ds)
    assert min(len(b.y.unique()) for b in batches) > 5


@pytest.mark.parametrize("kind", ["outliers", "outer and inner", "two targets"])
def test_clusters_that_means_do_not_show(tmp_path, kind):
    """Blocks are 400 rows, windows 2 to 3 of them."""
    rng = np.random.default_rng(0)
    outer = np.where(np.arange(N) // GROUP % 2, rng.choice([0, 3], N), rng.choice([1, 2], N))
    labels = {
        "outliers": np.exp(np.sort(rng.normal(size=N)) * 20),
        "outer and inner": outer,
        "two targets": np.column_stack([rng.normal(size=N) * 1e6, np.sort(rng.normal(size=N))]),
    }[kind]
    ds = write(tmp_path / f"{kind}.parquet", np.zeros(N)).with_target(labels)
    with pytest.warns(UserWarning, match="grouped by label"):
        assert suitable_blocks(ds, 1000, shuffled=True).source is not ds.source


def test_no_room_for_a_copy_says_what_to_do(tmp_path, monkeypatch):
    ds = write(tmp_path / "full.parquet", kinds()["numbers"])
    disk = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: disk)
    with (
        pytest.warns(UserWarning, match="grouped by label"),
        pytest.raises(OSError, match="SKLEARNISH_CACHE") as caught,
    ):
        suitable_blocks(ds, 1000, shuffled=True)
    assert "shuffle_memory 8 times as large" in caught.value.__notes__[0]
    assert suitable_blocks(ds, 8 * 1000, shuffled=True) is ds, "as the note promises"


def test_a_view_that_fits_a_window_is_shuffled_as_a_whole(tmp_path):
    """First and second half of an epoch are equally likely for a row of the first class."""
    ds = write(tmp_path / "f.parquet", np.repeat([0, 1], 400), 100)
    firsts = [one_epoch(ds, seed=seed, batch_size=400)[0].y.double().mean() for seed in range(20)]
    assert np.std(firsts) == pytest.approx(0.5 / np.sqrt(2 * 400), rel=0.5)
    np.testing.assert_allclose(np.mean(firsts), 0.5, atol=0.02)


@given(st.integers(2, 20), st.integers(2, 20))
def test_between_share_is_one_for_sorted_and_zero_for_equal_blocks(n_blocks, size):
    bounds = np.arange(n_blocks + 1) * size
    by_block = np.repeat(np.arange(n_blocks), size).astype(float)
    within = np.tile(np.arange(size), n_blocks).astype(float)
    assert between_share([by_block], bounds) == pytest.approx(1)
    assert between_share([within], bounds) == pytest.approx(0)
    assert between_share([np.ones(len(within))], bounds) == 0
    assert between_share([by_block, within], bounds) == pytest.approx(
        by_block.var() / (by_block.var() + within.var())
    )


def test_labels_that_are_all_the_same_are_in_no_clusters(tmp_path):
    ds = write(tmp_path / "f.parquet", np.full(60, 7), 5)
    assert suitable_blocks(ds, 10, shuffled=True) is ds
