import datetime
import decimal
import gc

import adbc_driver_sqlite.dbapi
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from sklearnish.data._sources.arrow_stream import arrow_stream

TABLE = pa.table({"a": [1, 2, None, 4], "b": ["x", None, "y", "x"]})


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def read(source):
    """Read all rows of all columns as lists."""
    columns = source.read(np.arange(source.n_rows), list(source.schema))
    return {name: column.to_pylist() for name, column in columns.items()}


def reader(table, n_rows=2):
    """A stream that can be read once."""
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(n_rows))


class Capsule:
    """Nothing but the protocol."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def parquet(folder):
    """A dataset of pyarrow in two files."""
    for i in range(2):
        pq.write_table(TABLE.slice(2 * i, 2), folder / f"{i}.parquet")
    return pads.dataset(folder, format="parquet")


def cursor(folder):
    """A cursor of ADBC that has run its query."""
    connection = adbc_driver_sqlite.dbapi.connect(str(folder / "db"))
    cursor = connection.cursor()
    cursor.execute("WITH t(a, b) AS (VALUES (1,'x'),(2,NULL),(NULL,'y'),(4,'x')) SELECT * FROM t")
    return cursor


KINDS = {
    "reader": lambda _: reader(TABLE),
    "capsule": lambda _: Capsule(TABLE),
    "table": lambda _: TABLE,
    "record batch": lambda _: TABLE.to_batches()[0],
    "dataset": lambda folder: parquet(folder),
    "scanner": lambda folder: parquet(folder).scanner(),
    "polars": lambda _: pl.from_arrow(TABLE),
    "lazy polars": lambda _: pl.from_arrow(TABLE).lazy().filter(pl.lit(True)),
    "duckdb": lambda _: duckdb.connect().sql(
        "FROM (VALUES (1,'x'),(2,NULL),(NULL,'y'),(4,'x')) AS t(a, b)"
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("asked", [None, {"b"}])
def test_rows_are_the_same_whatever_gives_them(kind, asked, tmp_path):
    source = arrow_stream(KINDS[kind](tmp_path), asked)
    expected = TABLE.to_pydict()
    assert read(source) == ({"b": expected["b"]} if asked else expected)


def test_a_cursor_of_adbc(tmp_path):
    with cursor(tmp_path) as given, given.connection:
        assert read(arrow_stream(given)) == TABLE.to_pydict()


def test_hugging_face_with_and_without_row_numbers():
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict(TABLE.to_pydict())
    assert read(arrow_stream(rows)) == TABLE.to_pydict()
    assert read(arrow_stream(rows.to_iterable_dataset())) == TABLE.to_pydict()
    made = datasets.IterableDataset.from_generator(lambda: ({"a": i} for i in range(3)))
    assert read(arrow_stream(made)) == {"a": [0, 1, 2]}


def test_an_iterable_dataset_without_rows():
    datasets = pytest.importorskip("datasets")
    with pytest.raises(ValueError, match="0 rows"):
        arrow_stream(datasets.IterableDataset.from_generator(lambda: iter([])))


def test_a_lazy_frame_is_not_run_for_a_copy_that_is_there():
    runs = []

    def noted(frame):
        runs.append(1)
        return frame

    frame = pl.from_arrow(TABLE).lazy().map_batches(noted)
    for _ in range(2):
        assert read(arrow_stream(frame, name="mine")) == TABLE.to_pydict()
    assert len(runs) == 1


def test_types_come_back_as_they_went_in():
    moment = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "time": pa.array([moment, None], pa.timestamp("ns", "Europe/Berlin")),
            "day": pa.array([moment.date(), None]),
            "decimal": pa.array([decimal.Decimal("1.50"), None]),
            "big": pa.array([2**63 + 1, None], pa.uint64()),
            "exact": pa.array([2**53 + 1, None]),
            "half": pa.array(np.array([1.5, 2.5], np.float16)),
            "coded": pa.array(["x", None]).dictionary_encode(),
            "coded view": pa.DictionaryArray.from_arrays(
                [0, None], pa.array(["x"], pa.string_view())
            ),
            "large": pa.array(["x", None], pa.large_string()),
            "view": pa.array(["x", None], pa.string_view()),
            "bytes": pa.array([b"x", None]),
            "struct": pa.array([{"s": "x", "n": 1}, None]),
            "ragged": pa.array([[1, 2], [3]]),
            "vector": pa.array([[1.0, 2.0], [3.0, 4.0]]),
            "repeated": pc.run_end_encode(pa.array([7, 7])),
            "repeated text": pc.run_end_encode(pa.array(["x", "x"])),
            "bool": pa.array([True, None]),
            "span": pa.array([datetime.timedelta(1), None]),
        }
    )
    source = arrow_stream(reader(table, 1))
    assert read(source) == table.to_pydict()
    assert source.schema["vector"].shape == (2,)
    assert source.schema["ragged"].shape == ()
    kinds = {name: field.kind for name, field in source.schema.items()}
    assert kinds["time"] == kinds["day"] == "datetime"
    assert kinds["coded"] == kinds["view"] == kinds["repeated text"] == "text"
    assert kinds["decimal"] == kinds["repeated"] == kinds["big"] == "number"


def test_a_column_of_nulls_is_a_number():
    source = arrow_stream(reader(pa.table({"n": pa.nulls(3)})))
    assert source.schema["n"].dtype == "float64"
    assert read(source) == {"n": [None] * 3}


def test_tensors_of_a_fixed_shape_stay_features():
    values = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(12.0).reshape(2, 2, 3))
    assert arrow_stream(reader(pa.table({"t": values}))).schema["t"].shape == (2, 3)


def test_empty_batches_are_passed_over():
    batches = [TABLE.slice(0, 0).to_batches() or [pa.RecordBatch.from_pylist([], TABLE.schema)]]
    batches = [*batches[0], *TABLE.to_batches(), *batches[0]]
    stream = pa.RecordBatchReader.from_batches(TABLE.schema, batches)
    assert read(arrow_stream(stream)) == TABLE.to_pydict()


def test_lists_whose_length_differs_late_are_no_features_and_the_stream_is_read_once():
    lists = [[1.0, 2.0]] * 99 + [[1.0]]
    source = arrow_stream(reader(pa.table({"v": lists, "i": range(100)}), 10))
    assert source.schema["v"].shape == ()
    assert read(source) == {"v": lists, "i": list(range(100))}


def test_two_columns_of_one_name(cache):
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(ValueError, match="two columns named 'a'"):
        arrow_stream(pa.RecordBatchReader.from_batches(batch.schema, [batch]))
    assert list(cache.iterdir() if cache.exists() else ()) == []


def test_the_index_of_a_pandas_frame_is_no_feature():
    import sklearnish as sn

    frame = pd.DataFrame({"a": [1, 2]}, index=[3, 4])
    assert sn.scan_arrow(frame).columns == ("a",)


def test_a_reader_of_the_user_is_not_closed():
    arrow_stream(reader(TABLE), name="mine")
    unread = reader(TABLE)
    arrow_stream(unread, name="mine")
    assert unread.read_all() == TABLE


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("rows.parquet", "scan_parquet"),
        (np.zeros((2, 2)), "sn.as_dataset"),
        ([1, 2], "sn.as_dataset"),
        (object(), "got object"),
        (None, "got NoneType"),
    ],
)
def test_what_gives_no_batches(given, text):
    with pytest.raises(TypeError, match=text):
        arrow_stream(given)


def test_what_is_opened_is_closed():
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t AS FROM range(10)")
    arrow_stream(connection.sql("FROM t"))
    gc.collect()
    connection.execute("DROP TABLE t")  # nothing reads it any more
    connection.close()
