import multiprocessing
import os
import pickle
import resource
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearnish import scan_parquet
from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._source import Field
from sklearnish.data._sources.parquet import source as parquet
from sklearnish.data._sources.parquet.source import ParquetSource


def frame_of(n, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.standard_normal(n).astype(np.float32),
            "i": rng.integers(-5, 5, n),
            "t": rng.choice(["a", "b", None], n),
            "c": pd.Categorical(rng.choice(["u", "v"], n)),
        }
    )


def write(folder, lengths=(250, 0, 100, 7), group=64):
    frames = [frame_of(n, seed) for seed, n in enumerate(lengths)]
    for i, frame in enumerate(frames):
        frame.to_parquet(folder / f"{i}.parquet", row_group_size=group, index=False)
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    return folder, write(folder)


def check_equal(source, frame, rows):
    names = list(source.schema)
    got = source.read(np.asarray(rows, dtype=np.int64), names)
    assert list(got) == names
    for name in names:
        want = frame[name].astype(object).iloc[rows]
        assert got[name].to_pylist() == want.where(want.notna(), None).tolist()


def test_many_files_are_one_table(many):
    folder, frame = many
    source = ParquetSource(folder)
    assert source.n_rows == len(frame) == 357
    assert source.blocks.tolist() == [0, 64, 128, 192, 250, 314, 350, 357]
    assert source.schema["x"] == Field("float32")
    assert [f.kind for f in source.schema.values()] == ["number", "number", "text", "text"]
    assert source.row_name(350) == f"row 0 of {folder / '3.parquet'}"
    assert source.row_name(251) == f"row 1 of {folder / '2.parquet'}"
    check_equal(source, frame, np.arange(357))


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.integers(0, 356), max_size=60))
def test_read_equals_iloc(many, rows):
    folder, frame = many
    check_equal(ParquetSource(folder), frame, sorted(rows))


def test_only_the_needed_blocks_are_read_once(many):
    source = ParquetSource(many[0])
    source.read(np.array([3, 3, 60, 130, 350]), ["x"])
    assert (source.blocks_read, source.rows_read) == (3, 64 + 64 + 7)
    assert source.bytes_read < 135 * 8


def test_rows_out_of_range_are_refused(many):
    with pytest.raises(IndexError, match="357"):
        ParquetSource(many[0]).read(np.array([357]), ["x"])


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.integers(0, 356), max_size=60))
def test_large_row_groups_give_the_same_rows(many, rows):
    folder, frame = many
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "_LARGE_GROUP", 0)
        patch.setattr(parquet, "_BATCH_ROWS", 10)
        check_equal(ParquetSource(folder), frame, sorted(rows))


def test_a_large_row_group_is_not_read_to_its_end(many, monkeypatch):
    monkeypatch.setattr(parquet, "_LARGE_GROUP", 0)
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 10)
    source = ParquetSource(many[0])
    source.read(np.array([3, 12, 70]), ["x"])
    assert (source.blocks_read, source.rows_read) == (2, 20 + 10)


def test_of_the_beginning_of_a_row_group_the_rest_is_not_read(many, monkeypatch):
    monkeypatch.setattr(parquet, "_HEAD_GROUP", 0)
    folder, frame = many
    source = ParquetSource(folder)
    check_equal(source, frame, [0, 0, 2, 64, 65, 200])
    source = ParquetSource(folder)
    source.read(np.array([0, 0, 2, 64]), ["x"])
    assert (source.blocks_read, source.rows_read) == (2, 3 + 1)


def test_iter_batches_keeps_the_order(many, monkeypatch):
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 10)
    folder, frame = many
    source = ParquetSource(folder)
    pieces = [batch["x"].to_numpy() for batch in source.iter_batches(["x"])]
    assert max(map(len, pieces)) <= 10
    np.testing.assert_array_equal(np.concatenate(pieces), frame["x"])


