import multiprocessing
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearnish.data._arrow.table_file import CacheSource, rechunk, rows_per_batch, write_cache
from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._sources.parquet.source import ParquetSource


def batches(lengths, seed=0):
    rng = np.random.default_rng(seed)
    for n in lengths:
        yield pa.record_batch(
            {
                "x": rng.standard_normal(n),
                "t": pa.array(list(map(str, rng.integers(0, 9, n))), pa.string()),
            }
        )


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path_factory.mktemp("cache")))


TYPES = {"x": pa.float64(), "t": pa.string()}
LENGTHS = (3, 0, 700, 41, 256)


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    path = tmp_path_factory.mktemp("cached") / "a.arrow"
    write_cache(path, batches(LENGTHS), TYPES, batch_rows=64)
    return CacheSource(path), pa.Table.from_batches(batches(LENGTHS)).to_pandas()


def test_batches_have_one_length(cached):
    source, frame = cached
    assert source.n_rows == len(frame) == 1000
    assert source.blocks.tolist() == [*range(0, 1000, 64), 1000]


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.integers(0, 999), max_size=80))
def test_read_equals_iloc(cached, rows):
    source, frame = cached
    rows = np.array(sorted(rows), dtype=np.int64)
    got = source.read(rows, ["t", "x"])
    assert list(got) == ["t", "x"]
    assert got["x"].to_pylist() == frame["x"].iloc[rows].tolist()
    assert got["t"].to_pylist() == frame["t"].iloc[rows].tolist()


def test_only_the_needed_blocks_are_read(cached):
    source = pickle.loads(pickle.dumps(cached[0]))
    source.read(np.array([0, 0, 63, 999]), ["x"])
    assert (source.blocks_read, source.rows_read) == (2, 64 + 40)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_it_pickles_small_and_reads_the_same_elsewhere(cached, method):
    source, rows = cached[0], np.array([0, 500, 999])
    assert len(pickle.dumps(source)) < 3000
    here = source.read(rows, ["x"])["x"]
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(source.read, (rows, ["x"]))["x"].equals(here)


def test_the_width_of_a_row_chooses_the_batch():
    assert rows_per_batch(256) == 1024
    assert rows_per_batch(1) == 65_536
    assert rows_per_batch(1e6) == 256


def test_whole_stretches_are_read_once_and_not_copied(tmp_path):
    write_cache(tmp_path / "a", [pa.record_batch({"x": np.zeros(1 << 22)})], {"x": pa.float64()})
    source = CacheSource(tmp_path / "a")
    before = pa.total_allocated_bytes()
    held = source.read(np.arange(1 << 22), ["x"])
    assert pa.total_allocated_bytes() - before < held["x"].nbytes + (1 << 16)
    assert held["x"].nbytes == 32 << 20


def test_no_rows_and_no_columns(tmp_path, cached):
    write_cache(tmp_path / "a", [], TYPES)
    source = CacheSource(tmp_path / "a")
    assert (source.n_rows, source.blocks.tolist()) == (0, [0])
    assert len(source.read(np.array([], dtype=np.int64), ["x"])["x"]) == 0
    assert cached[0].read(np.array([1]), []) == {}


def test_a_failed_write_leaves_nothing(tmp_path):
    def failing():
        yield from batches([10])
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_cache(tmp_path / "a", failing(), TYPES)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="a cannot be read as an Arrow file"):
        CacheSource(tmp_path / "a")


def test_a_changed_cache_is_noticed(tmp_path):
    write_cache(tmp_path / "a", batches([10]), TYPES)
    source = CacheSource(tmp_path / "a")
    write_cache(tmp_path / "a", batches([20]), TYPES)
    with pytest.raises(DatasetChangedError, match="a changed"):
        source.read(np.array([0]), ["x"])


