"""A process that is killed with tqdm's lock stops no bar of ours."""

import multiprocessing
import os
import signal
import threading

import pytest
from tqdm import tqdm

from sklearnish.data._system.bar import with_own_lock


class Shared(tqdm):
    """Has a lock of its own that is shared with processes, as that of tqdm is."""

    _lock = multiprocessing.get_context("fork").RLock()


def die_with(lock):
    lock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_the_lock_of_a_dead_process_is_not_waited_for():
    child = multiprocessing.get_context("fork").Process(target=die_with, args=(Shared._lock,))
    child.start()
    child.join()
    assert not Shared._lock.acquire(timeout=0.05)
    threads = threading.active_count()
    with with_own_lock(Shared)(total=1, disable=False, file=open(os.devnull, "w")) as bar:  # noqa: PTH123
        bar.update()
        assert threading.active_count() == threads
    bar.fp.close()
    assert with_own_lock(Shared) is with_own_lock(Shared)