def test_columns_of_many_types(tmp_path):
    table = pa.table(
        {
            "bool": pa.array([True, None]),
            "half": pa.array(np.array([1, 2], dtype=np.float16)),
            "decimal": pa.array([1, 2], pa.decimal128(5, 2)),
            "day": pa.array([1, 2], pa.date32()),
            "vector": pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2)),
            "list": pa.array([[1], []]),
            "nothing": pa.nulls(2),
            "a.b": pa.array([1, 2]),
            "a": pa.array([3, 4]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    source = ParquetSource(tmp_path / "a.parquet")
    kinds = {name: field.kind for name, field in source.schema.items()}
    assert [n for n, k in kinds.items() if k == "other"] == ["list"]
    assert [n for n, k in kinds.items() if k == "datetime"] == ["day"]
    assert source.schema["vector"].shape == (2,)
    got = source.read(np.array([0, 1]), ["a", "nothing", "vector"])
    assert got["a"].to_pylist() == [3, 4]
    assert got["nothing"].type == pa.float64()
    assert got["vector"].to_pylist() == [[1, 2], [3, 4]]
    assert source.row_nbytes(["vector", "half"]) == 10
    assert source.row_nbytes(["vector"]) == 8


def test_the_index_of_a_frame_is_no_column(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=[5, 7])
    frame.to_parquet(tmp_path / "a.parquet")
    assert list(ParquetSource(tmp_path / "a.parquet").schema) == ["x"]


def test_it_pickles_small_and_without_the_footers(tmp_path):
    frame = write(tmp_path, [3000], group=10)
    source = ParquetSource(tmp_path)
    source.read(np.array([0]), ["x"])
    data = pickle.dumps(source)
    assert len(data) < 10_000
    (tmp_path / "0.parquet").rename(tmp_path / "hidden")
    again = pickle.loads(data)  # needs no file
    assert (again.n_rows, again.schema) == (source.n_rows, source.schema)
    (tmp_path / "hidden").rename(tmp_path / "0.parquet")
    check_equal(again, frame, [0, 5, 2999])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_reads_the_same(many, method):
    folder, _ = many
    source, rows = ParquetSource(folder), np.array([0, 100, 300])
    here = source.read(rows, ["x", "t"])  # opens files before the fork
    with multiprocessing.get_context(method).Pool(1) as pool:
        there = pool.apply(source.read, (rows, ["x", "t"]))
    assert all(there[name].equals(here[name]) for name in here)


def test_threads_read_the_same(many):
    folder, frame = many
    source, results = ParquetSource(folder), []

    def work():
        results.extend(source.read(np.arange(357), ["i"])["i"].to_pylist() for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [frame["i"].tolist()] * 20


def test_few_files_stay_open(tmp_path):
    for i in range(80):
        pq.write_table(pa.table({"x": [i]}), tmp_path / f"{i:02}.parquet")
    source = ParquetSource(tmp_path)
    assert source.read(np.arange(80), ["x"])["x"].to_pylist() == list(range(80))
    assert len(source._handles) == 16


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    frame_of(1000).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read as Parquet"):
        ParquetSource(path)


def test_what_the_system_refuses_is_no_damage(tmp_path):
    for name in "ab":
        frame_of(50).to_parquet(tmp_path / f"{name}.parquet")
    source = ParquetSource(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = os.open(tmp_path / "a.parquet", os.O_RDONLY)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken, limits[1]))  # none is left
        with pytest.raises(OSError, match=r"Too many open files: .*b\.parquet") as caught:
            source.read(np.array([60]), ["x"])
        with pytest.raises(OSError, match="Too many open files"):
            list(source.iter_batches(["x"]))
        with pytest.raises(OSError, match="Too many open files"):
            ParquetSource(tmp_path / "a.parquet")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.close(taken)
    assert not isinstance(caught.value, ValueError)
    assert source.read(np.array([60]), ["x"])["x"].to_pylist() == [source_x(tmp_path, 10)]


def source_x(folder, row):
    return pd.read_parquet(folder / "b.parquet")["x"].iloc[row]


TEXTS = pa.DictionaryArray.from_arrays(np.zeros(3000, np.int32), ["a" * 100_000])


def bomb(path, column, **options):
    """Write a file of some kilobytes whose texts take 300 MB if each is held."""
    table = pa.table({"x": np.zeros(len(column), np.float32), "y": column})
    options = {"compression": "zstd", "store_schema": False} | options
    pq.write_table(table, path, dictionary_pagesize_limit=2**24, **options)
    assert path.stat().st_size < 20_000
    return scan_parquet(path, target="y")


def test_a_text_of_many_rows_is_held_once(tmp_path):
    ds = bomb(tmp_path / "a.parquet", TEXTS)
    before = pa.total_allocated_bytes()
    labels = ds.target
    assert len({id(label) for label in labels}) == 1
    assert ds.source.bytes_read < 1_000_000
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert len(ds.head()) == 5
    assert ds[[2999, 4]].to_pandas()["y"].str.len().tolist() == [100_000] * 2
    with pytest.raises(ValueError, match=r"'y' of .*a\.parquet holds text .*MAX_UNPACKED"):
        list(ds.source.iter_batches(["y"]))  # would be written to the cache


def test_nested_texts_are_limited(tmp_path):
    lists = pa.ListArray.from_arrays(np.arange(3001, dtype=np.int32), TEXTS)
    ds = bomb(tmp_path / "a.parquet", lists)
    with pytest.raises(ValueError, match=r"'y' of .*a\.parquet holds text .*MAX_UNPACKED"):
        _ = ds.target
    few = scan_parquet(tmp_path, columns=["y"]).head(2)
    assert few["y"].iloc[0].tolist() == ["a" * 100_000]


def test_texts_that_share_their_beginnings(tmp_path):
    plain = {"use_dictionary": False, "column_encoding": {"y": "DELTA_BYTE_ARRAY"}}
    ds = bomb(tmp_path / "a.parquet", TEXTS.cast(pa.string())[:300], **plain)
    labels = ds.target
    assert len(labels) == 300
    assert len({id(label) for label in labels}) == 1
    assert set(labels) == {"a" * 100_000}


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
def test_texts_in_all_encodings(tmp_path, kind):
    texts = [None if i % 7 == 0 else f"text {i % 50}" for i in range(500)]
    column = pa.array(texts).cast(kind)
    encodings = ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", None]
    for i, encoding in enumerate(encodings):
        chosen = {"use_dictionary": False, "column_encoding": {"x": encoding}} if encoding else {}
        pq.write_table(pa.table({"x": column}), tmp_path / f"{i}.parquet", **chosen)
    for files in ([tmp_path / f"{i}.parquet"] for i in range(4)):
        assert ParquetSource(files).read(np.arange(500), ["x"])["x"].to_pylist() == (
            column.to_pylist()
        )
    source = ParquetSource(tmp_path)
    wanted = column.to_pylist() * 4
    assert source.read(np.arange(2000), ["x"])["x"].to_pylist() == wanted
    assert [x for t in source.iter_batches(["x"]) for x in t["x"].to_pylist()] == wanted


def test_a_damaged_row_group_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"x": np.random.default_rng(0).standard_normal(1000)})
    pq.write_table(table, path, row_group_size=500)
    start = pq.read_metadata(path).row_group(1).column(0).dictionary_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 2000] = b"\xff" * 2000
    path.write_bytes(data)
    source = ParquetSource(path)
    source.read(np.array([499]), ["x"])
    with pytest.raises(ValueError, match=r"row group 1 of .*a\.parquet"):
        source.read(np.array([500]), ["x"])
    with pytest.raises(ValueError, match=r"row group 1 of .*a\.parquet"):
        list(source.iter_batches(["x"]))


