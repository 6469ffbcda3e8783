import pickle
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sklearnish.data._arrow import table_file
from sklearnish.data._arrow.stream_copy import Spill, StreamCopy, batch_rows, copy_once

TABLE = pa.table({"a": np.arange(1000.0), "t": [f"t{i % 7}" for i in range(1000)]})


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))


class Stream:
    """A table that counts how often it is streamed."""

    def __init__(self, table, n_rows=64):
        self.table, self.n_rows, self.opened = table, n_rows, 0

    def __call__(self):
        self.opened += 1
        return self.table.schema, self.table.to_batches(self.n_rows)


def read(source):
    """Read all rows of all columns as lists."""
    columns = source.read(np.arange(source.n_rows), list(source.schema))
    return {name: column.to_pylist() for name, column in columns.items()}


def test_a_stream_is_read_once(tmp_path):
    stream = Stream(TABLE)
    first, again, other = (StreamCopy("t", "t", [key], stream) for key in (1, 1, 2))
    assert stream.opened == 2
    assert read(first) == read(again) == read(other) == TABLE.to_pydict()
    assert first.path == again.path != other.path
    assert pickle.loads(pickle.dumps(first)).identity() == again.identity() != other.identity()


def test_a_copy_that_was_deleted_is_the_same_when_it_is_made_again():
    before = StreamCopy("t", "t", [1], Stream(TABLE))
    Path(before.path).unlink()
    assert StreamCopy("t", "t", [1], Stream(TABLE)).identity() == before.identity()


def test_a_stream_that_breaks_leaves_no_copy(tmp_path):
    def broken():
        yield from TABLE.to_batches(64)
        raise OSError("the line is dead")

    with pytest.raises(OSError, match="the line is dead"):
        StreamCopy("t", "t", [1], lambda: (TABLE.schema, broken()))
    assert list((tmp_path / "cache").iterdir()) == []


def test_others_may_not_read_a_copy_of_what_is_far_away(tmp_path):
    near = tmp_path / "near"
    near.touch()
    near.chmod(0o644)
    for key, files, mode in ((1, [str(near)], 0o644), (2, ["s3://bucket/far"], 0o600)):
        copy = StreamCopy("t", "t", [key], Stream(TABLE), files)
        assert (tmp_path / "cache" / copy.path).stat().st_mode & 0o777 == mode


VECTORS = pa.array([[1.0, 2.0]] * 99 + [None], pa.list_(pa.float64()))
RAGGED = pa.concat_arrays([VECTORS, pa.array([[1.0]], pa.list_(pa.float64()))])


@pytest.mark.parametrize(("lists", "shape"), [(VECTORS, (2,)), (RAGGED, ())])
@pytest.mark.parametrize("large", [False, True])
def test_lists_of_one_length_are_features(lists, shape, large):
    lists = lists.cast(pa.large_list(pa.float64())) if large else lists
    source = StreamCopy("t", "t", [1], Stream(pa.table({"v": lists}), n_rows=50))
    assert source.schema["v"].shape == shape
    assert read(source) == {"v": lists.to_pylist()}


@pytest.mark.parametrize("odd", [0, 1, 5, 57, 99])
@pytest.mark.parametrize("other", [[1.0], [1.0, 2.0, 3.0], []])
def test_no_row_is_lost_where_a_list_of_another_length_comes_late(odd, other):
    lists = [[float(i), 1.0] for i in range(1000)]
    lists[odd * 10 + 3] = other
    table = pa.table({"v": pa.array(lists, pa.list_(pa.float64())), "i": range(1000)})
    once = iter([(table.schema, iter(table.to_batches(10)))])
    copy = copy_once("t", "t", lambda: next(once), name=None, version="", refresh=False)
    assert read(copy) == table.to_pydict()


def test_two_lists_that_differ_late_lose_no_row():
    lists = {name: [[1.0, 2.0] for _ in range(600)] for name in "ab"}
    lists["a"][205], lists["b"][470] = [1.0], [1.0]
    table = pa.table(lists)
    once = iter([(table.schema, iter(table.to_batches(10)))])
    copy = copy_once("t", "t", lambda: next(once), name="n", version="", refresh=False)
    assert read(copy) == lists


def test_tables_on_disk_are_read_by_several_at_once():
    tables = [pa.table({"i": range(7 * i, 7 * i + 7)}) for i in range(9)]
    with ExitStack() as opened:
        spill = Spill(opened)
        for table in tables[:5]:
            spill.add(table)
        first = iter(spill)
        assert [next(first), next(first)] == tables[:2]
        assert list(spill) == tables[:5]
        for table in tables[5:]:
            spill.add(table)
        assert list(first) == tables[2:]
        assert list(spill) == tables


def test_rows_that_were_not_written_are_an_error(tmp_path, monkeypatch):
    whole = table_file.equal_batches
    monkeypatch.setattr(table_file, "equal_batches", lambda *a: list(whole(*a))[1:])
    with pytest.raises(RuntimeError, match="1,000 rows came to be copied, but the copy has 700"):
        table_file.write_cache(
            tmp_path / "t.arrow", TABLE.to_batches(), {"a": pa.float64()}, batch_rows=300
        )
    assert not (tmp_path / "t.arrow").exists()


def test_what_arrow_takes_no_rows_of_is_stored_plainly():
    table = pa.table(
        {
            "view": pa.array(["a", None] * 2, pa.string_view()),
            "bytes": pa.array([b"a", None] * 2, pa.binary_view()),
            "coded": pa.array(["a", None] * 2).dictionary_encode(),
            "null": pa.nulls(4),
            "lists": pa.array([["a"], None] * 2, pa.list_(pa.string_view())),
            "list views": pa.array([[1], None] * 2, pa.list_view(pa.int64())),
            "struct": pa.array([{"x": "a"}, None] * 2, pa.struct([("x", pa.string_view())])),
            "map": pa.array([[("k", "v")]] * 4, pa.map_(pa.string_view(), pa.string())),
        }
    )
    source = StreamCopy("t", "t", [1], Stream(table, n_rows=3))
    rows = source.read(np.array([0, 1, 3]), list(source.schema))
    expected = {name: [table[name][i].as_py() for i in (0, 1, 3)] for name in table.column_names}
    assert {name: column.to_pylist() for name, column in rows.items()} == expected


def test_two_columns_of_one_name_are_refused():
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(ValueError, match="two columns named 'a'"):
        StreamCopy("t", "t", [1], lambda: (batch.schema, [batch]))


def test_batches_are_of_about_as_many_values():
    assert [batch_rows(n) for n in (0, 1, 64, 10_000)] == [65_536, 65_536, 16_384, 2048]