def parquet(folder: Path, n=1000, **options) -> ParquetSource:
    frame = pd.DataFrame(
        {"x": np.arange(n, dtype=np.float32), "c": pd.Categorical(["a", None] * (n // 2)), "z": 0}
    )
    frame.to_parquet(folder / "a.parquet", **options)
    return ParquetSource(folder / "a.parquet")


def test_a_cache_that_is_cut_while_it_is_read_is_an_error(tmp_path):
    """After the look at its size, too: under a map the system would end the process."""
    write_cache(tmp_path / "a", batches([4000]), TYPES, batch_rows=64)
    source = CacheSource(tmp_path / "a")
    with source._handles.borrow(source.path) as reader:
        os.truncate(tmp_path / "a", 4096)
        for block in range(10, 20):
            with pytest.raises(DatasetChangedError, match="a changed"):
                source._batch(reader, block, list(TYPES))


def test_rechunk_keeps_rows_and_is_reused_until_the_file_changes(tmp_path):
    source = parquet(tmp_path)
    copy = rechunk(source, ["x", "c"])
    assert list(copy.schema) == ["x", "c"]
    assert copy.blocks.tolist() == [0, 1000] == source.blocks.tolist()
    rows = np.array([0, 1, 1, 999])
    assert copy.read(rows, ["x"])["x"].to_pylist() == [0, 1, 1, 999]
    assert copy.read(rows, ["c"])["c"].to_pylist() == ["a", None, None, None]
    assert copy.row_name(7) == source.row_name(7)
    stamp = Path(copy.path).stat().st_mtime_ns
    assert rechunk(source, ["x", "c"]).path == copy.path
    assert Path(copy.path).stat().st_mtime_ns == stamp
    assert rechunk(source, ["x"]).path != copy.path

    changed = parquet(tmp_path, 500)
    with pytest.raises(DatasetChangedError):
        copy.check_unchanged()
    newer = rechunk(changed, ["x", "c"])
    assert newer.n_rows == 500
    assert not Path(copy.path).exists()  # stale


def test_a_link_in_the_cache_folder_leads_to_no_other_file(tmp_path):
    source = parquet(tmp_path)
    copy = Path(rechunk(source, ["x"]).path)
    copy.unlink()
    (tmp_path / "precious").write_text("text")
    copy.symlink_to(tmp_path / "precious")
    with pytest.warns(UserWarning, match="is damaged and is made again"):
        assert Path(rechunk(source, ["x"]).path) == copy
    assert not copy.is_symlink()
    assert (tmp_path / "precious").read_text() == "text"


def test_rechunk_splits_large_row_groups(tmp_path):
    n = 40_000
    table = pa.table({f"f{i}": np.arange(n) + i for i in range(8)})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    copy = rechunk(ParquetSource(tmp_path / "a.parquet"), [f"f{i}" for i in range(8)])
    assert np.diff(copy.blocks).max() <= 4096
    assert np.diff(copy.blocks).max() * copy.row_nbytes() < 300_000
    got = copy.read(np.arange(n), ["f3"])["f3"].to_numpy()
    np.testing.assert_array_equal(got, np.arange(n) + 3)


def test_rechunk_refuses_a_full_disk(tmp_path, monkeypatch):
    source = parquet(tmp_path)
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(OSError, match="MB of free space"):
        rechunk(source, ["x", "c"])
    assert not list((tmp_path / "cache").glob("*.arrow"))


def rechunk_and_tell(source, barrier, queue):
    barrier.wait()
    copy = rechunk(source, ["x", "c"])
    queue.put((copy.path, source.rows_read))


def test_of_two_processes_one_converts(tmp_path):
    source = parquet(tmp_path, 200_000)
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.SimpleQueue()
    args = (source, barrier, queue)
    children = [context.Process(target=rechunk_and_tell, args=args) for _ in range(2)]
    for child in children:
        child.start()
    (path, rows), (other, other_rows) = queue.get(), queue.get()
    for child in children:
        child.join()
    assert path == other
    assert sorted([rows, other_rows]) == [0, 200_000]
