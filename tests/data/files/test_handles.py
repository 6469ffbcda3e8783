import multiprocessing
import os
import pickle

import pytest

from sklearnish.data._files.handles import HandlePool


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
