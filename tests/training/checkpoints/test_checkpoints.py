import threading
from pathlib import Path

import pytest
import torch

from sklearnish.data._system import locks
from sklearnish.training._checkpoints import checkpoints as checkpointing
from sklearnish.training._checkpoints.checkpoints import Checkpoints
from tests.training.full_disk import files_of_at_most


def tree(number):
    return {"history": [{}] * number}


def save(folder, *numbers):
    with Checkpoints(folder) as checkpoints:
        for number in numbers:
            checkpoints._save(tree(number), number)


def found(folder):
    with Checkpoints(folder) as checkpoints:
        return checkpoints.batches


def files(folder):
    return sorted(folder.glob("*.safetensors"))


def test_the_last_two_are_kept(tmp_path):
    assert found(tmp_path / "new") == 0
    save(tmp_path, 1, 2, 3)
    assert len(files(tmp_path)) == 2
    assert found(tmp_path) == 3
    save(tmp_path, 4)
    assert len(files(tmp_path)) == 2
    assert found(tmp_path) == 4


def test_a_damaged_one_is_reported_and_the_one_before_used(tmp_path):
    save(tmp_path, 1, 2)
    last = files(tmp_path)[-1]
    last.write_bytes(last.read_bytes()[:-3])
    with pytest.warns(UserWarning, match=f"{last.name} is damaged"):
        assert found(tmp_path) == 1
    assert found(tmp_path) == 1
    for path in files(tmp_path):
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="is damaged"):
        assert found(tmp_path) == 0


def test_what_a_killed_process_left_is_removed(tmp_path):
    save(tmp_path, 1)
    (tmp_path / ".00000002.safetensors.abcd1234.part").write_bytes(b"half")
    assert found(tmp_path) == 1
    assert not list(tmp_path.glob(".*.part"))


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path, monkeypatch):
    save(tmp_path, 1)
    path = files(tmp_path)[-1]
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match=r"."):
        found(tmp_path)
    assert path.exists()


def test_the_second_waits_for_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    save(tmp_path, 1)
    seen = []

    def second():
        with pytest.warns(UserWarning, match="Another process is doing the same fit"):
            seen.append(found(tmp_path))

    thread = threading.Thread(target=second)
    with Checkpoints(tmp_path):
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        assert seen == []
    thread.join(60)
    assert seen == [1]


class Clock:
    """Time that passes only when it is told to."""

    now = 100.0

    def perf_counter(self):
        return self.now


def test_writing_takes_at_most_its_share_of_the_time(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(checkpointing, "time", clock)
    monkeypatch.setattr(checkpointing, "write", lambda *_: setattr(clock, "now", clock.now + 2))
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints._is_due(0)  # the first end of an epoch
        assert not checkpoints._is_due(30)
        clock.now += 30
        assert checkpoints._is_due(30)
        checkpoints._save({})
        clock.now += 199
        assert not checkpoints._is_due(0)
        assert not checkpoints._is_due(30)
        clock.now += 1
        assert checkpoints._is_due(0)
        assert checkpoints._is_due(30)


def test_without_a_folder_nothing_is_done():
    batches = [1, 2]
    with Checkpoints(None) as checkpoints:
        assert checkpoints.watch(batches, None) is batches
        checkpoints.end_epoch(None)
        assert checkpoints.take() is None
        checkpoints.finish(None, None)
    assert not Path("None").exists()


def test_a_full_disk_does_not_end_the_fit_and_is_told_once(tmp_path):
    large = {"weights": torch.ones(10_000)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints._save(tree(1), 1)
        before = files(tmp_path)
        with files_of_at_most(5000):
            with pytest.warns(
                UserWarning, match=r"could not be written .* earlier checkpoints stay"
            ):
                checkpoints._save(tree(2) | large, 2)
            checkpoints._save(tree(3) | large, 3)
        assert files(tmp_path) == before
    assert found(tmp_path) == 1
    save(tmp_path, 4)
    assert found(tmp_path) == 4
