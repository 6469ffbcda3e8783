from functools import partial

import fsspec
import pytest

from sklearnish.data._files.changes import Listing, Manifest
from sklearnish.data._files.found import found


def test_a_store_and_the_disk_give_the_same_files(tmp_path):
    for name in ("b.csv", "a.csv", "sub/c.csv", "_SUCCESS"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    manifests, listing = found(tmp_path, (".csv",))
    assert {type(manifest) for manifest in manifests} == {Manifest}
    assert type(listing) is Listing
    stored, _ = found(tmp_path, (".csv",), fsspec.filesystem("file"))
    assert [m.path.removeprefix("file://") for m in stored] == [m.path for m in manifests]
    for one, other in zip(stored, manifests, strict=True):
        assert one.size == other.size
        with one.open() as a, other.open() as b, one.stream() as c, other.stream() as d:
            assert a.read() == b.read() == c.read() == d.read()
        assert one.read_tail(3) == other.read_tail(3)
        assert one.read_tail(100) == other.read_tail(100)


def test_a_listing_reads_one_by_one_on_the_disk_and_several_at_once_in_a_store(tmp_path):
    (tmp_path / "a.csv").write_text("a")
    for filesystem in (None, fsspec.filesystem("file")):
        manifests, listing = found(tmp_path, (), filesystem)
        assert list(listing.with_ends(manifests)) == manifests
        assert list(listing.each(str, range(100), 1e6)) == list(map(str, range(100)))
        assert list(listing.each(str, range(5), 1e12)) == list(map(str, range(5)))
        with pytest.raises(ZeroDivisionError):
            list(listing.each(lambda x: 1 / x, [1, 0], 1.0))
        listing.check_read(partial(list, manifests))
