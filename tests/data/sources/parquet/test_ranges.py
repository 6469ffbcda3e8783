import multiprocessing
import pickle

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

import sklearnish as sn
from sklearnish import DatasetChangedError, scan_parquet
from sklearnish.data._files import store
from sklearnish.data._sources.parquet.source import ParquetSource
from tests.data.object_server import serving

N, GROUP, FILES = 20_000, 2_500, 3


def write(path, seed=0):
    """Row groups that do not fit into the end of a file that is read with the footer."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.standard_normal(N) for name in "abc"}
    texts = rng.integers(0, 1000, N).astype(str)
    pq.write_table(
        pa.table(columns | {"text": texts, "label": np.arange(N) % 2}), path, row_group_size=GROUP
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("objects")
    for i in range(FILES):
        (folder / f"year={2000 + i}").mkdir()
        write(folder / f"year={2000 + i}" / f"{i}.parquet", i)
    return folder


@pytest.fixture
def server(folder, monkeypatch):
    monkeypatch.setattr(store, "_FIRST_PAUSE", 1e-3)
    with serving(folder) as server:
        yield server


@pytest.fixture
def http():
    return fsspec.filesystem("http", skip_instance_cache=True)


def urls(server):
    return [server.url(f"year={2000 + i}/{i}.parquet") for i in range(FILES)]


def batches(ds, **keywords):
    return list(ds.batches(1000, random_state=0, **keywords))


def check_same(some, others):
    assert len(some) == len(others)
    for (X, y), (other_X, other_y) in zip(some, others, strict=True):
        assert X.equal(other_X)
        assert y.equal(other_y)


def test_one_request_reads_a_row_group_and_one_a_footer(folder, server, http):
    ds = scan_parquet(urls(server), target="label", columns=["a", "b", "text"], filesystem=http)
    n_groups = len(ds.source.blocks) - 1
    assert n_groups == FILES * N // GROUP
    assert len(server.asked) == 2 * FILES  # what is known of each, and its footer
    server.asked.clear()
    rows = np.arange(FILES * N)
    read = ds.source.read(rows, ["a", "b", "text"])
    local = scan_parquet(sorted(folder.rglob("*.parquet"))).source.read(rows, ["a", "b", "text"])
    assert all(read[name].equals(local[name]) for name in read)
    assert len(server.asked) == n_groups + FILES  # and once each whether it changed
    assert server.count().total() == n_groups
    ds.source.read(np.array([3, 7, N + 1]), ["a"])
    assert server.count().total() == 2


def test_batches_are_those_of_the_disk_whoever_reads(folder, server, http):
    local = scan_parquet(sorted(folder.rglob("*.parquet")), target="label", columns=["a", "c"])
    ds = scan_parquet(urls(server), target="label", columns=["a", "c"], filesystem=http)
    wanted = batches(local)
    for num_workers in (0, "auto", 2):
        check_same(batches(ds, num_workers=num_workers), wanted)


def test_an_epoch_asks_once_for_each_row_group_and_seldom_for_changes(folder, server, http):
    ds = scan_parquet(urls(server), columns=["a", "b", "c"], filesystem=http)
    server.asked.clear()
    batches(ds, num_workers=0)
    heads = sum(method == "HEAD" for method, _, _ in server.asked)
    local = scan_parquet(sorted(folder.rglob("*.parquet")), columns=["a", "b", "c"])
    batches(local, num_workers=0)
    n_read = local.source.blocks_read
    assert server.count().total() == n_read <= 1.1 * len(ds.source.blocks)
    assert heads < n_read / 2  # after a fetch, and after the epoch


def test_pieces_are_read_ahead_and_come_in_order(folder, server, http):
    source = ParquetSource(urls(server), filesystem=http)
    pieces = [np.arange(i, i + 700) for i in range(0, FILES * N - 700, 3000)]
    server.latency = 0.05
    read = source.read_each(pieces, ["a"])
    first = next(read)
    assert len(server.asked) > 4  # others were asked for meanwhile
    server.latency = 0.0
    for rows, found in zip(pieces, [first, *read], strict=True):
        assert found["a"].to_pylist() == source.read(rows, ["a"])["a"].to_pylist()
    some = source.read_each(pieces, ["a"])
    next(some)
    some.close()  # ends the threads


@pytest.mark.slow
def test_workers_that_are_started_anew_read_objects(folder, server, http):
    ds = scan_parquet(urls(server), target="label", columns=["a", "c"], filesystem=http)
    wanted = batches(ds, num_workers=0)
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        check_same(batches(ds, num_workers=2), wanted)
    finally:
        multiprocessing.set_start_method(before, force=True)


def test_faults_of_the_moment_change_nothing(folder, server, http):
    ds = scan_parquet(urls(server), target="label", columns=["a", "c"], filesystem=http)
    wanted = batches(ds, num_workers=0)
    # Fewer than five tries: all of them may befall one request.
    server.faults += [503, "cut", "close", 500]
    check_same(batches(ds, num_workers=0), wanted)
    server.faults += [503] * 1000
    with pytest.raises(OSError, match=r"could not be read in 5 tries.*parquet"):
        batches(ds, num_workers=0)


def test_any_place_gives_the_same_table(folder):
    local = scan_parquet(folder, target="label")
    assert "year" in local.columns
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/tables", recursive=True)
    try:
        for place, filesystem in [
            (folder, fsspec.filesystem("file")),
            (str(folder), pyarrow.fs.LocalFileSystem()),
            ("memory://tables", memory),
            ("/tables/**/*.parquet", memory),
        ]:
            ds = scan_parquet(place, target="label", filesystem=filesystem)
            assert (ds.columns, len(ds)) == (local.columns, len(local))
            rows = np.array([0, 5, N, 2 * N + 1])
            assert ds[rows].to_pandas().equals(local[rows].to_pandas())
            copied = pickle.loads(pickle.dumps(ds))
            assert copied[rows].to_pandas().equals(local[rows].to_pandas())
    finally:
        memory.rm("/tables", recursive=True)


def test_rows_come_in_batches_too(folder, server, http):
    source = ParquetSource(urls(server), filesystem=http)
    server.asked.clear()
    table = pa.concat_tables(source.iter_batches(["a", "text"]))
    wanted = pq.read_table(folder, columns=["a", "text"], partitioning=None)
    assert table["a"].combine_chunks().equals(wanted["a"].combine_chunks())
    assert server.count().total() == len(source.blocks) - 1


def test_an_object_that_is_replaced_is_noticed(tmp_path, http):
    write(tmp_path / "a.parquet")
    with serving(tmp_path) as server:
        ds = scan_parquet(server.url("a.parquet"), target="label", columns=["a"], filesystem=http)
        batches(ds, num_workers=0)
        write(tmp_path / "a.parquet", seed=1)
        for num_workers in (0, 1):
            with pytest.raises(DatasetChangedError, match=r"a\.parquet changed since"):
                batches(ds, num_workers=num_workers)
        (tmp_path / "a.parquet").write_bytes(b"PAR1" * 100)
        with pytest.raises(DatasetChangedError, match=r"a\.parquet changed since"):
            ds.source.read(np.arange(N), ["a"])
        (tmp_path / "a.parquet").unlink()
        with pytest.raises(DatasetChangedError, match=r"a\.parquet cannot be found any more"):
            ds.source.read(np.arange(N), ["a"])


def test_a_damaged_object_is_named(tmp_path, http):
    write(tmp_path / "a.parquet")
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[4:100] = b"\xff" * 96
    (tmp_path / "a.parquet").write_bytes(data)
    (tmp_path / "b.parquet").write_bytes(b"a,b,c\n" * 100)
    with serving(tmp_path) as server:
        ds = scan_parquet(server.url("a.parquet"), columns=["a"], filesystem=http)
        with pytest.raises(ValueError, match=r"row group 0 of http://.*a\.parquet cannot be read"):
            ds.source.read(np.arange(N), ["a"])
        with pytest.raises(ValueError, match=r"http://.*b\.parquet cannot be read as Parquet"):
            scan_parquet(server.url("b.parquet"), filesystem=http)


def test_a_saved_model_knows_nothing_of_the_store(folder, server, tmp_path):
    http = fsspec.filesystem("http", headers={"X-Key": "SECRET"})
    url = urls(server)[0].replace("//", "//me:SECRET@")
    ds = scan_parquet(url, target="label", columns=["a"], filesystem=http)
    assert "SECRET" not in repr(ds) + str(ds.source.manifests())
    model = sn.TorchClassifier(max_epochs=1, random_state=0).fit(ds)
    sn.save(model, tmp_path / "model.skops")
    assert b"SECRET" not in (tmp_path / "model.skops").read_bytes()
    assert b"SECRET" not in pickle.dumps(model)
