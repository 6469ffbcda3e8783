import os
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, PredefinedSplit

from sklearnish import TorchClassifier, scan_parquet
from sklearnish.data._arrow.table_file import CacheSource, rechunk
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


def damage(files):
    """Overwrite files so that only who reads them notices."""
    for file in files:
        stat = file.stat()
        with file.open("r+b") as opened:
            opened.write(bytes(stat.st_size))
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture
def years(tmp_path):
    """Write 300 rows of each of five years, in one row group each."""
    folder = tmp_path / "years"
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.random(1500), "y": rng.integers(0, 2, 1500)})
    frame["year"] = np.repeat(range(2018, 2023), 300)
    frame.to_parquet(folder, partition_cols=["year"])
    return folder


SPLITS = {
    "one year left out": lambda years: LeaveOneGroupOut().split(years, groups=years),
    "groups": lambda years: GroupKFold(5).split(years, groups=years),
    "told": lambda years: PredefinedSplit(years - 2018).split(),
}


@pytest.mark.parametrize("split", SPLITS)
def test_folds_by_partition_open_their_files_alone(years, split):
    ds = scan_parquet(years, target="y", columns=["a"])
    groups = scan_parquet(years).column("year")
    assert ds.source.blocks_read == 0
    _, test = next(iter(SPLITS[split](groups)))
    (year,) = set(groups[test])
    fold = ds[test]
    kept = set((years / f"year={year}").iterdir())
    others = [file for file in years.rglob("*.parquet") if file not in kept]
    damage(others)
    clf = TorchClassifier(max_epochs=1, num_workers=0, random_state=0).fit(fold)
    assert clf.predict(fold).shape == (300,)
    assert fold.source.bytes_read > 0
    assert fold.source.rows_read == 300 * fold.source.blocks_read


@pytest.mark.parametrize("sampler", ["shuffle", "sequential"])
def test_row_groups_larger_than_a_window_are_copied_for_the_fold_alone(
    years, tmp_path, monkeypatch, sampler
):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    ds = scan_parquet(years, target="year", columns=["a", "y"])
    fold = ds[ds.target == 2020]
    damage(file for file in years.rglob("*.parquet") if "2020" not in str(file))
    keywords = {"sampler": sampler, "shuffle_memory": 800, "num_workers": 0}
    X = np.concatenate([X for X, _ in fold.batches(32, **keywords)])
    expected = pd.read_parquet(years / "year=2020", partitioning=None)[["a", "y"]]
    key = np.argsort(X[:, 0]) if sampler == "shuffle" else slice(None)
    if sampler == "shuffle":
        expected = expected.sort_values("a")
    np.testing.assert_array_equal(X[key], expected.astype(np.float32))
    mapped = fold.map_frames(lambda frame: frame.assign(c=2 * frame["a"]))
    made = np.concatenate([X for X, _ in mapped.batches(32, **keywords)])
    np.testing.assert_array_equal(made, np.column_stack([X, 2 * X[:, 0]]))
    (copy,) = (tmp_path / "cache").glob("*.arrow")
    assert len(CacheSource(copy).read(np.arange(300), ["a"])["a"]) == CacheSource(copy).n_rows


@pytest.mark.parametrize(
    ("values", "dtype", "read"),
    [
        (["1", "02", "-3"], "int64", [1, 2, -3]),
        (["1", "2", "b"], "string", ["1", "2", "b"]),
        (["1", "2", "3.5"], "string", ["1", "2", "3.5"]),
        (["1", str(2**70), "3"], "string", ["1", str(2**70), "3"]),
        (["a=b", "50%25", "%C3%BC %2F"], "string", ["a=b", "50%", "ü /"]),
        (["2020-01-01", "__HIVE_DEFAULT_PARTITION__", "x"], "string", ["2020-01-01", None, "x"]),
        (["__HIVE_DEFAULT_PARTITION__"] * 3, "int64", [np.nan] * 3),
    ],
)
def test_the_type_is_that_of_the_values_in_all_folders(tmp_path, values, dtype, read):
    for i, value in enumerate(values):
        part = tmp_path / f"i={i}" / f"v={value}"
        part.mkdir(parents=True)
        pq.write_table(pa.table({"a": [float(i)]}), part / "0.parquet")
    ds = scan_parquet(tmp_path)
    assert ds.dtypes["v"] == dtype
    column = ds.to_pandas()["v"]
    assert [None if pd.isna(v) else v for v in column] == [None if pd.isna(v) else v for v in read]
