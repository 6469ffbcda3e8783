import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sklearnish import scan_csv, scan_parquet
from sklearnish.data._sources.parquet.source import ParquetSource
from sklearnish.data._views.columns import (
    check_numeric,
    column_names,
    feature_names,
    feature_positions,
    listed_names,
)

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("columns") / "some.parquet"
    times = pd.date_range("2024", periods=2)
    pd.DataFrame({"a": [1, 2], "name": ["x", "y"], "when": times}).to_parquet(path)
    return ParquetSource(path)


def test_a_missing_column_is_named_with_the_alternatives(source):
    assert column_names(source, ["when", "a"]) == ("when", "a")
    with pytest.raises(ValueError, match=r"has no column 'A', 'b'. Its columns are 'a', 'name'"):
        column_names(source, ["A", "a", "b"])


def test_names_are_listed_and_a_single_string_is_not():
    assert listed_names(iter("ab")) == ("a", "b")
    with pytest.raises(TypeError, match=r"'price' is one string; pass a list: select\(\['price'\]"):
        listed_names("price")


@pytest.mark.parametrize("columns", [5, None])
def test_no_list_of_names_is_refused(columns):
    with pytest.raises(TypeError, match=f"takes a list of names of columns.*, not {columns}"):
        listed_names(columns)


def test_what_is_no_name_is_a_column_that_does_not_exist(source):
    with pytest.raises(ValueError, match=r"has no column 5, \['a'\]"):
        column_names(source, [5, ["a"]])


def test_of_many_columns_some_are_listed(tmp_path):
    wide = pd.DataFrame(np.zeros((1, 30)), columns=[f"c{i}" for i in range(30)])
    wide.to_parquet(tmp_path / "wide.parquet")
    with pytest.raises(ValueError, match=r"'c19' and 10 more"):
        column_names(ParquetSource(tmp_path / "wide.parquet"), ["x"])


def test_features_that_are_not_numbers_are_named_with_the_ways_out(source):
    check_numeric(source, ["a"])
    message = r"'name' \(.*string\), 'when' \(timestamp\[..\]\). Drop .* ds.select.*map_frames"
    with pytest.raises(ValueError, match=message):
        check_numeric(source, ["a", "name", "when"])


@pytest.mark.parametrize(
    ("key", "picked"),
    [
        (slice(1, None, 2), "bd"),
        ([-1, 0], "da"),
        (np.array([2, 2]), "cc"),
        (["c", "a"], "ca"),
        ([True, False, False, True], "ad"),
        ([], ""),
        ({"b": 1, "d": 2}.keys(), "bd"),
        (np.array([np.int64(1), "a"], dtype=object), "ba"),
    ],
)
def test_feature_names(key, picked):
    assert feature_names(NAMES, key) == tuple(picked)


@pytest.mark.parametrize("key", [[4], [-5], [True], [True] * 5])
def test_columns_out_of_range(key):
    with pytest.raises(IndexError, match="4 columns"):
        feature_names(NAMES, key)


@pytest.mark.parametrize("key", [1.5, None, [1.5], [None], [[0, 1]], np.array("ab")], ids=repr)
def test_what_picks_no_columns(key):
    with pytest.raises(IndexError, match="picked by a slice, a mask or a list of names or numbers"):
        feature_names(NAMES, key)
    with pytest.raises(IndexError, match="picked by a slice, a mask or a list of numbers, not by"):
        feature_positions(4, None, key)


def test_feature_positions_count_from_the_matrix():
    picked = feature_positions(5, None, slice(1, 4))
    np.testing.assert_array_equal(picked, [1, 2, 3])
    np.testing.assert_array_equal(feature_positions(3, picked, [-1, 0]), [3, 1])
    np.testing.assert_array_equal(feature_positions(3, picked, [True, False, True]), [1, 3])
    assert feature_positions(3, picked, []).size == 0


def test_feature_positions_refuse_names_and_images():
    with pytest.raises(IndexError, match=r"list of numbers, not by \['a'\]"):
        feature_positions(3, None, ["a"])
    with pytest.raises(IndexError, match="one-dimensional"):
        feature_positions(None, None, [0])


def test_the_index_of_a_frame_is_no_feature(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 0, 0]})
    frame[frame.y == 0].to_parquet(tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet").replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "a.parquet")  # as polars and Hugging Face write it again
    frame.to_csv(tmp_path / "a.csv")
    pd.read_csv(tmp_path / "a.csv").to_csv(tmp_path / "twice.csv")
    for scan, name, index in (
        (scan_parquet, "a.parquet", ["__index_level_0__"]),
        (scan_csv, "a.csv", ["Unnamed: 0"]),
        (scan_csv, "twice.csv", ["Unnamed: 0.1", "Unnamed: 0"]),
    ):
        with pytest.warns(UserWarning, match=rf"'{index[0]}'.* is the index .*columns=\[") as told:
            ds = scan(tmp_path / name, target="y")
        assert ds.columns == ("a",)
        assert len(told) == 1
        assert told[0].filename == __file__
        assert scan(tmp_path / name, target="y", columns=["a", *index]).shape[1] == 1 + len(index)
        assert scan(tmp_path / name, target=index[0], columns=["a"]).target is not None


def test_an_index_is_no_reason_to_stop_where_warnings_are_errors(tmp_path):
    table = pa.table({"a": [1.0, 2.0], "__index_level_0__": [0, 1]})
    pq.write_table(table, tmp_path / "a.parquet")
    with warnings.catch_warnings(action="error"):
        assert scan_parquet(tmp_path / "a.parquet").columns == ("a",)


def test_other_unnamed_columns_stay(tmp_path):
    (tmp_path / "a.csv").write_text("a,,y\n1,2,0\n3,4,1\n")
    assert scan_csv(tmp_path / "a.csv", target="y").columns == ("a", "Unnamed: 1")
    (tmp_path / "b.csv").write_text(",y\n1,0\n3,1\n")
    assert scan_csv(tmp_path / "b.csv", target="y").columns == ("Unnamed: 0",)  # nothing else


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.timestamp("us"), pa.duration("us"), pa.time64("us")]
)
def test_the_way_out_of_columns_that_are_no_numbers(tmp_path, kind):
    column = pa.array(["a"] if pa.types.is_string(kind) else [5]).cast(kind)
    pq.write_table(pa.table({"x": [1.0], "when": column}), tmp_path / "a.parquet")
    with pytest.raises(
        ValueError, match=r"'when' \(.*ds\.select\(\[\.\.\.\]\).*ds\.map_frames"
    ) as told:
        np.asarray(scan_parquet(tmp_path / "a.parquet"))
    assert np.asarray(scan_parquet(tmp_path / "a.parquet").select(["x"])).tolist() == [[1]]
    assert "Encode" not in str(told.value)
