import os
import signal
import threading

import pytest

from sklearnish.data._system.interrupts import uninterrupted


@pytest.fixture(autouse=True)
def handlers():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def press():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def test_ctrl_c_comes_at_the_end():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        press()
        with uninterrupted():
            press()
        done.append(1)
    assert done == [1]


def test_an_error_comes_through():
    with pytest.raises(ZeroDivisionError), uninterrupted():
        _ = 1 / 0


def test_a_signal_that_is_ignored_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with uninterrupted():
        press()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_other_threads_have_nothing_to_postpone():
    found = []

    def look():
        with uninterrupted():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_has_the_handlers_at_once():
    with uninterrupted():
        child = os.fork()
        if child == 0:
            os._exit(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_one_that_comes_while_the_handlers_are_put_back_leaves_nothing(monkeypatch):
    put = signal.signal

    def interrupted(number, handler):
        put(number, handler)
        if handler is signal.default_int_handler:
            press()

    with pytest.raises(KeyboardInterrupt), uninterrupted():
        monkeypatch.setattr(signal, "signal", interrupted)
    monkeypatch.undo()
    test_ctrl_c_comes_at_the_end()
