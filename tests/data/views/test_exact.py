import sqlite3

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sklearnish.data import scan_parquet, scan_sql
from sklearnish.data._as_dataset import as_dataset

LARGE = [2**53 + 1, 2**53 + 3, 2**60 + 1, 5, None, 7]


@pytest.fixture
def path(tmp_path):
    table = pa.table({"x": np.arange(6.0), "y": pa.array(LARGE, pa.int64())})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    return tmp_path / "t.parquet"


@pytest.mark.parametrize("before", [[], [0], [3, 5], [5, 3, 2, 1, 0]])
@pytest.mark.parametrize("rows", [[0], [2, 0, 2], [0, 1, 2], [0, 1, 2, 3, 5]])
def test_labels_are_exact_where_one_elsewhere_is_missing(path, before, rows):
    ds = scan_parquet(path, target="y")
    assert ds[before].target.tolist() == [LARGE[i] for i in before]
    for _ in range(3):
        for values in (ds[rows].target, ds[rows].column("y")):
            assert values.dtype == np.int64
            assert values.tolist() == [LARGE[i] for i in rows]
    assert ds[rows].read(range(len(rows))).y.tolist() == [LARGE[i] for i in rows]


@pytest.mark.parametrize("rows", [slice(None), [0, 4], [4, 2]])
def test_labels_that_nan_beside_them_would_change_are_an_error(path, rows):
    ds = scan_parquet(path, target="y")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"'y' of row [02] of .*beyond 2\*\*53, and others"):
            _ = ds[rows].target
    np.testing.assert_array_equal(ds[3:].target, [5, np.nan, 7])


def test_the_ends_of_64_bits_stay_apart(tmp_path):
    ends = [2**63 - 1, -(2**63), None, 2**63 - 2, 1]
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute("CREATE TABLE t (x REAL, y INTEGER)")
        connection.executemany("INSERT INTO t VALUES (1.5, ?)", [(y,) for y in ends])
    ds = scan_sql("SELECT * FROM t", connection, target="y")
    connection.close()
    assert ds[[0, 1, 3, 4]].target.tolist() == [ends[i] for i in (0, 1, 3, 4)]


def test_bool_stays_bool_where_one_elsewhere_is_missing(tmp_path):
    y = pa.array([True, False, None, True])
    pq.write_table(pa.table({"x": np.arange(4.0), "y": y}), tmp_path / "t.parquet")
    ds = scan_parquet(tmp_path / "t.parquet", target="y")
    assert ds[[0, 1, 3]].target.dtype == bool
    np.testing.assert_array_equal(ds.target, [1, 0, np.nan, 1])


KINDS = {
    "pandas": lambda y: pd.Series(y, dtype="Int64"),
    "pandas array": lambda y: pd.array(y, dtype="Int64"),
    "pandas of Arrow": lambda y: pd.Series(y, dtype=pd.ArrowDtype(pa.int64())),
    "polars": pl.Series,
    "Arrow": pa.array,
    "chunks": lambda y: pa.chunked_array([y]),
    "list": list,
    "objects": lambda y: pd.Series([pd.NA if v is None else v for v in y], dtype=object),
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_in_memory_are_exact_or_an_error(kind):
    make = KINDS[kind]
    X = np.zeros((3, 1))
    assert as_dataset(X, make([2**53 + 1, -(2**63), 5])).target.tolist() == [2**53 + 1, -(2**63), 5]
    np.testing.assert_array_equal(as_dataset(X, make([3, None, 5])).target, [3, np.nan, 5])
    for large in (2**53 + 1, -(2**63)):
        with pytest.raises(ValueError, match=r"Row 1 of y is a whole number beyond 2\*\*53"):
            as_dataset(X, make([None, large, 5]))


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_targets_in_memory_are_exact_or_an_error(make):
    floats, whole = [1e300, 0.5], [1, 2**53 + 1]
    X = np.zeros((2, 1))
    assert as_dataset(X, make({"a": floats, "b": [1, 2]})).target.tolist() == [[1e300, 1], [0.5, 2]]
    with pytest.raises(ValueError, match="Row 1 of y is a whole number"):
        as_dataset(X, make({"a": floats, "b": whole}))


def test_floats_may_be_large():
    y = [1e300, None, np.inf]
    for labels in (y, pd.Series(y), np.array(y, dtype=float)):
        np.testing.assert_array_equal(
            as_dataset(np.zeros((3, 1)), labels).target, np.array(y, float)
        )
