import os
import pickle
from pathlib import Path

import pytest

from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._files.changes import Listing, Manifest, sample


def touch(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_manifest_notices_change_and_loss(tmp_path):
    path = touch(tmp_path / "a")
    manifest = pickle.loads(pickle.dumps(Manifest.of(path)))
    manifest.check()
    os.utime(path, ns=(1, 1))
    with pytest.raises(DatasetChangedError, match="a changed since it was scanned"):
        manifest.check()
    path.unlink()
    with pytest.raises(DatasetChangedError, match="cannot be found any more"):
        manifest.check()


def test_a_listing_notices_what_was_added(tmp_path, monkeypatch):
    a = touch(tmp_path / "a.csv")
    monkeypatch.chdir(tmp_path)
    files, listing = Listing.of(["*.csv", touch(tmp_path / "other" / "b.csv")], (".csv",))
    manifests = [Manifest.of(file) for file in files]
    assert files[0] == a
    listing.check(manifests)
    monkeypatch.chdir("/")
    touch(tmp_path / "other" / "c.csv")  # beside a file that was named
    touch(tmp_path / "a.txt")
    pickle.loads(pickle.dumps(listing)).check(manifests)
    touch(tmp_path / "new.csv")
    with pytest.raises(DatasetChangedError, match=r"new\.csv was added since .*\*\.csv"):
        listing.check(manifests)


def test_another_file_of_the_same_size_and_time_is_noticed(tmp_path):
    path, other = touch(tmp_path / "a", "one"), touch(tmp_path / "b", "two")
    for file in (path, other):
        os.utime(file, ns=(1, 1))
    manifest = Manifest.of(path)
    path.chmod(0o600)
    os.link(path, tmp_path / "c")
    manifest.check()  # the same file
    before = sample(path, 0)
    assert sample(path, 100) == sample(tmp_path / "c", 100)
    other.replace(path)
    with pytest.raises(DatasetChangedError, match="a changed since it was scanned"):
        manifest.check()
    assert sample(path, 0) != before
