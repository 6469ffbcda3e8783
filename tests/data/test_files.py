import errno
import multiprocessing
import os
import pickle
from pathlib import Path

import pytest

from sklearnish.data._files import (
    DatasetChangedError,
    HandlePool,
    Listing,
    Manifest,
    atomic_folder,
    atomic_path,
    cache_folder,
    check_free_space,
    expand_paths,
    reserve,
)


def touch(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_glob_a_folder_and_a_list_give_files(tmp_path, monkeypatch):
    a, b = touch(tmp_path / "a.csv"), touch(tmp_path / "sub" / "b.csv")
    touch(tmp_path / "_SUCCESS"), touch(tmp_path / ".a.crc"), touch(tmp_path / "readme.md")
    assert expand_paths(str(tmp_path / "*.csv")) == [a]
    assert expand_paths(str(tmp_path / "**/*.csv")) == [a, b]
    assert expand_paths(tmp_path, (".csv",)) == [a, b]
    assert expand_paths([b, str(a)]) == [b, a]
    monkeypatch.chdir(tmp_path)
    assert expand_paths("a.csv") == [a]


def test_a_name_with_glob_characters_is_taken_literally_if_it_exists(tmp_path):
    odd = touch(tmp_path / "a[1].csv")
    assert expand_paths(odd) == [odd]


def test_missing_files_say_what_was_given(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv does not exist"):
        expand_paths(tmp_path / "nowhere.csv")
    with pytest.raises(FileNotFoundError, match=r"no file matches .*\*\.csv"):
        expand_paths(str(tmp_path / "*.csv"))
    with pytest.raises(FileNotFoundError, match=r"empty holds no \.csv file"):
        expand_paths(tmp_path / "empty", (".csv",))
    with pytest.raises(FileNotFoundError, match="list of paths is empty"):
        expand_paths([])


def test_what_cannot_be_meant_is_refused(tmp_path):
    a = touch(tmp_path / "a.csv")
    with pytest.raises(ValueError, match="given twice"):
        expand_paths([a, tmp_path / "*.csv"])
    with pytest.raises(ValueError, match=r"is empty \(0 bytes\)"):
        expand_paths(touch(tmp_path / "b.csv", ""))
    with pytest.raises(ValueError, match="is a URL"):
        expand_paths("s3://bucket/a.csv")
    with pytest.raises(TypeError, match="got int"):
        expand_paths([3])
    with pytest.raises(TypeError, match="got int"):
        expand_paths(3)


def test_a_manifest_notices_change_and_loss(tmp_path):
    path = touch(tmp_path / "a")
    manifest = pickle.loads(pickle.dumps(Manifest.of(path)))
    manifest.check()
    os.utime(path, ns=(1, 1))
    with pytest.raises(DatasetChangedError, match="a changed since it was scanned"):
        manifest.check()
    path.unlink()
    with pytest.raises(DatasetChangedError, match="cannot be found now"):
        manifest.check()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = touch(tmp_path / "a", "old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_half()
    assert path.read_text() == "old"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_cache_folder_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SKLEARNISH_CACHE")
    assert cache_folder().name == "sklearnish"


def test_a_file_is_no_cache_folder(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.touch()
    monkeypatch.setenv("SKLEARNISH_CACHE", str(path))
    with pytest.raises(NotADirectoryError, match=r"variable SKLEARNISH_CACHE is '.*file', a file"):
        cache_folder()


def test_a_full_disk_is_noticed_before(tmp_path):
    check_free_space(tmp_path / "new", 1)
    with pytest.raises(OSError, match="SKLEARNISH_CACHE"):
        check_free_space(tmp_path / "new", 1 << 60)


class Handle:
    """An open file, for the pool's purposes."""

    def __init__(self, key):
        self.key, self.pid = key, os.getpid()


def borrow(pool, key):
    with pool.borrow(key) as handle:
        return handle


def test_the_pool_reuses_limits_and_forgets_handles_that_failed():
    pool = HandlePool(Handle, limit=2)
    first = borrow(pool, 0)
    assert borrow(pool, 0) is first
    for key in range(5):
        borrow(pool, key)
    assert len(pool) == 2
    with pool.borrow("a") as one, pool.borrow("a") as other:
        assert one is not other
    with pytest.raises(RuntimeError, match="bad"), pool.borrow("b"):
        raise RuntimeError("bad")
    assert "b" not in pool._idle
    assert len(pickle.loads(pickle.dumps(pool))) == 0


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_opens_its_own_handles():
    pool = HandlePool(Handle)
    borrow(pool, 0)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put((os.getpid(), borrow(pool, 0).pid)))
    child.start()
    pid, handle_pid = queue.get()
    child.join()
    assert handle_pid == pid != os.getpid()


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


def test_errors_of_the_disk_name_the_file(tmp_path):
    for number, message in [
        (errno.ENOSPC, "a could not be written: .*full"),
        (2, "^.Errno 2. full"),
    ]:
        with pytest.raises(OSError, match=message), atomic_path(tmp_path / "a"):
            raise OSError(number, "full")


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    def write_half():
        with atomic_folder(tmp_path / "a") as folder:
            touch(folder / "x")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_half()
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "a") as folder:
        touch(folder / "x")
        reserve(folder / "x")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["x"]