def test_a_file_that_changes_is_noticed(tmp_path):
    frame_of(10).to_parquet(tmp_path / "a.parquet")
    source = ParquetSource(tmp_path / "a.parquet")
    source.read(np.array([0]), ["x"])
    frame_of(20).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DatasetChangedError, match=r"a\.parquet changed"):
        source.read(np.array([0]), ["x"])
    with pytest.raises(DatasetChangedError, match=r"a\.parquet changed"):
        source.check_unchanged()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"x": [1.0], "y": ["a"]},
            r"column 'y' is (large_)?string in .*b\.parquet and int64 in .*a",
        ),
        ({"x": [1.0]}, r"b\.parquet has no column 'y'"),
        ({"x": [1.0], "y": [1], "z": [1]}, r"b\.parquet has a column 'z'"),
    ],
)
def test_files_that_differ_are_named(tmp_path, other, message):
    pd.DataFrame({"x": [1.0], "y": [1]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame(other).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=message):
        ParquetSource(tmp_path)


def test_the_order_of_columns_may_differ(tmp_path):
    pq.write_table(pa.table({"x": [1], "y": [2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"y": [4], "x": [3]}), tmp_path / "b.parquet")
    got = ParquetSource(tmp_path).read(np.array([0, 1]), ["x"])
    assert got["x"].to_pylist() == [1, 3]


def test_text_may_be_stored_in_several_ways_and_be_missing(tmp_path):
    kinds = [pa.null(), pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
    for i, kind in enumerate(kinds):
        value = None if kind == pa.null() else str(i)
        pq.write_table(pa.table({"x": pa.array([value]).cast(kind)}), tmp_path / f"{i}.parquet")
    source = ParquetSource(tmp_path)
    assert source.schema["x"].kind == "text"
    assert source.read(np.arange(4), ["x"])["x"].to_pylist() == [None, "1", "2", "3"]


def test_repeated_names_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="two columns named 'x'"):
        ParquetSource(tmp_path / "a.parquet")
