import sqlite3
import traceback
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sklearnish import TorchClassifier
from sklearnish.data import (
    check_no_path,
    scan_arrow,
    scan_csv,
    scan_delta,
    scan_hdf5,
    scan_iceberg,
    scan_images,
    scan_npy,
    scan_parquet,
    scan_shards,
    scan_sql,
    scan_zarr,
)

SCANS = [scan_parquet, scan_csv, scan_npy, scan_images]

FRAME = pd.DataFrame(
    {"a": [1.0, 2.0, 3.0], "b": [4, 5, 6], "label": [0, 1, 0], "w": [1.0, 2.0, 3.0]}
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    for i in range(2):
        FRAME.to_parquet(folder / f"{i}.parquet")
    return folder


@pytest.mark.parametrize("scan", [scan_parquet, scan_csv])
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"target": FRAME.label}, "target takes the name of a column or .*, got Series.*with_t"),
        ({"target": pd.Series(["a", "b"])}, "target takes .*, got Series"),
        ({"target": pl.Series(["a", "b"])}, "target takes .*, got Series"),
        ({"target": np.arange(1000)}, "target takes .*, got ndarray"),
        ({"target": 4}, "target takes .*, got int"),
        ({"target": ["a", 4]}, "target takes .*, got list"),
        ({"weight": FRAME.w}, "weight takes the name of a column, got Series.*with_weight"),
        ({"weight": ["w"]}, "weight takes .*, got list"),
        ({"columns": 4}, "columns takes a list of names, got int"),
    ],
)
def test_values_in_the_place_of_names_are_refused(folder, monkeypatch, scan, keywords, message):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(folder / "no cache"))
    with pytest.raises(TypeError, match=message) as caught:
        scan(folder / "0.parquet", **keywords)  # no CSV file: nothing is parsed before
    assert len(str(caught.value)) < 200


def test_any_collection_of_names_will_do(folder):
    wanted = scan_parquet(folder, columns=["a", "b"], target="label")
    for columns in (
        ("a", "b"),
        pd.Index(["a", "b"]),
        np.array(["a", "b"]),
        {"a": 1, "b": 1}.keys(),
    ):
        ds = scan_parquet(folder, columns=columns, target=np.array(["label"]))
        assert (ds.columns, ds.shape) == (wanted.columns, wanted.shape)


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("frame", [FRAME, pl.from_pandas(FRAME), pl.from_pandas(FRAME).lazy()])
def test_a_frame_is_no_path(scan, frame):
    with pytest.raises(TypeError, match=r"got \w+Frame\. Pass data in memory .*sn\.as_dataset"):
        scan(frame)


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize(("paths", "given"), [(5, "int"), (None, "NoneType"), ([5], "int")])
def test_what_is_no_path(scan, paths, given):
    with pytest.raises(TypeError, match=rf"^expected a path .*, got {given}\."):
        scan(paths)


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("paths", ["", [""], [], ()], ids=repr)
def test_an_empty_path_is_not_the_current_folder(folder, monkeypatch, scan, paths):
    monkeypatch.chdir(folder)  # where there would be something to read
    with pytest.raises(FileNotFoundError, match=r"an empty path was given|list of .* is empty"):
        scan(paths)


@pytest.mark.parametrize(
    ("X", "scan"),
    [
        ("a.CSV", r"scan_csv\(path, target=\.\.\.\)"),
        (Path("a.npy"), r"scan_npy\("),
        ("a.parquet", r"scan_parquet\("),
        ("a", r"scan_parquet\("),
        ("a.png", r"scan_images\(\[\.\.\.\], size=\(height, width\)\)"),
        (["a.jpg", "b.jpg"], r"scan_images\(\[\.\.\.\]"),
        ("a.h5", r"scan_hdf5\(path, name, "),
        ("a.zarr", r"scan_zarr\(path, name, "),
        ("a.tar", r"scan_images\(path\), or sn\.scan_shards\("),
        ("a.csv.gz", r"scan_csv\("),
    ],
)
def test_a_name_of_a_file_is_no_rows(X, scan):
    with pytest.raises(TypeError, match=rf"name of a file, 'a.*Scan it first: ds = sn\.{scan}"):
        check_no_path(X)


@pytest.mark.parametrize("X", [[], ["some text"], [[1.0]], np.zeros((2, 2)), None], ids=repr)
def test_what_is_no_name_of_a_file(X):
    check_no_path(X)


def test_no_columns_at_all_are_refused_by_whatever_scans_a_table(folder, request):
    table = pa.table({"a": [1.0, 2.0]})
    connection = sqlite3.connect(":memory:")
    request.addfinalizer(connection.close)
    connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    for scan in (
        lambda: scan_parquet(folder / "0.parquet", columns=[]),
        lambda: scan_arrow(table, columns=[]),
        lambda: scan_sql("SELECT * FROM t", connection, columns=[]),
    ):
        with pytest.raises(ValueError, match=r"has no feature columns besides \(\)"):
            scan()


SECRET = "hunter2"
NOWHERE = {
    **{"aws_endpoint": "http://127.0.0.1:9", "allow_http": "true", "aws_region": "x"},
    **{"aws_access_key_id": "a", "aws_secret_access_key": "b", "azure_storage_account_name": "a"},
    **{"max_retries": "0", "timeout": "1s", "azure_endpoint": "http://127.0.0.1:9"},
}
URLS = [
    f"http://me:{SECRET}@127.0.0.1:9/x",
    f"s3://ME:p@{SECRET}@b/x.csv",
    f"az://c/x.npy?sig={SECRET}",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    "scan",
    [
        *(scan_parquet, scan_csv, scan_npy, scan_images, scan_delta, scan_iceberg, scan_arrow),
        lambda url: scan_hdf5(url, "X"),
        lambda url: scan_zarr(url, "X"),
        lambda url: scan_shards(url, "npy"),
        lambda url: scan_shards([url], "npy"),
        lambda url: scan_parquet([url]),
        lambda url: scan_images([f"{url}.jpg"], size=(8, 8)),
        lambda url: scan_images(url, size=(8, 8), labels=[0]),
        lambda url: scan_sql("SELECT 1", url),
        lambda url: scan_delta(url, storage_options=NOWHERE),
        lambda url: TorchClassifier().fit(url),
        lambda url: scan_parquet(url, filesystem=fsspec.filesystem("memory")),
        lambda url: scan_npy(url, filesystem=url),
    ],
)
def test_no_error_shows_what_a_url_has_of_secrets(scan, url):
    with pytest.raises((ValueError, TypeError, OSError)) as caught:
        scan(url)
    shown = "".join(traceback.format_exception(caught.value, limit=0))
    assert SECRET not in shown
