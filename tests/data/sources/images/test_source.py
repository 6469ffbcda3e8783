import gzip
import multiprocessing
import pickle
import re
import tracemalloc

import numpy as np
import pytest

from sklearnish.data._errors import BadRowsError, DatasetChangedError
from sklearnish.data._sources.images.source import (
    images_from_paths,
    images_in_folder,
    images_in_tar,
)
from tests.data.pictures import FORMS, classes, encoded, pack, paths_of, put, scanned, smooth


@pytest.fixture
def folder(tmp_path):
    return classes(tmp_path / "root")


ROWS = np.arange(6)


def test_a_folder_of_class_folders(folder):
    source = images_in_folder(folder)
    assert (source.n_rows, source.blocks, source.in_memory) == (6, None, False)
    assert source.schema["X"].shape == (3, 48, 64)
    assert source.schema["y"].kind == "text"
    assert source.labels("y").tolist() == ["ant", "ant", "cat", "cat", "dog", "dog"]
    assert source.labels("X") is None
    read = source.read(np.array([5, 0, 5]), ["y", "X"])
    assert read["y"].tolist() == ["dog", "ant", "dog"]
    assert read["X"].shape == (3, 3, 48, 64)
    assert read["X"].dtype == np.uint8
    assert read["X"].flags.c_contiguous
    np.testing.assert_array_equal(read["X"][0].transpose(1, 2, 0), smooth(seed=9))
    np.testing.assert_array_equal(read["X"][1].transpose(1, 2, 0), smooth(seed=2))
    assert source.row_name(0) == str(folder / "ant" / "1.webp")


def test_labels_are_known_without_the_pictures(folder):
    source = images_in_folder(folder, size=8)
    for path in folder.rglob("*.*"):
        path.unlink()
    assert source.labels("y")[0] == "ant"
    assert source.read(ROWS[:2], ["y"])["y"].tolist() == ["ant", "ant"]


def test_a_list_of_paths_with_and_without_labels(folder):
    paths = [folder / "dog" / "1.png", str(folder / "cat" / "1.jpeg")]
    source = images_from_paths(paths, [0.5, -1], size=4)
    np.testing.assert_array_equal(source.labels("y"), [0.5, -1])
    assert source.schema["y"].dtype == "float64"
    assert source.read(np.array([1]), ["y"])["y"].tolist() == [-1]
    assert images_from_paths(paths, np.array(["a", "b"], dtype=object), 4).labels("y")[1] == "b"
    unlabelled = images_from_paths(paths, size=4)
    assert list(unlabelled.schema) == ["X", "path"]
    assert unlabelled.labels("y") is None
    assert paths_of(unlabelled) == [str(path) for path in paths]
    assert paths_of(images_from_paths(["dog/1.png"], root=folder)) == ["dog/1.png"]
    named = images_from_paths(paths, labels=lambda path: path.parent.name, size=4)
    assert named.labels("y").tolist() == ["dog", "cat"]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_left_out_is_counted_and_named(folder, form):
    put(folder / "0.png")
    put(folder / "cat" / ".ipynb_checkpoints" / "1-checkpoint.png")
    put(folder / "cat" / ".ipynb_checkpoints" / "2-checkpoint.png")
    put(folder / ".ipynb_checkpoints" / "3.png")
    put(folder / "__MACOSX" / "cat" / "4.png")
    put(folder / "dog" / ".5.png")
    for i in range(5):
        (folder / "dog" / f"{i}.txt").write_text("no picture")
    (folder / "dog" / ".DS_Store").write_text("what a system writes")
    (folder / "dog" / "._1.png").write_text("what a system writes")
    start = "root/" if form == FORMS[2] else ""
    with pytest.warns(UserWarning, match="left out 10 files or folders") as caught:
        source = scanned(form, folder, size=8)
    (warning,) = caught
    assert source.n_rows == 6
    assert set(source.labels("y")) == {"ant", "cat", "dog"}
    text = str(warning.message)
    assert "4 hidden (" in text
    assert f"5 of other kinds ({start}dog/" in text
    assert ", ...)" in text
    assert f"1 in no class folder ({start}0.png)" in text
    assert warning.filename.endswith("pictures.py")  # where the line is that scans
    source.check_unchanged()


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPG", "pjpeg", "jpg_large"])
@pytest.mark.parametrize("form", FORMS[:2])
def test_every_name_of_a_jpeg_is_read(tmp_path, ending, form):
    put(tmp_path / "root" / "cat" / f"1.{ending}", "JPEG")
    put(tmp_path / "root" / "dog" / "1.png")
    assert scanned(form, tmp_path / "root").labels("y").tolist() == ["cat", "dog"]


