import multiprocessing
import os
import pickle
import re
import tarfile
import urllib.error

import fsspec
import pyarrow.fs
import pytest
from fsspec.implementations.arrow import ArrowFSWrapper

from sklearnish.data._files import store as module
from sklearnish.data._files.store import Store, is_sure, version
from tests.data.object_server import serving

DATA = bytes(range(256)) * 400


@pytest.fixture
def server(tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(DATA)
    monkeypatch.setattr(module, "_FIRST_PAUSE", 1e-3)
    with serving(tmp_path) as server:
        yield server


@pytest.fixture
def store():
    return Store(fsspec.filesystem("http", skip_instance_cache=True))


@pytest.mark.parametrize("faults", [[503], [429, 500, 502], ["cut", "close", "cut", 503]])
def test_what_fails_for_a_moment_is_asked_for_again(server, store, faults):
    server.faults += faults
    assert store.read(server.url("a.bin"), 10, 500) == DATA[10:500]
    assert server.count() == {"a.bin": len(faults) + 1}


@pytest.mark.parametrize(("fault", "said"), [(503, "503 Service"), ("cut", "Payload|bytes came")])
def test_tries_have_a_limit_and_the_error_names_the_object(server, store, fault, said):
    server.faults += [fault] * 100
    with pytest.raises(OSError, match=f"could not be read in 5 tries .*({said})") as caught:
        store.read(server.url("a.bin"), 0, 500)
    assert caught.value.filename == server.url("a.bin")
    assert server.count() == {"a.bin": 5}


@pytest.mark.parametrize(
    ("name", "fault", "kind"),
    [("a.bin", 403, PermissionError), ("a.bin", 404, FileNotFoundError), ("b.bin", None, OSError)],
)
def test_what_another_try_would_not_mend_is_asked_for_once(server, store, name, fault, kind):
    server.faults.append(fault)
    with pytest.raises(kind, match=re.escape(server.url(name))):
        store.read(server.url(name), 0, 500)
    assert server.count() == {name: 1}


def test_what_is_known_of_an_object_is_asked_for_again_or_not_likewise(server, store):
    server.forbidden.add("a.bin")
    with pytest.raises(PermissionError, match=r"does not allow it \(403 Forbidden\)"):
        store.info(server.url("a.bin"))
    with pytest.raises(FileNotFoundError, match="there is no such object"):
        store.info(server.url("b.bin"))
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match=r"in 5 tries \(ClientConnectorError"):
        Store(fsspec.filesystem("http", skip_instance_cache=True)).info(server.url("a.bin"))


def test_a_server_that_sends_no_parts_is_refused(server, store):
    server.knows_ranges = False
    with pytest.raises(OSError, match="the server sends the whole object where a part is asked"):
        store.read(server.url("a.bin"), 0, 500)
    assert server.count() == {"a.bin": 1}


def test_ranges_are_read_at_once_and_ends_are_kept(server, store):
    url = server.url("a.bin")
    ranges = [(0, 10), (500, 700), (3, 4)]
    assert store.read_ranges(url, ranges) == [DATA[a:b] for a, b in ranges]
    server.asked.clear()
    assert store.read_tail(url, "1", len(DATA), 8) == DATA[-8:]
    assert store.read_tail(url, "1", len(DATA), 60_000) == DATA[-60_000:]
    assert server.count() == {"a.bin": 1}
    assert store.read_tail(url, "1", len(DATA), 80_000) == DATA[-80_000:]
    assert store.read_tail(url, "1", len(DATA), 10**6) == DATA
    assert store.read_tail(url, "2", len(DATA), 8) == DATA[-8:]
    assert server.count() == {"a.bin": 3}


def test_of_ends_those_kept_longest_go(server, store, monkeypatch):
    monkeypatch.setattr(module, "_TAILS", 2 * 2**16)
    for key in "12341":
        store.read_tail(server.url("a.bin"), key, len(DATA), 8)
    assert server.count() == {"a.bin": 5}
    store.read_tail(server.url("a.bin"), "4", len(DATA), 8)
    assert server.count() == {}


