import errno
import gc
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sklearnish.data._files.atomic import (
    OwnedFile,
    atomic_copy,
    atomic_folder,
    atomic_path,
    check_free_space,
    remove_leftovers,
    reserve,
    shared_permissions,
)


def touch(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def write(path, text):
    with atomic_path(path) as temporary:
        temporary.write_text(text)


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
        with (folder / "x").open("rb+") as file:
            reserve(file)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["x"]


@pytest.fixture(params=[0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_new_files_and_folders_have_the_permissions_of_the_umask(tmp_path, umask):
    write(tmp_path / "file", "new")
    with atomic_folder(tmp_path / "folder"):
        pass
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~umask


def test_many_writers_leave_the_umask_of_the_process(tmp_path, umask):
    def often(name):
        for _ in range(20):
            write(tmp_path / name, "text")

    threads = [threading.Thread(target=often, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.umask(umask) == umask
    assert {f.stat().st_mode & 0o777 for f in tmp_path.iterdir()} == {0o666 & ~umask}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_a_file_written_anew_keeps_its_permissions(tmp_path, mode):
    path = touch(tmp_path / "a", "old")
    path.chmod(mode)
    with atomic_path(path) as temporary:
        assert temporary.stat().st_mode & 0o077 == mode & 0o077  # before anything is in it
        temporary.write_text("new")
    assert path.stat().st_mode & 0o777 == mode
    assert path.read_text() == "new"


@pytest.mark.parametrize("exists", [True, False])
def test_links_are_followed(tmp_path, exists):
    if exists:
        touch(tmp_path / "releases" / "7", "old")
    (tmp_path / "link").symlink_to("releases/7")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "releases" / "7").read_text() == "new"


def test_a_device_is_not_replaced():
    with pytest.raises(OSError, match="is a device or a pipe"), atomic_path("/dev/null"):
        pass
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("exists", [True, False])
def test_links_that_others_may_have_put_there_are_replaced(tmp_path, exists):
    if exists:
        touch(tmp_path / "precious", "old")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    with atomic_copy(tmp_path / "link", []) as temporary:
        temporary.write_text("new")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_text() == "new"
    assert (tmp_path / "precious").exists() == exists
    assert not exists or (tmp_path / "precious").read_text() == "old"


def test_a_folder_that_is_not_there_is_made(tmp_path):
    write(tmp_path / "new" / "a", "whole")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a"]


def test_what_is_being_written_is_no_leftover(tmp_path):
    with atomic_path(tmp_path / "a") as part, atomic_folder(tmp_path / "b") as folder:
        write(tmp_path / "a", "another's")
        remove_leftovers(tmp_path)
        assert part.exists()
        assert folder.exists()


def test_leftovers_are_removed_by_who_writes_the_same(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f".{name}.12345678.part").touch()
    (tmp_path / ".a.87654321.part").mkdir()
    (tmp_path / ".a.87654321.part" / "X.npy").touch()
    (tmp_path / ".a.own.part").touch()
    write(tmp_path / "a", "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".a.own.part", ".b.12345678.part", "a"]
    remove_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".a.own.part", "a"]


def test_names_with_glob_characters(tmp_path):
    (tmp_path / ".a[1].12345678.part").touch()
    (tmp_path / ".a1.12345678.part").touch()
    write(tmp_path / "a[1]", "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".a1.12345678.part", "a[1]"]


def test_many_writers_of_one_file(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: write(tmp_path / "a", str(i) * 1000), range(9)))
    assert len(set((tmp_path / "a").read_text())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no /proc")  # noqa: PTH110
def test_no_descriptor_stays_open(tmp_path):
    write(tmp_path / "a", "whole")
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    for _ in range(10):
        write(tmp_path / "a", "whole")
    assert len(os.listdir("/proc/self/fd")) <= len(before)  # noqa: PTH208


def test_a_full_disk_is_noticed_before(tmp_path):
    check_free_space(tmp_path / "new", 1)
    with pytest.raises(OSError, match="SKLEARNISH_CACHE"):
        check_free_space(tmp_path / "new", 1 << 60)


def test_a_copy_is_as_private_as_its_sources_and_the_umask(tmp_path):
    for name, mode in (("open", 0o644), ("private", 0o600), ("group", 0o640)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    umask = os.umask(0o022)
    try:
        assert shared_permissions([]) == 0o644
        assert shared_permissions([tmp_path / "open", tmp_path / "group"]) == 0o640
        assert shared_permissions([tmp_path / "open", tmp_path / "private"]) == 0o600
        assert shared_permissions([tmp_path / "gone"]) == 0o600
        for sources, mode in (["open"], 0o644), (["group", "open"], 0o640), (["private"], 0o600):
            with atomic_copy(tmp_path / "copy", [tmp_path / name for name in sources]) as part:
                assert part.stat().st_mode & 0o777 == mode  # before anything is in it
            assert (tmp_path / "copy").stat().st_mode & 0o777 == mode
        os.umask(0o077)
        assert shared_permissions([tmp_path / "open"]) == 0o600
    finally:
        os.umask(umask)


def test_a_file_with_an_owner_goes_with_it(tmp_path):
    owned = OwnedFile(tmp_path / "rows", lambda path: path.write_text("x"))
    assert owned.path.read_text() == "x"
    assert owned.path.stat().st_mode & 0o777 == 0o600
    assert OwnedFile.at(str(owned.path)) is owned
    remove_leftovers(tmp_path)  # as another writer does: it is no leftover
    assert owned.path.exists()
    path = owned.path
    del owned
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    assert OwnedFile.at(str(path)) is None


def test_a_file_with_an_owner_that_is_not_written_whole_is_removed(tmp_path):
    def write_half(path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match=r"rows.*could not be written"):
        OwnedFile(tmp_path / "rows", write_half)
    assert list(tmp_path.iterdir()) == []


def test_a_file_outlives_the_copy_of_its_owner_in_a_forked_process(tmp_path):
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork")
    owned = OwnedFile(tmp_path / "rows", Path.touch)
    child = multiprocessing.get_context("fork").Process(target=owned._remove)
    child.start()
    child.join()
    assert child.exitcode == 0
    assert owned.path.exists()
