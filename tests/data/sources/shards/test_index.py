import io
import os
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from webdataset.tariterators import base_plus_ext

from sklearnish.data._files.changes import Manifest
from sklearnish.data._sources.shards import index as module
from sklearnish.data._sources.shards.index import Index, _split, contents


def packed(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return Manifest.of(path)


@pytest.fixture
def tars(tmp_path):
    a = packed(
        tmp_path / "a.tar",
        [("1.jpg", b"p1"), ("1.cls", b"1"), ("2.cls", b"2"), ("d/3.PNG", b"p3"), ("d/3.cls", b"3")],
    )
    b = packed(tmp_path / "b.tar", [("1.seg.png", b"s" * 99), ("1.jpg", b"p4"), ("1.png", b"-")])
    return [a, b]


def field_of(index, tars, field):
    """Read the bytes of a field by the offsets of the index."""
    places = index.places[field]
    data = [Path(manifest.path).read_bytes() for manifest in tars]
    return [
        data[shard][at : at + size] if size >= 0 else None
        for shard, at, size in zip(index.shards, places.offsets, places.sizes, strict=True)
    ]


def test_fields_of_samples_are_found(tars):
    index = Index(tars, ["jpg;png", "cls", "seg.png"])
    assert index.keys.to_pylist() == ["1", "2", "d/3", "1"]
    assert index.shards.tolist() == [0, 0, 0, 1]
    assert index.fields == {"jpg", "png", "cls", "seg.png"}
    assert field_of(index, tars, "jpg;png") == [b"p1", None, b"p3", b"p4"]
    assert field_of(index, tars, "cls") == [b"1", b"2", b"3", None]
    assert contents(tars[0], "cls") == [b"1", b"2", b"3"]
    assert contents(tars[1], "seg.png") == [b"s" * 99]
    assert contents(tars[1], "cls") == [None]


def test_the_index_is_made_once_and_again_for_another_tar(tars, monkeypatch):
    walked, walk = [], module.members
    monkeypatch.setattr(module, "members", lambda path: (walked.append(path.name), walk(path))[1])
    Index(tars, ["jpg"])
    first = len(walked)
    assert Index(tars, ["cls"]).keys.to_pylist() == ["1", "2", "d/3", "1"]
    assert (first, len(walked)) == (2, 2)
    again = packed(Path(tars[1].path), [("9.jpg", b"p9")])
    assert Index([again], ["jpg"]).keys.to_pylist() == ["9"]
    assert walked[2:] == ["b.tar"]


def test_a_damaged_index_is_made_again(tars, tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    Index(tars[:1], ["jpg"])
    (file,) = (tmp_path / "cache").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(UserWarning, match="damaged and is made again"):
        assert Index(tars[:1], ["jpg"]).keys.to_pylist() == ["1", "2", "d/3"]


def test_many_members_are_written_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 3)
    manifest = packed(tmp_path / "a.tar", [(f"{i}.cls", str(i).encode()) for i in range(10)])
    assert contents(manifest, "cls") == [str(i).encode() for i in range(10)]


def test_a_field_twice_is_refused(tmp_path):
    manifest = packed(tmp_path / "a.tar", [("1.jpg", b""), ("1.JPG", b"")])
    with pytest.raises(ValueError, match=r"a.tar has the field 'jpg' of the sample '1' twice"):
        Index([manifest], ["jpg"])


@given(name=st.from_regex(re.compile(r"[a./_]{1,12}"), fullmatch=True))
def test_names_are_split_as_webdataset_does(name):
    """But for hidden files, which systems add, and which would part samples there."""
    if os.path.basename(name).startswith(".") or name.startswith("__"):  # noqa: PTH119
        return
    key, field = base_plus_ext(name)
    assert _split(name) == (None if key is None else (key, field.lower()))


def test_notes_and_hidden_files_belong_to_no_sample():
    for name in ("__index__", "__meta__/1.json", "a/._1.jpg", ".DS_Store", "README"):
        assert _split(name) is None


def test_an_empty_shard_has_no_samples(tmp_path):
    index = Index([packed(tmp_path / "a.tar", [])], ["jpg"])
    np.testing.assert_array_equal(index.places["jpg"].sizes, [])
    assert len(index.keys) == 0
