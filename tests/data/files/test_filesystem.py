import io
import os
import tarfile

import fsspec
import pyarrow.fs
import pytest
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.ftp import FTPFileSystem

from sklearnish.data._files.filesystem import _arguments, _spelled, in_archive, is_arrow, origin_of


def dir_(path, **more):
    return fsspec.filesystem("dir", path=path, fs=fsspec.filesystem("file", **more))


def arrow_s3(host, password):
    return pyarrow.fs.S3FileSystem(
        access_key="me", secret_key=password, endpoint_override=host, region="x"
    )


def test_filesystems_that_read_other_places_have_other_origins(tmp_path):
    for name in "ab":
        tarfile.open(tmp_path / f"{name}.tar", "w").close()
    local = pyarrow.fs.LocalFileSystem()
    filesystems = [
        *(fsspec.filesystem("tar", fo=str(tmp_path / f"{name}.tar")) for name in "ab"),
        *(dir_(path) for path in ("/a", "/b")),
        *(pyarrow.fs.SubTreeFileSystem(str(tmp_path), local), local),
        *(pyarrow.fs.SubTreeFileSystem(str(tmp_path.parent), local),),
        *(arrow_s3(host, "x") for host in ("one:1", "two:1")),
        *(fsspec.filesystem("http", client_kwargs={"base_url": name}) for name in "ab"),
    ]
    assert len({origin_of(filesystem) for filesystem in filesystems}) == len(filesystems)
    assert origin_of(dir_("/a")) == origin_of(dir_("/a", skip_instance_cache=True))


@pytest.mark.parametrize("secret", ["hunter2", "other"])
def test_no_secret_goes_into_an_origin(secret):
    given = fsspec.filesystem(
        "http",
        client_kwargs={"headers": {"Authorization": secret}, "auth": (secret,)},
        password=secret,
        target=f"http://me:{secret}@host/x?sig={secret}",
    )
    spelled = str(_spelled([given, arrow_s3("one", secret)]))
    assert secret not in spelled
    assert "http://host/x" in spelled
    assert "one" in spelled


def test_arguments_by_place_are_known_by_name(monkeypatch):
    monkeypatch.setattr(FTPFileSystem, "_connect", lambda self: None)
    monkeypatch.setattr(FTPFileSystem, "__del__", lambda self: None)
    store = FTPFileSystem("host", 21, "me", "hunter2", skip_instance_cache=True)
    named = {"host": "host", "port": 21, "username": "me", "password": "hunter2"}
    assert _arguments(store) == named
    assert _spelled(store)[1] == {"host": "host", "port": 21}


def test_members_of_an_archive_are_known(tmp_path):
    tarfile.open(tmp_path / "a.tar", "w").close()
    tar = fsspec.filesystem("tar", fo=str(tmp_path / "a.tar"))
    assert in_archive(tar)
    assert in_archive(fsspec.filesystem("dir", path="x", fs=tar))
    assert not in_archive(fsspec.filesystem("dir", path="x", fs=fsspec.filesystem("file")))


def test_what_pyarrow_opens_is_known():
    arrow = ArrowFSWrapper(pyarrow.fs.LocalFileSystem())
    assert is_arrow(fsspec.filesystem("dir", path="x", fs=arrow))
    assert not is_arrow(fsspec.filesystem("file"))


def test_objects_that_say_no_more_are_spelled_by_their_type():
    one, two = io.BytesIO(b"1"), io.BytesIO(b"2")
    assert _spelled({"fo": one}) == _spelled({"fo": two}) == {"fo": ["_io.BytesIO", None]}
    assert _spelled([b"1", {2, 1}, os.devnull]) == [["builtins.bytes", None], [1, 2], os.devnull]
