import signal
import threading
import time

import pytest

from sklearnish.data._system.turns import Turns


def waiting(turns, done, name, n):
    """Start a thread that waits for its turn; return when it waits."""

    def wait():
        turns.take()
        done.append(name)
        turns.give_back()

    thread = threading.Thread(target=wait)
    thread.start()
    while len(turns._waiting) < n:
        time.sleep(0.001)
    return thread


def test_threads_come_in_the_order_in_which_they_asked():
    turns, done = Turns(), []
    turns.take()
    turns.take()
    assert turns.depth == 2
    assert not turns.wanted
    threads = [waiting(turns, done, name, n) for n, name in enumerate("abc", 1)]
    assert turns.wanted
    turns.give_back()
    assert not done
    turns.give_back()
    turns.take()  # behind the three
    assert done == list("abc")
    assert turns.depth == 1
    for thread in threads:
        thread.join()
    turns.give_back()
    assert turns.depth == 0


def test_who_is_interrupted_while_waiting_leaves_the_row():
    turns, entered, leave = Turns(), threading.Event(), threading.Event()

    def hold():
        turns.take()
        entered.set()
        leave.wait(10)
        turns.give_back()

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(10)
    me = threading.get_ident()
    threading.Timer(0.05, signal.pthread_kill, [me, signal.SIGINT]).start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        turns.take()
    signal.signal(signal.SIGINT, before)
    assert not turns.wanted
    leave.set()
    thread.join()
    turns.take()
    assert turns.depth == 1
