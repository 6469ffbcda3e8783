"""The zip: what is refused before anything is parsed."""

import io
import json
import re
import zipfile

import pytest

import sklearnish as sn
from sklearnish.persistence import _archive
from sklearnish.persistence._archive import (
    _check_json,
    parse_json,
    read_archive,
    read_members,
    write_archive,
)
from tests.persistence.common import rewritten, zipped

ANY = re.compile(r"[a-z]+\.json")


def _read(data, names=ANY):
    return read_members(io.BytesIO(data), names)


@pytest.fixture
def saved(tmp_path):
    sn.save(sn.TorchClassifier(), tmp_path / "a.sn")
    return tmp_path / "a.sn"


def test_members_come_back(tmp_path):
    write_archive(tmp_path / "a", {"model.json": b"{}", "model.skops": bytes(1000)})
    with (tmp_path / "a").open("rb") as file:
        assert read_archive(file) == {"model.json": b"{}", "model.skops": bytes(1000)}


@pytest.mark.parametrize(
    "name", ["../a.json", "/a.json", "b/../../a.json", "a.json/", "a.txt", "..\\a.json", "A:a.json"]
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="never writes"):
        _read(zipped({name: b""}))


def test_a_name_that_ends_early_is_refused():
    data = zipped({"a.jsonXevil": b""}).replace(b"a.jsonXevil", b"a.json\0evil")
    with pytest.raises(ValueError, match="never writes"):
        _read(data)


def test_two_members_of_one_name_are_refused():
    data = zipped({"a.json": b"1", "b.json": b"2"}).replace(b"b.json", b"a.json")
    with pytest.raises(ValueError, match="two members"):
        _read(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_bombs_are_refused(method):
    with pytest.raises(ValueError, match="compressed"):
        _read(zipped({"a.json": bytes(10**6)}, compression=method))


def _with_size(data, size):
    """Claim another size for the member, in its header and in the directory."""
    data = bytearray(data)
    for start, place in ((data.index(b"PK\3\4"), 18), (data.index(b"PK\1\2"), 20)):
        data[start + place : start + place + 8] = size.to_bytes(4, "little") * 2
    return bytes(data)


def test_a_member_larger_than_the_file_is_refused():
    with pytest.raises(ValueError, match="larger than the file"):
        _read(_with_size(zipped({"a.json": b"1"}), 2**31))


def test_members_over_each_other_are_refused():
    # Two entries of the directory, one and the same data.
    data = zipped({"a.json": bytes(1000), "b.json": b""})
    first, second = data.index(b"PK\1\2"), data.rindex(b"PK\1\2")
    entry = bytearray(data[first:second])
    entry[46:52] = b"c.json"
    end = bytearray(data[data.index(b"PK\5\6") :])
    end[8:12] = b"\3\0\3\0"
    end[12:16] = (int.from_bytes(end[12:16], "little") + len(entry)).to_bytes(4, "little")
    overlapping = data[: data.index(b"PK\5\6")] + bytes(entry) + bytes(end)
    with pytest.raises((ValueError, zipfile.BadZipFile), match=r"larger than the file|c\.json"):
        _read(overlapping)


@pytest.mark.parametrize("data", [b"", b"PK", bytes(100), b"\x80\x04N.", b"[1, 2]"])
def test_what_is_no_zip_is_refused(data):
    with pytest.raises(ValueError, match="no zip"):
        _read(data)


def test_another_zip_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"data.csv": b"1,2"}))
    with pytest.raises(ValueError, match=r"member 'data.csv', which sn.save never writes"):
        sn.load(tmp_path / "a.zip")
    (tmp_path / "a.zip").write_bytes(zipped({}))
    with pytest.raises(ValueError, match=r"sn.save did not write it"):
        sn.load(tmp_path / "a.zip")


def test_changed_contents_are_refused(saved):
    path = rewritten(saved, {"model.json": lambda b: b.replace(b"0.001", b"0.002")}, sealed=False)
    with pytest.raises(ValueError, match="not those of its manifest"):
        sn.load(path)


def test_a_member_less_or_more_is_refused(saved):
    path = rewritten(saved, {"model.skops": b""}, sealed=False)
    with pytest.raises(ValueError, match="not those of its manifest"):
        sn.load(path)


@pytest.mark.parametrize("change", [{"format": "other"}, {"format_version": 2}, {"versions": None}])
def test_another_format_is_refused(change, saved):
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | change).encode()
    saved.write_bytes(zipped(members))
    with pytest.raises(ValueError, match=r"its format is|names no versions"):
        sn.load(saved)


def test_other_versions_are_a_warning(saved):
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    manifest["versions"]["torch"] = "1.0.0"
    members["manifest.json"] = json.dumps(manifest).encode()
    saved.write_bytes(zipped(members))
    with pytest.warns(UserWarning, match=r"saved with torch 1.0.0 \(here") as caught:
        sn.load(saved)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"nul", b"\xff", b"[" * 10**5, b"1" * 10**4], ids=lambda b: str(b[:4])
)
def test_json_is_one_object(data):
    with pytest.raises((ValueError, RecursionError)):
        parse_json(data, "model.json")


def test_json_has_a_limit(monkeypatch):
    monkeypatch.setattr(_archive, "_MOST_JSON", 10)
    with pytest.raises(ValueError, match="limit"):
        parse_json(b'{"a": 12345}', "model.json")


def test_json_has_limits_before_it_is_parsed():
    _check_json(b"[]," * 2**20, "model.json")
    with pytest.raises(ValueError, match="1,048,577 lists and objects; the limit is 1,048,576"):
        _check_json(b"[]" * (2**20 + 1), "model.json")
    with pytest.raises(ValueError, match="4,194,305 items"):
        _check_json(b"1," * (2**22 + 1), "model.json")
