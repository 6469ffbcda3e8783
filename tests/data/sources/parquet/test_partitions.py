import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sklearnish import scan_parquet
from sklearnish.data._arrow.table_file import rechunk
from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._sources.parquet.source import ParquetSource

FRAME = pd.DataFrame(
    {
        "a": np.arange(24.0),
        "y": [0, 1] * 12,
        "year": np.repeat([2020, 2021, 2022], 8),
        "place": (["u v"] * 4 + ["é/x"] * 4) * 3,
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hive") / "rows"
    FRAME.to_parquet(folder, partition_cols=["year", "place"])
    return folder


def test_the_names_of_folders_are_columns(folder):
    ds = scan_parquet(folder, target="y", columns=["a", "year"])
    frame = pd.read_parquet(folder)
    assert ds.dtypes == {"a": "float64", "year": "int64"}
    np.testing.assert_array_equal(np.asarray(ds), frame[["a", "year"]].astype(np.float32))
    shuffled = np.random.default_rng(0).permutation(24)
    np.testing.assert_array_equal(
        np.asarray(ds[shuffled]), frame[["a", "year"]].astype(np.float32).iloc[shuffled]
    )
    assert list(scan_parquet(folder).source.schema) == list(frame.columns)
    table = scan_parquet(folder).to_pandas()
    assert table["place"].tolist() == frame["place"].astype(str).tolist()


def test_as_target_and_weight(folder):
    ds = scan_parquet(folder, target="place", weight="year", columns=["a"])
    assert ds.target.tolist() == pd.read_parquet(folder)["place"].astype(str).tolist()
    assert ds.weight.tolist() == FRAME["year"].tolist()
    assert ds.source.blocks_read == 0  # no file is opened for it
    assert ds.classes.tolist() == ["u v", "é/x"]


def test_only_the_files_of_the_rows_are_read(folder):
    ds = scan_parquet(folder)
    rows = np.flatnonzero(pd.read_parquet(folder)["year"] == 2021)
    view = ds.select(["a", "year"])[rows]
    assert np.asarray(view)[:, 1].tolist() == [2021] * 8
    assert ds.source.blocks_read == 2


def test_missing_values_and_numbers_of_several_levels(tmp_path):
    for i, name in enumerate(["m=01", "m=12", "m=__HIVE_DEFAULT_PARTITION__"]):
        part = tmp_path / name / "k%3D=x%2Fy"
        part.mkdir(parents=True)
        pq.write_table(pa.table({"a": [float(i)]}), part / "0.parquet")
    ds = scan_parquet(tmp_path)
    assert ds.dtypes == {"a": "float64", "m": "int64", "k=": "string"}
    np.testing.assert_array_equal(np.asarray(ds.select(["a", "m"])), [[0, 1], [1, 12], [2, np.nan]])
    assert ds.to_pandas()["k="].tolist() == ["x/y"] * 3


def test_which_folders_count(folder):
    files = sorted(folder.rglob("*.parquet"))
    names = ["a", "y", "year", "place"]
    assert list(ParquetSource(folder / "*/*/*.parquet").schema) == names
    assert list(ParquetSource(files).schema) == names
    assert list(ParquetSource(folder / "year=2021").schema) == ["a", "y", "place"]
    assert list(ParquetSource(files[0]).schema) == ["a", "y"]


def test_a_file_that_lies_elsewhere(folder, tmp_path):
    pq.write_table(pa.table({"a": [1.0], "y": [1]}), tmp_path / "b.parquet")
    paths = [folder, tmp_path / "b.parquet"]
    with pytest.raises(ValueError, match=r"b\.parquet lies in no folder year="):
        scan_parquet(paths)
    assert len(scan_parquet(paths, columns=["a"])) == 25


def test_a_column_that_is_in_the_files_too(tmp_path):
    for year in (2020, 2021):
        (tmp_path / f"year={year}").mkdir()
        table = pa.table({"year": pa.array([7, 7], pa.int16()), "a": [1.0, 2.0]})
        pq.write_table(table, tmp_path / f"year={year}" / "0.parquet")
    ds = scan_parquet(tmp_path)
    assert ds.dtypes == {"year": "int16", "a": "float64"}
    assert np.asarray(ds)[:, 0].tolist() == [2020, 2020, 2021, 2021]  # as in pyarrow


def test_copies_workers_and_added_files(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    ds = scan_parquet(folder, columns=["a", "year"])
    copy = rechunk(ds.source, ["year", "place", "a"], 16)
    rows = np.arange(24)
    assert copy.read(rows, ["year"])["year"].to_pylist() == FRAME["year"].tolist()
    assert len(pickle.dumps(ds.source)) < 4000
    again = pickle.loads(pickle.dumps(ds))
    np.testing.assert_array_equal(np.asarray(again), np.asarray(ds))
    batches = ds.batches(10, shuffle=True, num_workers=1)
    assert sorted(x for X, _ in batches for x in X[:, 1].tolist()) == FRAME["year"].tolist()
    added = folder / "year=2023" / "place=z"
    added.mkdir(parents=True)
    pq.write_table(pa.table({"a": [1.0], "y": [0]}), added / "0.parquet")
    with pytest.raises(DatasetChangedError, match="year=2023"):
        ds.source.check_unchanged()
