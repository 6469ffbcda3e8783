import multiprocessing
import os
import signal
import threading
import time

import pytest

from sklearnish.data._system import locks
from sklearnish.data._system.locks import lock, one_maker, unlock


def hold(path, begun):
    """Hold the lock in another process until it is killed."""
    with one_maker(path):
        begun.set()
        time.sleep(60)


def test_one_makes_and_the_others_wait(tmp_path):
    path, made = tmp_path / "new" / "a", []

    def make(number):
        with one_maker(path):
            if not path.exists():
                time.sleep(0.01)
                made.append(number)
                path.touch()

    threads = [threading.Thread(target=make, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert [p.name for p in path.parent.iterdir()] == ["a"]


def test_the_next_has_its_turn_after_an_error(tmp_path):
    def fail():
        with one_maker(tmp_path / "a"):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with one_maker(tmp_path / "a"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_long_wait_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    path, begun, told = tmp_path / "a", threading.Event(), threading.Event()

    def first():
        with one_maker(path):
            begun.set()
            assert told.wait(30)

    def warn(*args, **kwargs):
        told.set()
        warn_as_ever(*args, **kwargs)

    warn_as_ever = locks.warn
    monkeypatch.setattr(locks, "warn", warn)
    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(30)
    with pytest.warns(UserWarning, match="another is") as caught, one_maker(path, "another is"):
        assert told.is_set()
    assert caught[0].filename == __file__
    thread.join()


def test_a_process_that_is_killed_frees_its_locks(tmp_path):
    path, context = tmp_path / "a", multiprocessing.get_context("fork")
    begun = context.Event()
    process = context.Process(target=hold, args=(path, begun))
    process.start()
    begun.wait(30)
    with pytest.raises(BlockingIOError):
        lock(tmp_path / ".a.lock", wait=False)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with one_maker(path):  # takes over the file of the one that is dead
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_forked_process_does_not_keep_a_lock(tmp_path):
    with one_maker(tmp_path / "a"):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        child.start()
    with one_maker(tmp_path / "a"):
        assert child.is_alive()
    child.kill()
    child.join()


def test_what_is_gone_cannot_be_locked(tmp_path):
    handle = lock(tmp_path / "nowhere", wait=True)
    assert handle is None
    unlock(handle)
