import io
import os
import pickle
import tarfile
import uuid
import zipfile

import fsspec
import numpy as np
import pandas as pd
import pyarrow.fs
import pytest

from sklearnish import scan_csv, scan_npy, scan_parquet
from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._files.found import found
from sklearnish.data._files.remote import RemoteManifest
from sklearnish.data._files.store import Store
from sklearnish.data._fingerprint import fingerprint
from tests.data.object_server import serving


@pytest.fixture
def memory():
    """A folder of its own in the memory of the process."""
    filesystem = fsspec.filesystem("memory")
    folder = f"/{uuid.uuid4().hex}"
    for name in ("a.csv", "sub/b.csv", "_SUCCESS", "sub/.b.crc", "readme.md"):
        filesystem.pipe_file(f"{folder}/{name}", name.encode())
    yield filesystem, f"memory://{folder}"
    filesystem.rm(folder, recursive=True)


def names(paths, suffixes=(), filesystem=None):
    return [manifest.path for manifest in found(paths, suffixes, filesystem)[0]]


def test_a_glob_a_folder_and_a_list_give_objects(memory):
    filesystem, folder = memory
    a, b = f"{folder}/a.csv", f"{folder}/sub/b.csv"
    assert names(f"{folder}/*.csv", (), filesystem) == [a]
    assert names(f"{folder}/**/*.csv", (), filesystem) == [a, b]
    assert names(folder, (".csv",), filesystem) == [a, b]
    assert names(f"{folder}/", (".csv",), filesystem) == [a, b]
    assert names([b, a.removeprefix("memory://")], (), filesystem) == [b, a]


def test_what_cannot_be_found_or_meant_is_refused(memory):
    filesystem, folder = memory
    filesystem.pipe_file(f"{folder}/empty", b"")
    for paths, error, said in [
        (f"{folder}/c.csv", FileNotFoundError, r"no such object.*c\.csv"),
        (f"{folder}/*.npy", FileNotFoundError, r"no object matches memory://.*\*\.npy"),
        (f"{folder}/sub", FileNotFoundError, r"sub holds no \.npy object"),
        ([], FileNotFoundError, "the list of paths is empty"),
        ([f"{folder}/a.csv", f"{folder}/*.csv"], ValueError, r"a\.csv is given twice"),
        (f"{folder}/empty", ValueError, r"is empty \(0 bytes\)"),
        ([3], TypeError, "got int"),
        (3, TypeError, "got int"),
    ]:
        with pytest.raises(error, match=said):
            found(paths, (".npy",), filesystem)
    with pytest.raises(ValueError, match=r'Pass .* filesystem=fsspec\.filesystem\("s3"\)'):
        found("s3://bucket/a.csv")


def test_a_manifest_notices_change_and_loss(memory):
    filesystem, folder = memory
    (manifest,), _ = pickle.loads(pickle.dumps(found(f"{folder}/a.csv", (), filesystem)))
    manifest.check()
    filesystem.pipe_file(f"{folder}/a.csv", b"other")
    manifest.glance()  # which is no request
    with pytest.raises(DatasetChangedError, match=r"a\.csv changed since it was scanned"):
        manifest.check()
    filesystem.rm(f"{folder}/a.csv")
    with pytest.raises(DatasetChangedError, match="cannot be found any more"):
        manifest.check()


def test_a_listing_notices_what_changed_or_was_added(memory):
    filesystem, folder = memory
    manifests, listing = found([f"{folder}/sub", f"{folder}/a.csv"], (".csv",), filesystem)
    listing.check(manifests)
    filesystem.pipe_file(f"{folder}/c.csv", b"beside one that was named")
    pickle.loads(pickle.dumps(listing)).check(manifests)
    filesystem.pipe_file(f"{folder}/sub/c.csv", b"new")
    with pytest.raises(DatasetChangedError, match=r"sub/c\.csv was added"):
        listing.check(manifests)
    filesystem.rm(f"{folder}/sub/c.csv")
    filesystem.pipe_file(f"{folder}/a.csv", b"other")
    with pytest.raises(DatasetChangedError, match=r"a\.csv changed"):
        listing.check(manifests)
    with pytest.raises(DatasetChangedError, match=r"a\.csv changed"):
        listing.check_read(lambda: manifests)
    with (
        pytest.raises(DatasetChangedError, match=r"a\.csv changed"),
        listing.checking(lambda: manifests),
    ):
        pass


