import io
import tarfile
from pathlib import Path

import pytest

from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.tar import check_regular, check_whole, members, read_members


def packed(path, *names, kind=tarfile.REGTYPE, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, 3 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"abc"))
    return path


def test_members_come_in_order_with_their_offsets(tmp_path):
    path = packed(tmp_path / "a.tar", "b", "d/a", "./c")
    found = list(members(path))
    assert [member.name for member in found] == ["b", "d/a", "./c"]
    data = path.read_bytes()
    assert all(data[m.offset_data : m.offset_data + m.size] == b"abc" for m in found)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: packed(path, "a", mode="w:gz"), "is compressed.*gunzip a.tar"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"a,b\n" * 500), "truncated or not a tar file"),
        (lambda path: path.write_bytes(packed(path, "a").read_bytes()[:700]), "truncated"),
        (lambda path: packed(path, "../a"), "leads out of it"),
        (lambda path: packed(path, "/etc/a"), "leads out of it"),
    ],
)
def test_tars_that_are_refused(tmp_path, make, message):
    path = tmp_path / "a.tar"
    make(path)
    with pytest.raises(ValueError, match=message):
        list(members(path))


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_MAX_MEMBERS", "2")
    with pytest.raises(ValueError, match="more than 2 members"):
        list(members(packed(tmp_path / "a.tar", "a", "b", "c")))


def test_links_are_refused(tmp_path):
    path = packed(tmp_path / "a.tar", "a", kind=tarfile.SYMTYPE)
    with pytest.raises(ValueError, match="link or special file"):
        check_regular(next(members(path)), path)


def test_members_are_read_in_any_order(tmp_path):
    path = packed(tmp_path / "a.tar", "a", "b")
    places = [
        (member.offset_data, size) for member, size in zip(members(path), (3, 2), strict=True)
    ]
    assert list(read_members(Manifest.of(path), places[::-1])) == [b"ab", b"abc"]


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"other")])
def test_a_tar_that_changed_between_two_reads_is_noticed(tmp_path, change):
    path = packed(tmp_path / "a.tar", "a", "b")
    places = [(member.offset_data, member.size) for member in members(path)]
    reads = read_members(Manifest.of(path), places)
    next(reads)
    change(path)
    with pytest.raises(DatasetChangedError, match=r"a\.tar"):
        next(reads)


def test_a_member_that_goes_on_behind_the_end_is_refused(tmp_path):
    path = packed(tmp_path / "a.tar", "a")
    member = next(members(path))
    check_whole(member, Manifest.of(path))
    member.size = 10**6
    with pytest.raises(ValueError, match=r"a\.tar is truncated within its member a"):
        check_whole(member, Manifest.of(path))
