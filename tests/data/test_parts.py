import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from sklearnish.data._parts import part_beside, remove_leftovers


def keep(path, text):
    with part_beside(path) as part:
        part.write_text(text)
        part.replace(path)


def test_what_is_not_renamed_is_removed(tmp_path):
    with part_beside(tmp_path / "a") as part:
        assert part.read_bytes() == b""
    with part_beside(tmp_path / "a", folder=True) as part:
        (part / "b").touch()
    assert list(tmp_path.iterdir()) == []
    keep(tmp_path / "new" / "a", "whole")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a"]


def test_what_is_being_written_is_no_leftover(tmp_path):
    with part_beside(tmp_path / "a") as part, part_beside(tmp_path / "b", folder=True) as folder:
        keep(tmp_path / "a", "another's")
        remove_leftovers(tmp_path)
        assert part.exists()
        assert folder.exists()


def test_leftovers_are_removed_by_who_writes_the_same(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f".{name}.12345678.part").touch()
    (tmp_path / ".a.87654321.part").mkdir()
    (tmp_path / ".a.87654321.part" / "X.npy").touch()
    (tmp_path / ".a.own.part").touch()
    keep(tmp_path / "a", "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".a.own.part", ".b.12345678.part", "a"]
    remove_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".a.own.part", "a"]


def test_names_with_glob_characters(tmp_path):
    (tmp_path / ".a[1].12345678.part").touch()
    (tmp_path / ".a1.12345678.part").touch()
    keep(tmp_path / "a[1]", "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".a1.12345678.part", "a[1]"]


def test_many_writers_of_one_file(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: keep(tmp_path / "a", str(i) * 1000), range(9)))
    assert len(set((tmp_path / "a").read_text())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no /proc")  # noqa: PTH110
def test_no_descriptor_stays_open(tmp_path):
    keep(tmp_path / "a", "whole")
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    for _ in range(10):
        keep(tmp_path / "a", "whole")
    assert len(os.listdir("/proc/self/fd")) <= len(before)  # noqa: PTH208