def test_of_a_store_that_tells_no_version_samples_are_compared(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(os.urandom(2**20))
    with serving(tmp_path) as server:
        server.keeps_versions = False
        store = Store(fsspec.filesystem("http"))
        manifest = RemoteManifest.of_object(store, server.url("a.bin"))
        assert manifest.version == ""
        server.asked.clear()
        before = manifest.stamp(0)
        assert server.count() == {"a.bin": 8}
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        manifest.check()  # knows the size alone
        assert manifest.stamp(0) != before


def test_objects_are_the_same_whatever_the_keys_of_the_store(memory):
    _, folder = memory
    prints = set()
    for key in ("one", "two"):
        filesystem = fsspec.filesystem("memory", secret=key)
        manifests, listing = found(folder, (".csv",), filesystem)
        prints.add(fingerprint(manifests, listing))
        assert key not in repr((manifests, listing))
        assert all(manifest.version in manifest.stamp(None) for manifest in manifests)
    assert len(prints) == 1
    filesystem.pipe_file(f"{folder}/a.csv", b"other")
    manifests, listing = found(folder, (".csv",), filesystem)
    assert fingerprint(manifests, listing) not in prints


def tar_of(path, text):
    """Write a tar with one member, whose time is always the same."""
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("x.csv")
        member.size, member.mtime = len(text), 1_600_000_000
        tar.addfile(member, io.BytesIO(text))
    return fsspec.filesystem("tar", fo=str(path), skip_instance_cache=True)


def folder_of(path, text):
    path.mkdir()
    (path / "x.csv").write_bytes(text)
    os.utime(path / "x.csv", (1.6e9, 1.6e9))
    return path


def zip_of(path, text):
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("x.csv"), text)
    return fsspec.filesystem("zip", fo=str(path), skip_instance_cache=True)


def dir_of(path, text):
    return fsspec.filesystem("dir", path=str(folder_of(path, text)), fs=fsspec.filesystem("file"))


def sub_tree_of(path, text):
    local = pyarrow.fs.LocalFileSystem()
    return pyarrow.fs.SubTreeFileSystem(str(folder_of(path, text)), local)


def arrow_of(path, text):
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(dir_of(path, text)))


@pytest.mark.parametrize("make", [tar_of, zip_of, dir_of, sub_tree_of, arrow_of])
def test_stores_with_one_name_size_and_time_are_told_apart(tmp_path, monkeypatch, make):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    rows = ["0.5,0"] * 100_000
    texts = []
    for i in range(2):
        rows[30_001] = f"7.5,{i}"  # between the samples
        texts.append("\n".join(["a,y", *rows, ""]).encode())
    assert len(texts[0]) > 2**19
    stores = [make(tmp_path / f"{i}", text) for i, text in enumerate(texts)]
    for _ in range(2):
        sums = [scan_csv("x.csv", target="y", filesystem=store).target.sum() for store in stores]
        assert sums == [0, 1]
    copies = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.arrow")}
    assert len(copies) == 2  # neither took the other's away


def test_a_tar_in_the_place_of_another_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    for i in range(2):
        store = tar_of(tmp_path / "x.tar", f"a,y\n1.5,{i}\n".encode())
        assert scan_csv("x.csv", target="y", filesystem=store).target.tolist() == [i]


def test_of_objects_that_only_have_a_size_all_bytes_are_compared(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    rows = np.zeros((300_000, 1), np.float32)
    with serving(tmp_path) as server:
        server.keeps_versions = False
        for value in (0.0, 3.0):
            rows[101_001] = value
            np.save(tmp_path / "x.npy", rows)
            ds = scan_npy(server.url("x.npy"), filesystem=fsspec.filesystem("http"))
            assert np.asarray(ds).sum() == value


def test_parquet_that_may_change_unnoticed_is_warned_of(tmp_path):
    pd.DataFrame({"a": [1.0, 2.0], "y": [0, 1]}).to_parquet(tmp_path / "x.parquet")
    with serving(tmp_path) as server:
        for path in (server.url("x.parquet"), server.url("x.parquet?sig=hunter2")):
            server.keeps_versions = False
            with pytest.warns(UserWarning, match="replaced by another of the same size") as caught:
                ds = scan_parquet(path, target="y", filesystem=fsspec.filesystem("http"))
            assert caught[0].filename == __file__
            assert "hunter2" not in str(caught[0].message)
            assert ds.target.tolist() == [0, 1]
        server.keeps_versions = True
        scan_parquet(path, target="y", filesystem=fsspec.filesystem("http"))
