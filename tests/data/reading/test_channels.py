"""Channels under torch's own loop, without anything else of ours."""

import gc
import multiprocessing
import os
import queue
import signal
import threading
import time
from multiprocessing.synchronize import SemLock

import psutil
import pytest
import torch
from torch.utils.data import DataLoader

from sklearnish.data._reading.channels import Channels


class Locks(torch.utils.data.Dataset):
    """Each row counts the locks between processes that the worker has."""

    def __init__(self):
        self.before = len(locks())

    def __len__(self):
        return 1

    def __getitem__(self, i):
        return torch.tensor(len(locks()) - self.before)


def locks():
    gc.collect()
    return [each for each in gc.get_objects() if issubclass(type(each), SemLock)]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_have_no_lock_in_common():
    rows = Locks()
    loader = DataLoader(rows, num_workers=1, multiprocessing_context="fork")
    assert min(torch.cat(list(loader))) > 0
    rows = Locks()
    loader = DataLoader(rows, num_workers=1, multiprocessing_context=Channels("fork"))
    assert max(torch.cat(list(loader))) <= 0  # some of other tests may go meanwhile


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return i, os.getpid()


METHODS = [
    pytest.param(method, marks=() if method == "fork" else pytest.mark.slow)
    for method in multiprocessing.get_all_start_methods()
]


@pytest.mark.parametrize("method", METHODS)
def test_rows_come_in_order_however_workers_are_started(method):
    threads, files = threading.active_count(), psutil.Process().num_fds()
    channels = Channels(method)
    loader = DataLoader(
        Rows(), batch_size=None, num_workers=2, multiprocessing_context=channels, timeout=60
    )
    numbers, processes = zip(*loader, strict=True)
    assert numbers == tuple(range(6))
    assert len({*processes, os.getpid()}) == 3
    assert threading.active_count() == threads
    channels.end()
    del loader, channels
    gc.collect()
    if method == "fork":  # the others keep a server
        assert psutil.Process().num_fds() <= files


def stop(results):
    os.kill(os.getpid(), signal.SIGSTOP)


def be_deaf(fetches):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    fetches.put((0, "deaf"))
    time.sleep(1000)


def echo(fetches, results):
    while (item := fetches.get(timeout=60)) is not None:
        results.put((item, fetches.is_set()))
    results.put((-1, results.is_set()))


def refuse(fetches):
    fetches.put((3, threading.Lock()))


def begun(target, n=1):
    channels = Channels("fork")
    queues = [channels.Queue() for _ in range(n)]
    worker = channels.Process(target=target, args=queues)
    worker.daemon = True
    worker.start()
    channels.started()
    return channels, worker, queues


def test_what_was_posted_before_the_end_is_left_alone():
    channels, _, (fetches, results) = begun(echo, 2)
    fetches.put(1)
    assert results.get(60) == (1, False)
    os.kill(channels.workers[0].pid, signal.SIGSTOP)
    for item in (2, 3, None):
        fetches.put(item)
    os.kill(channels.workers[0].pid, signal.SIGCONT)
    got = []
    while not got or got[-1][0] != -1:
        got.append(results.get(60))
    assert len(got) < 4
    assert got[-1] == (-1, True)
    channels.end()


def test_what_cannot_be_sent_comes_as_a_failure():
    channels, _, (results,) = begun(refuse)
    number, failure = results.get(60)
    assert number == 3
    assert "lock" in failure.text
    channels.end()


def test_a_death_is_noticed_at_once_and_posts_go_nowhere():
    channels, worker, (fetches, results) = begun(echo, 2)
    worker.kill()
    start = time.monotonic()
    with pytest.raises((queue.Empty, EOFError)):
        results.get(60)
    worker.join()
    for _ in range(3):
        fetches.put(1)
    assert time.monotonic() - start < 5
    channels.end()


@pytest.mark.parametrize("target", [stop, be_deaf])
@pytest.mark.parametrize("way", ["end", "garbage collection"])
def test_workers_that_do_not_listen_are_ended(target, way):
    channels, worker, (results,) = begun(target)
    if target is be_deaf:
        assert results.get(60) == (0, "deaf")
    start = time.monotonic()
    if way == "end":
        channels.end()
    del channels, results
    gc.collect()
    assert time.monotonic() - start < 5
    assert worker.exitcode == -signal.SIGKILL


def leave(channels):
    channels.end()


def test_a_forked_process_leaves_the_workers_alone():
    channels, worker, (fetches, results) = begun(echo, 2)
    child = multiprocessing.get_context("fork").Process(target=leave, args=[channels])
    child.start()
    child.join(60)
    assert child.exitcode == 0
    fetches.put(5)
    assert results.get(60) == (5, False)
    assert worker.is_alive()
    channels.end()
    assert worker.exitcode == 0
