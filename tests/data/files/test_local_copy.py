import os
from pathlib import Path

import fsspec
import pytest

from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._files import remote_file, store
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.found import found
from sklearnish.data._files.local_copy import errors_of, local_copy
from tests.data.object_server import serving

DATA = os.urandom(300_000)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "_FIRST_PAUSE", 1e-3)
    monkeypatch.setattr(remote_file, "_PIECE", 2**16)
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "a.bin").write_bytes(DATA)
    with serving(tmp_path / "objects") as server:
        yield server


def manifest_of(server):
    (manifest,), _ = found(server.url("a.bin"), (), fsspec.filesystem("http"))
    return manifest


def left(tmp_path):
    return [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]


def test_an_object_is_copied_once_until_it_changes(server, tmp_path):
    server.faults += [503, "cut", None, "close"]
    copy = local_copy(manifest_of(server))
    assert Path(copy.path).read_bytes() == DATA
    assert Path(copy.path).stat().st_mode & 0o077 == 0
    server.asked.clear()
    assert local_copy(manifest_of(server)) == copy
    assert server.count() == {}
    Path(copy.path).write_bytes(DATA[:100])
    with pytest.warns(UserWarning, match="damaged and is made again"):
        assert Path(local_copy(manifest_of(server)).path).read_bytes() == DATA
    (server.folder / "a.bin").write_bytes(DATA[::-1])
    changed = local_copy(manifest_of(server))
    assert Path(changed.path).read_bytes() == DATA[::-1]
    assert not Path(copy.path).exists()


def test_what_fails_leaves_nothing(server, tmp_path):
    manifest = manifest_of(server)
    server.faults += [None, *[503] * 1000]
    with pytest.raises(OSError, match=r"could not be read in 5 tries .*a\.bin"):
        local_copy(manifest)
    server.faults.clear()
    (server.folder / "a.bin").write_bytes(DATA[::-1])
    with pytest.raises(DatasetChangedError, match=r"a\.bin changed since it was scanned"):
        local_copy(manifest)
    assert [path for path in left(tmp_path) if path.suffix == ".arrow"] == []
    assert list((tmp_path / "cache").glob(".*.part")) == []


def test_a_file_of_the_disk_is_read_as_it_is(tmp_path):
    (tmp_path / "a.bin").write_bytes(DATA)
    manifest = Manifest.of(tmp_path / "a.bin")
    assert local_copy(manifest) is manifest


def test_errors_are_said_of_the_object(server):
    manifest = manifest_of(server)
    copy = local_copy(manifest)
    with (
        pytest.raises(ValueError, match=r"^http://.*a\.bin is damaged$"),
        errors_of(manifest, copy),
    ):
        raise ValueError(f"{copy.path} is damaged")
    with pytest.raises(ValueError, match=r"^another$"), errors_of(manifest, copy):
        raise ValueError("another")
