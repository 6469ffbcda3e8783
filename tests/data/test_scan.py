import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from sklearnish.data._scan import scan_csv, scan_images, scan_npy, scan_parquet

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


def test_of_many_columns_that_do_not_exist_a_few_are_named(folder):
    with pytest.raises(ValueError, match=r"has no column 'c0', .*'c19' and 980 more\. Its"):
        scan_parquet(folder, columns=[f"c{i}" for i in range(1000)])


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


@pytest.mark.parametrize("target", [[1, 2], 5, torch.arange(2), FRAME.label])
def test_labels_that_are_no_array_are_told_from_paths(tmp_path, target):
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    with pytest.raises(TypeError, match=r"^target: expected a path .*got .*np\.asarray\(labels"):
        scan_npy(tmp_path / "a.npy", target=target)


def test_a_file_without_rows(tmp_path):
    FRAME[:0].to_parquet(tmp_path / "empty.parquet")
    with pytest.raises(ValueError, match=r"empty\.parquet has 0 rows; at least one is needed"):
        scan_parquet(tmp_path / "empty.parquet")


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("paths", ["", [""], [], ()], ids=repr)
def test_an_empty_path_is_not_the_current_folder(folder, monkeypatch, scan, paths):
    monkeypatch.chdir(folder)  # where there would be something to read
    with pytest.raises(FileNotFoundError, match=r"an empty path was given|list of .* is empty"):
        scan(paths)


def test_no_empty_path_among_others(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="an empty path"):
        scan_npy("a.npy", target="")
    with pytest.raises(FileNotFoundError, match="an empty path"):
        scan_images(["a.png", ""], root=tmp_path)
    with pytest.raises(FileNotFoundError, match="an empty path"):
        scan_images(["a.png"], root="")


def test_pictures_that_are_not_there_say_what_is_taken(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.jpg").touch()
    takes = "scan_images takes a folder of class folders, a tar, or a list of files"
    with pytest.raises(FileNotFoundError, match=rf"nowhere does not exist .* {takes}\.$"):
        scan_images(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=rf"{takes}, here sorted\(glob\.glob\('.*jpg'\)\)"):
        scan_images(f"{tmp_path}/*/*.jpg")
