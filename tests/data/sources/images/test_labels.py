import re

import numpy as np
import pytest

from sklearnish.data._sources.images.source import images_in_folder, images_in_tar
from tests.data.pictures import FORMS, classes, paths_of, put, scanned


@pytest.fixture
def folder(tmp_path):
    return classes(tmp_path / "root")


LAYOUTS = {
    "nested": ["cat/1.png", "dog/big/1.png", "dog/small/1.png"],
    "one folder around them": ["pets/cat/1.png", "pets/dog/big/1.png"],
    "two folders around them": ["a/b/cat/1.png", "a/b/cat/x/2.png", "a/b/dog/1.png"],
    "pictures in the only folder": ["all/1.png", "all/cat/2.png"],
    "one class of folders": ["cat/big/1.png", "cat/small/2.png"],
    "not all are splits": ["train/1.png", "plane/2.png", "car/old/3.png"],
    "splits beside a class": ["train/1.png", "test/2.png", "cat/3.png"],
}


LABELS = [
    ["cat", "dog", "dog"],
    ["cat", "dog"],
    ["cat", "cat", "dog"],
    ["all", "all"],
    ["big", "small"],
    ["car", "plane", "train"],
    ["cat", "test", "train"],
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("names", "labels"), list(zip(LAYOUTS.values(), LABELS, strict=True)), ids=LAYOUTS
)
def test_labels_are_the_folders_at_the_first_level_of_several(tmp_path, names, labels, form):
    for i, name in enumerate(names):
        put(tmp_path / "root" / name, seed=i)
    source = scanned(form, tmp_path / "root")
    assert sorted(source.labels("y")) == labels
    found = dict(zip(paths_of(source), source.labels("y"), strict=True))
    start = "root/" if form == "tar of the folder itself" else ""
    assert sorted(found) == sorted(start + name for name in names)
    assert all(label in path.split("/")[:-1] for path, label in found.items())


@pytest.mark.parametrize("form", FORMS[:2])
@pytest.mark.parametrize(
    "names",
    [
        ["train/cat/1.png", "train/dog/1.png", "test/cat/1.png"],
        ["Train/cat/1.png", "VAL/cat/1.png", "other/1.png"],
        ["training_set/cat/1.png", "test_set/1.png"],
        ["pets/train/cat/1.png", "pets/validation/dog/1.png", "pets/holdout/dog/1.png"],
    ],
)
def test_a_split_is_not_taken_for_classes(tmp_path, names, form):
    for name in names:
        put(tmp_path / "root" / name)
    with pytest.raises(ValueError, match="look like the parts of a split") as caught:
        scanned(form, tmp_path / "root")
    advised = re.search(r"sn\.scan_images\((.*?)\)", str(caught.value))[1]
    if form == "folder":
        part = images_in_folder(eval(advised))
    else:
        path, root = advised.split(", root=")
        part = images_in_tar(eval(path), root=eval(root))
    assert set(part.labels("y")) <= {"cat", "dog"}
    assert 0 < part.n_rows < len(names)
    whole = scanned(form, tmp_path / "root", labels=lambda path: path.parent.name)
    assert whole.n_rows == len(names)


@pytest.mark.parametrize("form", FORMS[:2])
def test_a_split_without_classes_is_not_taken_for_them(tmp_path, form):
    for name in ("train/cat.1.png", "train/dog.1.png", "test1/1.png"):
        put(tmp_path / "root" / name)
    with pytest.raises(ValueError, match="'train' and 'test1', which look like the parts of a sp"):
        scanned(form, tmp_path / "root")
    named = scanned(form, tmp_path / "root", labels=lambda path: path.name[0])
    assert sorted(named.labels("y")) == ["1", "c", "d"]


@pytest.mark.parametrize("form", FORMS[:2])
def test_labels_of_ones_own(folder, form):
    by_name = scanned(form, folder, size=8, labels=lambda path: int(path.stem))
    paths = paths_of(by_name)
    assert by_name.labels("y").tolist() == [int(path.split("/")[-1][0]) for path in paths]
    by_order = scanned(form, folder, size=8, labels=np.arange(6) / 2)
    assert by_order.labels("y").tolist() == [0, 0.5, 1, 1.5, 2, 2.5]
    with pytest.raises(ValueError, match=r"6 images .* labels of shape \(2,\)"):
        scanned(form, folder, size=8, labels=[0, 1])
    with pytest.raises(TypeError, match="a function of its path, as in labels=lambda path"):
        scanned(form, folder, size=8, labels="parent")
    put(folder / "0.png")  # in no class folder, which matters no more
    assert scanned(form, folder, size=8, labels=lambda path: "x").n_rows == 7


def test_a_class_folder_linked_to_a_folder_around_it_is_no_class(folder):
    (folder / "self").symlink_to(folder)
    with pytest.warns(UserWarning, match=r"1 linked to a folder around it \(self\)"):
        assert images_in_folder(folder, size=8).n_rows == 6


def test_folders_that_cannot_be_classes(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="not a folder"):
        images_in_folder(tmp_path / "missing")
    with pytest.raises(ValueError, match="no class folders"):
        images_in_folder(folder / "cat" / "deep")
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no JPEG"):
        images_in_folder(folder)
