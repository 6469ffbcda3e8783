import io
import os
import pickle
import tarfile

import fsspec
import numpy as np
import pytest

from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._fingerprint import fingerprint
from sklearnish.data._sources.images.source import images_in_folder, images_in_tar
from tests.data.object_server import serving
from tests.data.pictures import classes, encoded, pack, put, smooth


@pytest.fixture
def folder(tmp_path):
    return classes(tmp_path / "root")


def test_a_tar_is_read_as_the_folder_is(folder, tmp_path):
    tar = images_in_tar(pack(tmp_path / "a.tar", folder), size=(10, 12))
    files = images_in_folder(folder, size=(10, 12))
    names = [tar.row_name(i).split(" in ")[0].removeprefix("root/") for i in range(6)]
    order = [names.index(str(os.path.relpath(files.row_name(i), folder))) for i in range(6)]
    np.testing.assert_array_equal(
        tar.read(np.array(order), ["X"])["X"], files.read(np.arange(6), ["X"])["X"]
    )
    assert tar.labels("y")[order].tolist() == files.labels("y").tolist()


def test_a_folder_in_a_tar(folder, tmp_path):
    put(folder / "cat" / ".hidden" / "1.png")
    put(tmp_path / "root2" / "x" / "1.png")
    path = pack(tmp_path / "a.tar", tmp_path, arcname="./top")
    with pytest.warns(UserWarning, match=r"1 hidden \(top/root/cat/\.hidden\)"):
        source = images_in_tar(path, size=8, root="top/root/")
    assert source.n_rows == 6
    assert source.row_name(0).startswith("top/root/")
    for root in ("x", "top/roo", "top/root/cat/1.jpeg"):
        with pytest.raises(ValueError, match=f"{root} in .* holds no JPEG"):
            images_in_tar(path, size=8, root=root)


def test_a_class_folder_of_a_tar_without_pictures(folder, tmp_path):
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"class folder root/empty in .*a\.tar holds no JPEG"):
        images_in_tar(pack(tmp_path / "a.tar", folder))


@pytest.mark.parametrize(
    ("mode", "command"), [("w:gz", "gunzip"), ("w:xz", "unxz"), ("w:bz2", "bunzip2")]
)
def test_a_compressed_tar_names_the_way_out(folder, tmp_path, mode, command):
    with pytest.raises(ValueError, match=f"Decompress it once: {command} a.tar.x"):
        images_in_tar(pack(tmp_path / "a.tar.x", folder, mode))


def test_a_truncated_tar(folder, tmp_path):
    path = pack(tmp_path / "a.tar", folder)
    with tarfile.open(path) as tar:
        last = [m for m in tar.getmembers() if m.isfile()][-1]
    whole = path.read_bytes()
    for cut in (last.offset_data + 1, last.offset_data - 100, 100):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"a\.tar (is truncated|holds no)"):
            images_in_tar(path)


def test_a_zip_and_a_single_image(folder, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + bytes(600))
    with pytest.raises(ValueError, match=r"unzip a\.zip"):
        images_in_tar(tmp_path / "a.zip")
    with pytest.raises(ValueError, match=r"1\.png is one image\. scan_images takes a list"):
        images_in_tar(folder / "dog" / "1.png")


def test_a_tar_of_something_else(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"no tar" * 1000)
    with pytest.raises(ValueError, match="not a tar"):
        images_in_tar(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        images_in_tar(path)
    with tarfile.open(path, "w"):
        pass
    with pytest.raises(ValueError, match="holds no JPEG"):
        images_in_tar(path)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("../x/a.png", tarfile.REGTYPE, "leads out"),
        ("/etc/a.png", tarfile.REGTYPE, "leads out"),
        ("x/a.png", tarfile.SYMTYPE, "link"),
        ("x/a.png", tarfile.LNKTYPE, "link"),
        ("a.png", tarfile.REGTYPE, "holds no class folders"),
    ],
)
def test_members_that_are_refused(tmp_path, name, kind, message):
    data = encoded(smooth(), "PNG")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        member.size = len(data) if kind == tarfile.REGTYPE else 0
        tar.addfile(member, io.BytesIO(data))
    with pytest.raises(ValueError, match=message):
        images_in_tar(tmp_path / "a.tar")


def test_too_many_members(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_MAX_MEMBERS", "5")
    with pytest.raises(ValueError, match="more than 5"):
        images_in_tar(pack(tmp_path / "a.tar", folder))


def test_a_damaged_member_is_named(tmp_path):
    data = encoded(smooth())
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, content in [("x/a.jpg", data), ("x/b.jpg", data[:300])]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    source = images_in_tar(tmp_path / "a.tar")
    with pytest.raises(ValueError, match=r"x/b\.jpg in .*a\.tar cannot be decoded"):
        source.read(np.array([0, 1]), ["X"])


@pytest.mark.parametrize("damage", ["header", "end"])
def test_a_damaged_tar_does_not_lose_its_tail_silently(folder, tmp_path, damage):
    path = pack(tmp_path / "a.tar", folder)
    with tarfile.open(path) as tar:
        member = tar.getmembers()[-1]
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[member.offset : member.offset + 100] = b"\xff" * 100
    else:
        del data[member.offset :]
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.tar is truncated or damaged at byte"):
        images_in_tar(path, size=8)


def test_a_tar_in_a_store_is_read_from_a_copy(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    path = pack(tmp_path / "a.tar", folder)
    (tmp_path / "bad.tar").write_bytes(path.read_bytes()[:3000])
    http = fsspec.filesystem("http", skip_instance_cache=True)
    rows, local = np.arange(6), images_in_tar(path, size=8)
    with serving(tmp_path) as server:
        url = server.url("a.tar")
        source = images_in_tar(url, size=8, filesystem=http)
        server.asked.clear()
        for read in (source, pickle.loads(pickle.dumps(source))):
            assert (read.read(rows, ["X"])["X"] == local.read(rows, ["X"])["X"]).all()
        assert server.asked == []
        assert source.labels("y").tolist() == local.labels("y").tolist()
        assert source.row_name(0) == local.row_name(0).replace(str(path), url)
        before = fingerprint(source.identity())
        for copy in (tmp_path / "cache").iterdir():
            copy.unlink()
        again = images_in_tar(url, size=8, filesystem=http)
        assert fingerprint(again.identity()) == before
        with pytest.raises(ValueError, match=r"^http://.*bad\.tar is truncated"):
            images_in_tar(server.url("bad.tar"), size=8, filesystem=http)
        with pytest.raises(ValueError, match=r"is no tar. With filesystem=, .* reads one tar"):
            images_in_tar(server.url(), size=8, filesystem=http)
        again.check_unchanged()
        pack(path, folder, arcname="other")
        with pytest.raises(DatasetChangedError, match=r"http://.*a\.tar changed since"):
            again.check_unchanged()