def _read(store, url, found):
    found.put(store.read(url, 0, 300))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_store_reads_in_other_processes(server, store, method):
    assert store.read(server.url("a.bin"), 0, 300) == DATA[:300]  # its thread runs
    context = multiprocessing.get_context(method)
    found = context.Queue()
    child = context.Process(target=_read, args=(store, server.url("a.bin"), found))
    child.start()
    assert found.get(timeout=60) == DATA[:300]
    child.join()


def test_credentials_are_not_shown(server, store):
    secret = server.url("a.bin?token=SECRET").replace("//", "//user:SECRET@")
    name = store.name(store.location(secret))
    assert "SECRET" not in name
    assert name != store.name(store.location(secret + "2"))  # they may be two objects
    server.faults += [500] * 5
    with pytest.raises(OSError, match="500") as caught:
        store.read(server.url("a.bin?token=SECRET"), 0, 5)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_any_filesystem_is_taken(tmp_path):
    (tmp_path / "a.bin").write_bytes(DATA)
    inner = fsspec.filesystem("file")
    local = pyarrow.fs.LocalFileSystem()
    given = [
        *(inner, local),
        fsspec.filesystem("dir", path=tmp_path, fs=inner),
        fsspec.filesystem("dir", path=str(tmp_path), fs=ArrowFSWrapper(local)),
        pyarrow.fs.SubTreeFileSystem(str(tmp_path), local),
        pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(inner)),
    ]
    path = str(tmp_path / "a.bin")
    paths = [path, path, "a.bin", "a.bin", "a.bin", path]
    for filesystem, path in zip(given, paths, strict=True):
        store = pickle.loads(pickle.dumps(Store(filesystem)))
        location = store.location(path)
        assert store.info(location)["size"] == len(DATA)
        assert store.read(location, 5, 80) == DATA[5:80]
        assert store.read(location, 0, 80) == DATA[:80]
        assert store.name(location).endswith("a.bin")


def test_what_is_no_filesystem_is_refused():
    for wrong in ("s3", tarfile, 3):
        with pytest.raises(TypeError, match=r"filesystem takes .* such as fsspec\.filesystem"):
            Store(wrong)
    with pytest.raises(ValueError, match="asynchronous=True"):
        Store(fsspec.filesystem("http", asynchronous=True))


def test_what_no_other_version_shares_is_known_from_times():
    for sure in ({"ETag": "1"}, {"VersionId": "v"}, {"CRC": 5}, {"mtime": 1, "md5": "d"}):
        assert is_sure(sure)
    for not_sure in ({}, {"mtime": 1, "ino": 2}, {"ETag": 'W/"1"'}, {"VersionId": "null"}):
        assert not is_sure(not_sure)


def test_a_version_is_whatever_the_store_tells():
    assert version({"size": 3, "type": "file"}) == ""
    assert version({"ETag": '"1"', "LastModified": "today"}) == 'ETag "1", LastModified today'
    assert version({"created": 5, "mtime": 6}) == "mtime 6"
    assert version({"created": 5}) == "created 5"


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (TimeoutError("slow"), 5),
        (ConnectionResetError("gone"), 5),
        (urllib.error.HTTPError("", 503, "busy", None, None), 5),  # type: ignore[arg-type]
        (urllib.error.HTTPError("", 400, "bad", None, None), 1),  # type: ignore[arg-type]
        (PermissionError("no"), 1),
        (ValueError("no such bucket"), 1),
        (OSError("only valid on seekable files"), 1),  # which pyarrow says of what it cannot do
    ],
)
def test_errors_of_any_library_are_told_apart(store, monkeypatch, error, times):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0)
    asked = []

    def ask():
        asked.append(1)
        raise error

    with pytest.raises(OSError, match="http://host/a"):
        store.tried("http://host/a", ask)
    assert len(asked) == times
