import numpy as np
import pandas as pd
import pytest
import torch

from sklearnish.data import scan_csv, scan_images, scan_npy, scan_parquet

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


def test_many_files_are_one_table(folder):
    for paths in (folder, f"{folder}/*.parquet", [folder / "0.parquet", folder / "1.parquet"]):
        ds = scan_parquet(paths, target="label", weight="w")
        assert ds.shape == (6, 2)
        assert ds.columns == ("a", "b")
        np.testing.assert_array_equal(ds.target, [0, 1, 0] * 2)
        np.testing.assert_array_equal(ds.weight, [1, 2, 3] * 2)


def test_only_the_footers_are_read(folder):
    assert scan_parquet(folder).source.rows_read == 0


@pytest.mark.parametrize(
    ("target", "columns", "shape", "wanted"),
    [
        ("label", None, (6,), ("a", "b", "w")),
        (["label"], ["b", "a"], (6,), ("b", "a")),
        (["label", "w"], "b", (6, 2), ("b",)),
    ],
)
def test_columns_have_roles(folder, target, columns, shape, wanted):
    ds = scan_parquet(folder, target=target, columns=columns)
    assert ds.target.shape == shape
    assert ds.columns == wanted
    assert scan_parquet(folder).target is None


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"target": "y"}, "has no column 'y'. Its columns are 'a', 'b', 'label', 'w'"),
        ({"target": ["a", "y"]}, "has no column 'y'"),
        ({"weight": "weight"}, "has no column 'weight'"),
        ({"columns": ["a", "c", "d"]}, "has no column 'c', 'd'"),
        ({"target": ["a", "b", "label", "w"]}, "has no feature columns beside"),
        ({"columns": []}, "has no feature columns"),
    ],
)
def test_a_column_that_does_not_exist_is_named_with_those_that_do(folder, keywords, message):
    with pytest.raises(ValueError, match=message):
        scan_parquet(folder, **keywords)


def test_of_many_columns_that_do_not_exist_a_few_are_named(folder):
    with pytest.raises(ValueError, match=r"has no column 'c0', .*'c19' and 980 more\. Its"):
        scan_parquet(folder, columns=[f"c{i}" for i in range(1000)])


@pytest.mark.parametrize("target", [[1, 2], 5, torch.arange(2), FRAME.label])
def test_labels_that_are_no_array_are_told_from_paths(tmp_path, target):
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    with pytest.raises(TypeError, match=r"^target: expected a path .*got .*np\.asarray\(labels"):
        scan_npy(tmp_path / "a.npy", target=target)


def test_a_file_without_rows(tmp_path):
    FRAME[:0].to_parquet(tmp_path / "empty.parquet")
    with pytest.raises(ValueError, match=r"empty\.parquet has 0 rows; at least one is needed"):
        scan_parquet(tmp_path / "empty.parquet")


def test_no_empty_path_among_others(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="an empty path"):
        scan_npy("a.npy", target="")
    with pytest.raises(FileNotFoundError, match="an empty path"):
        scan_images(["a.png", ""], root=tmp_path)
    with pytest.raises(FileNotFoundError, match="an empty path"):
        scan_images(["a.png"], root="")
