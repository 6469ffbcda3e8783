import os
import pickle
import resource
import tarfile
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearnish import as_dataset, scan_csv, scan_images, scan_parquet
from sklearnish.data._bad_rows import find_bad_rows, name_rows
from sklearnish.data._errors import BadRowsError
from tests.faults import _data


@pytest.fixture
def pictures(tmp_path):
    """Of 96 pictures, those of rows 3 and 55 are damaged."""
    _data.pictures(tmp_path / "images", 1)
    for name in ("cat/03.png", "dog/07.png"):
        path = tmp_path / "images" / name
        path.write_bytes(path.read_bytes()[:40])
    return scan_images(tmp_path / "images")


@pytest.fixture
def damaged_group(tmp_path):
    """Row group 2 of 4, rows 50 to 74, cannot be read."""
    path = tmp_path / "a.parquet"
    table = pa.table({"x": np.random.default_rng(0).random(100), "y": np.arange(100) % 2})
    options = {"write_page_checksum": True, "compression": "none", "use_dictionary": False}
    pq.write_table(table, path, row_group_size=25, **options)
    column = pq.read_metadata(path).row_group(2).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(data)
    return scan_parquet(path, target="y")


@pytest.mark.parametrize("num_workers", [0, "auto", 2])
def test_damaged_pictures(pictures, num_workers):
    bad = find_bad_rows(pictures, num_workers=num_workers)
    assert bad.tolist() == [3, 48 + 7]
    assert [name.rsplit("/", 2)[1:] for name in name_rows(pictures, bad)] == [
        ["cat", "03.png"],
        ["dog", "07.png"],
    ]
    assert find_bad_rows(pictures[::-1], num_workers=num_workers).tolist() == [95 - 55, 95 - 3]


def test_all_damaged_pictures_of_a_read_are_named_at_once(pictures):
    with pytest.raises(BadRowsError, match=r"03\.png") as caught:
        pictures.source.read(np.arange(96), ["X"])
    assert caught.value.rows.tolist() == [3, 55]
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.rows.tolist() == [3, 55]


@pytest.mark.parametrize("num_workers", [0, "auto", 2])
def test_a_damaged_row_group(damaged_group, num_workers):
    bad = find_bad_rows(damaged_group, num_workers=num_workers)
    assert bad.tolist() == list(range(50, 75))
    (name,) = name_rows(damaged_group, bad)
    path = damaged_group.source.files[0]
    assert name == f"row 50 of {path} to row 74 of {path}"


@contextmanager
def no_more_files():
    """Let no further file be opened."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = os.dup(0)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("kind", ["parquet", "folder", "tar", "csv", "copy"])
def test_a_file_that_cannot_be_opened_now_is_not_damaged(tmp_path, kind):
    frame = pd.DataFrame({"x": np.arange(20.0), "y": np.arange(20) % 2})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv", index=False)
    _data.pictures(tmp_path / "images", 1)
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        tar.add(tmp_path / "images", "images")
    ds = {
        "parquet": lambda: scan_parquet(tmp_path / "a.parquet", target="y"),
        "folder": lambda: scan_images(tmp_path / "images"),
        "tar": lambda: scan_images(tmp_path / "images.tar"),
        "csv": lambda: scan_csv(tmp_path / "a.csv", target="y"),
        "copy": lambda: scan_parquet(tmp_path / "a.parquet", target="y").cache(tmp_path / "copy"),
    }[kind]()
    find_bad_rows(ds, num_workers=0)  # imports what it needs
    ds = pickle.loads(pickle.dumps(ds))  # no file is open
    with no_more_files(), pytest.raises(OSError, match="Too many open files") as caught:
        find_bad_rows(ds, num_workers=0)
    assert caught.value.filename is not None
    assert find_bad_rows(ds, num_workers=0).tolist() == []


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 299), max_size=20),
    st.integers(0, 5),
    st.sampled_from([float("nan"), float("inf"), -float("inf")]),
)
def test_rows_that_are_not_finite(rows, seed, value):
    X = np.random.default_rng(seed).random((300, 3), dtype=np.float32)
    X[rows, seed % 3] = value
    wanted = sorted(set(rows))
    frame = pd.DataFrame(X)
    for ds in (as_dataset(X), as_dataset(frame), as_dataset(torch.from_numpy(X))):
        assert find_bad_rows(ds).tolist() == wanted
        assert find_bad_rows(ds[100:]).tolist() == [r - 100 for r in wanted if r >= 100]


def test_functions_of_rows_may_mend_and_may_fail():
    X = np.ones((20, 2), np.float32)
    X[7] = np.nan
    ds = as_dataset(X)
    assert find_bad_rows(ds.map_batches(torch.nan_to_num)).tolist() == []
    assert find_bad_rows(ds.map(lambda x: x / (x - x))).tolist() == list(range(20))
    with pytest.raises(ZeroDivisionError):  # an error of code is none of data
        find_bad_rows(ds.map(lambda x: x + 1 // 0))


def test_many_rows_are_named_together():
    X = np.ones((5000, 1), np.float32)
    ds = as_dataset(X)
    assert len(name_rows(ds, np.arange(5000))) == 1
    names = name_rows(ds, np.arange(0, 5000, 2))
    assert len(names) == 1001
    assert names[-1] == "... and 1500 more"
    assert name_rows(ds[::-1], np.array([0]))[0].startswith("row 4999 of")