@pytest.mark.parametrize("make", ["folder", "tar"])
def test_pickles_read_here_and_in_another_process(folder, tmp_path, make):
    if make == "folder":
        source = images_in_folder(folder, size=8)
    else:
        source = images_in_tar(pack(tmp_path / "a.tar", folder), size=8)
    before = source.read(ROWS, ["X"])["X"]
    data = pickle.dumps(source)
    assert len(data) < 2500
    np.testing.assert_array_equal(pickle.loads(data).read(ROWS, ["X"])["X"], before)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(source.read, (ROWS, ["X"]))["X"], before)


def test_pickling_decodes_nothing(folder):
    source = images_in_folder(folder, size=8)
    for path in folder.rglob("*.*"):
        path.unlink()
    assert pickle.loads(pickle.dumps(source)).n_rows == 6


def test_many_pictures_are_kept_in_a_few_megabytes(folder):
    paths = [folder / "cat" / "1.jpeg"] * 10_000
    labels = np.where(np.arange(10_000) % 2, "odd", "even")
    name = len(str(paths[0]))
    tracemalloc.start()
    source = images_from_paths(paths, labels, size=8)
    kept = tracemalloc.get_traced_memory()[0] / 10_000
    tracemalloc.stop()
    assert kept < name + 40
    assert len(pickle.dumps(source)) < (name + 40) * 10_000


# Refusals


def test_ragged_images_name_file_and_sizes(folder):
    (folder / "cat" / "2.png").write_bytes(encoded(smooth(20, 30), "PNG"))
    source = images_in_folder(folder)
    with pytest.raises(ValueError, match=r"2\.png has 20 x 30 .* 48 x 64.*size=") as caught:
        source.read(np.arange(7), ["X"])
    assert str(folder / "ant" / "1.webp") in str(caught.value)
    assert images_in_folder(folder, size=9).read(np.arange(7), ["X"])["X"].shape == (7, 3, 9, 9)


@pytest.mark.parametrize("size", [0, -1, 2.5, (3,), (3, 0), (3, 4, 5), "12", (2.0, 3)])
def test_sizes_that_are_none(folder, size):
    with pytest.raises(ValueError, match="size must be"):
        images_in_folder(folder, size=size)


@pytest.mark.parametrize("ending", ["GIF", "bmp", "tiff", "heic", "heif", "jxl", "tga", "avif"])
@pytest.mark.parametrize("form", FORMS[:2])
def test_other_formats_are_refused_by_name(folder, ending, form):
    (folder / "cat" / f"x.{ending}").write_bytes(b"something")
    with pytest.raises(ValueError, match=rf"cat/x\.{ending} in .* is not JPEG, PNG or WEBP"):
        scanned(form, folder)


def test_lists_that_cannot_be_read(folder):
    path = folder / "cat" / "1.jpeg"
    with pytest.raises(FileNotFoundError, match=r"directory: '/.*missing\.jpg'$"):
        images_from_paths([path, folder / "missing.jpg"])
    with pytest.raises(FileNotFoundError, match="empty"):
        images_from_paths([])
    with pytest.raises(TypeError, match="list of paths"):
        images_from_paths(str(path))
    with pytest.raises(ValueError, match=r"1 images .* labels of shape \(2,\)"):
        images_from_paths([path], ["a", "b"])
    with pytest.raises(ValueError, match="without gaps"):
        images_from_paths([path], [None])


@pytest.mark.parametrize("make", ["folder", "tar"])
def test_files_that_change_are_noticed(folder, tmp_path, make):
    if make == "folder":
        source, changed = images_in_folder(folder, size=8), folder / "cat" / "1.jpeg"
    else:
        changed = pack(tmp_path / "a.tar", folder)
        source = images_in_tar(changed, size=8)
    source.check_unchanged()
    changed.write_bytes(changed.read_bytes() + gzip.compress(b"more"))
    with pytest.raises(DatasetChangedError):
        source.check_unchanged()
    with pytest.raises(DatasetChangedError):
        source.read(ROWS, ["X"])


def test_the_size_is_that_of_the_first_image_that_is_whole(folder):
    first = images_in_folder(folder).row_name(0)
    path = folder / first
    path.write_bytes(path.read_bytes()[:20])
    source = images_in_folder(folder)
    assert source.schema["X"].shape == (3, 48, 64)
    with pytest.raises(BadRowsError, match=re.escape(first)):
        source.read(np.array([0]), ["X"])
