import pytest

from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._sources.images.source import images_in_folder
from tests.data.pictures import classes, paths_of, put


@pytest.fixture
def folder(tmp_path):
    return classes(tmp_path / "root")


def test_only_a_picture_that_would_count_is_a_change(folder):
    put(folder / "0.png")
    with pytest.warns(UserWarning, match=r"1 in no class folder \(0\.png\)"):
        source = images_in_folder(folder, size=8)
    put(folder / "1.png")
    (folder / "cat" / "notes.txt").write_text("no picture")
    source.check_unchanged()
    put(folder / "cat" / "new.png")
    with pytest.raises(DatasetChangedError, match=r"cat/new\.png was added"):
        source.check_unchanged()


def test_links_to_folders_are_followed_but_not_in_a_circle(folder, tmp_path):
    put(tmp_path / "store" / "2.png")
    put(tmp_path / "store" / "deep" / "3.png")
    (folder / "cat" / "more").symlink_to(tmp_path / "store")
    (folder / "bird").symlink_to(tmp_path / "store")
    source = images_in_folder(folder, size=8)
    found = source.labels("y").tolist()
    assert [found.count(name) for name in ("ant", "bird", "cat", "dog")] == [2, 2, 4, 2]
    assert "cat/more/deep/3.png" in paths_of(source)
    (folder / "cat" / "all").symlink_to(folder)
    (tmp_path / "store" / "deep" / "up").symlink_to("..")
    with pytest.warns(UserWarning, match=r"3 linked to a folder around it"):
        assert images_in_folder(folder, size=8).n_rows == 10


def test_folders_that_link_to_each_other_are_no_maze(tmp_path):
    names = [f"f{i}" for i in range(7)]
    for name in names:
        put(tmp_path / name / "1.png")
        for other in names:
            (tmp_path / name / other).symlink_to(tmp_path / other)
    with pytest.raises(ValueError, match="linked to from more than 1,000 places"):
        images_in_folder(tmp_path)
