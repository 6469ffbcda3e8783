import fsspec
import pytest

from sklearnish.data import scan_images


def test_pictures_that_are_not_there_say_what_is_taken(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.jpg").touch()
    takes = "scan_images takes a folder of class folders, a tar, or a list of files"
    with pytest.raises(FileNotFoundError, match=rf"nowhere does not exist .* {takes}\.$"):
        scan_images(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=rf"{takes}, here sorted\(glob\.glob\('.*jpg'\)\)"):
        scan_images(f"{tmp_path}/*/*.jpg")


def test_a_url_needs_a_filesystem_and_a_filesystem_a_tar():
    with pytest.raises(ValueError, match=r'Pass .* filesystem=fsspec\.filesystem\("s3"\)'):
        scan_images("s3://bucket/a.tar")
    with pytest.raises(ValueError, match=r"reads one tar: .* Pack them"):
        scan_images(["s3://bucket/a.png"], filesystem=fsspec.filesystem("memory"))
