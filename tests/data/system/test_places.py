"""Real processes and threads on devices that are made up: places do not depend on them."""

import multiprocessing
import os
import queue
import secrets
import signal
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

import numpy as np
import pytest

from sklearnish.data._system import places
from sklearnish.data._system.places import Site, placed, private_folder

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

FORK = multiprocessing.get_context("fork")
FULL = (0, 100)
HALF = (50, 100)


@pytest.fixture(autouse=True)
def no_memory_of_others(monkeypatch):
    monkeypatch.setattr(places, "_last", "")


def devices(n, memory=FULL):
    """Make devices up, which are their own numbers."""
    return [Site(number, f"made-up-{number}", lambda: memory) for number in range(n)]


def hold(sites, folder, told, end, settled=True):
    """Have a place in another process, or thread, until the end."""
    with placed(sites, folder) as place:
        if settled:
            place.settle()
        told.put(place.device)
        while not end.exists():  # an Event waits for those that are killed, too
            time.sleep(0.01)


@contextmanager
def held(sites, folder, n=1, settled=True, wait=True):
    """Have places in other processes; give them, and the queue in which they tell the devices."""
    told, end = FORK.Queue(), folder.with_name(f"end of {secrets.token_hex(4)}")
    started = [
        FORK.Process(target=hold, args=(sites, folder, told, end, settled)) for _ in range(n)
    ]
    try:
        for process in started:
            process.start()
            if wait:
                process.device = told.get(timeout=30)
        yield started, told
    finally:
        end.touch()
        for process in started:
            process.join(30)
            process.kill()
            process.join()


def files(folder):
    """Name what is left of places."""
    return [path.name for path in folder.iterdir() if not path.name.endswith(".door")]


# Which device


def test_each_process_has_a_device_of_its_own(tmp_path):
    with held(devices(3), tmp_path, n=3) as (started, _):
        assert [process.device for process in started] == [0, 1, 2]
    assert files(tmp_path) == []


def test_processes_that_see_other_devices_agree_by_name(tmp_path):
    a, b, c = devices(3)
    with held([b, c], tmp_path), placed([c, b, a], tmp_path) as place:
        assert place.device == 2
    with held([b], tmp_path), placed([b, a], tmp_path) as place:
        assert place.device == 0


def test_the_device_with_the_fewest_fits_is_shared(tmp_path):
    with held(devices(2, HALF), tmp_path, n=3) as (started, _):
        assert [process.device for process in started] == [0, 1, 0]
        with placed(devices(2, HALF), tmp_path) as place:
            assert place.device == 1


def test_a_device_without_room_is_not_shared(tmp_path):
    sites = [devices(1, FULL)[0], devices(2, HALF)[1]]
    with held(sites, tmp_path, n=3) as (started, _):
        assert [process.device for process in started] == [0, 1, 1]


@pytest.mark.parametrize(
    ("fits", "free", "joins"), [(1, 50, 1), (1, 49, 0), (3, 25, 1), (3, 24, 0)]
)
def test_as_much_must_be_free_as_each_fit_has(fits, free, joins):
    door = places._Door(devices(1, (free, 100))[0], None, ["1"] * fits)
    assert door.has_room() == bool(joins)


def test_memory_is_not_asked_for_where_a_device_is_free(tmp_path):
    def ask():
        raise AssertionError

    sites = [Site(number, f"made-up-{number}", ask) for number in range(2)]
    with held(sites, tmp_path), placed(sites, tmp_path) as place:
        assert place.device == 1


def test_a_process_goes_back_to_the_device_where_it_was(tmp_path):
    sites = devices(2)
    with held(sites, tmp_path), placed(sites, tmp_path):
        pass
    with placed(sites, tmp_path) as place:
        assert place.device == 1


def allocate(sites, folder, used, over):
    """Take 30 of the 100 bytes of a device, some time after a place is found there."""
    with placed(sites, folder) as place:
        time.sleep(0.02)  # a fit has not all its memory at once
        with used.get_lock():
            used[place.device] += 30
            over.value |= used[place.device] > 100
        place.settle()
        time.sleep(0.02)
        with used.get_lock():
            used[place.device] -= 30


def test_memory_never_runs_out_where_fits_are_alike(tmp_path):
    used, over = FORK.Array("i", [0, 0]), FORK.Value("b", 0)
    sites = [
        Site(number, f"made-up-{number}", lambda n=number: (100 - used[n], 100))
        for number in (0, 1)
    ]
    args = (sites, tmp_path, used, over)
    started = [FORK.Process(target=allocate, args=args) for _ in range(10)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
    assert [process.exitcode for process in started] == [0] * 10
    assert not over.value
    assert list(used) == [0, 0]
    assert files(tmp_path) == []


# Waiting


def test_others_wait_until_a_fit_is_settled(tmp_path):
    sites, entered = devices(1, HALF), threading.Event()

    def enter():
        with placed(sites, tmp_path):
            entered.set()

    thread = threading.Thread(target=enter)
    with placed(sites, tmp_path) as place:
        batches = place.watched(range(20))
        for number, _ in enumerate(batches):
            if number == 5:
                thread.start()
            if number == 8:
                assert not entered.wait(0.2)
        assert entered.wait(30)
        assert place.watched(batches) is batches  # nothing is watched any more
    thread.join()


def test_a_short_epoch_settles_at_its_end(tmp_path):
    with placed(devices(1), tmp_path) as place:
        assert list(place.watched([1, 2])) == [1, 2]
        with held(devices(1, HALF), tmp_path) as (started, _):
            assert started[0].device == 0


def test_a_fit_that_is_killed_leaves_its_place(tmp_path):
    with held(devices(1), tmp_path) as (started, _):
        os.kill(started[0].pid, signal.SIGKILL)
        with placed(devices(1), tmp_path) as place:
            assert place.device == 0
            assert len(files(tmp_path)) == 1  # that of the dead is gone
    assert files(tmp_path) == []


def test_those_that_wait_have_their_turn(tmp_path):
    with held(devices(1), tmp_path, n=4, wait=False) as (_, told):
        assert told.get(timeout=30) == 0
        with pytest.raises(queue.Empty):
            told.get(timeout=0.3)
    assert [told.get(timeout=30) for _ in range(3)] == [0, 0, 0]


def test_ctrl_c_ends_the_wait(tmp_path):
    with held(devices(1), tmp_path):
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt), placed(devices(1), tmp_path):
            raise AssertionError
    with held(devices(1), tmp_path) as (started, _):  # nothing is locked any more
        assert started[0].device == 0


@pytest.mark.parametrize("busy", [False, True])
def test_ctrl_c_at_any_moment_leaves_nothing_locked(tmp_path, busy):
    times, folder = np.random.default_rng(0).exponential(0.004, 60), tmp_path / "places"
    folder.mkdir()
    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with held(devices(1), folder) if busy else nullcontext():
            for seconds in times:
                end = time.monotonic() + 2
                with suppress(KeyboardInterrupt):
                    signal.setitimer(signal.ITIMER_REAL, seconds)
                    while time.monotonic() < end:
                        with placed(devices(1), folder):
                            pass
    finally:
        signal.signal(signal.SIGALRM, before)
    assert files(folder) == []
    with held(devices(1), folder) as (started, _):
        assert started[0].device == 0


def test_a_long_wait_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "PATIENCE", 0.1)
    told, end = threading.Event(), threading.Event()

    def first():
        with placed(devices(1), tmp_path) as place:
            place.settle()
            told.set()
            end.wait(30)

    thread = threading.Thread(target=first)
    thread.start()
    assert told.wait(30)
    threading.Timer(0.5, end.set).start()
    with (
        pytest.warns(
            UserWarning, match=rf"This fit waits.*processes {os.getpid()}\).*device='cuda:0'"
        ) as caught,
        placed(devices(1), tmp_path),
    ):
        thread.join()
    assert caught[0].filename == __file__


def test_threads_count(tmp_path):
    found, all_in = [], threading.Barrier(3)

    def train():
        with placed(devices(3), tmp_path) as place:
            found.append(place.device)
            all_in.wait(30)

    threads = [threading.Thread(target=train) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 1, 2]


# What would wait forever


def test_a_fit_within_a_fit_is_where_that_one_is(tmp_path):
    sites = devices(2)
    with held(sites, tmp_path), placed(sites, tmp_path) as outer, placed(sites, tmp_path) as inner:
        assert outer.device == inner.device == 1
        assert len(files(tmp_path)) == 2
        with placed(sites[:1], tmp_path) as elsewhere:
            assert elsewhere.device == 0
    with placed(sites, tmp_path), pytest.raises(KeyError), placed(sites, tmp_path):
        raise KeyError


def test_a_child_does_not_wait_for_its_parent(tmp_path):
    told = FORK.Queue()

    def enter():
        with placed(devices(1), tmp_path) as place:
            told.put(place.device)

    def search():
        thread = threading.Thread(target=enter)  # one that has no place from its parent
        thread.start()
        thread.join()

    with placed(devices(1), tmp_path) as place:
        place.settle()
        child = FORK.Process(target=search)
        child.start()
        assert told.get(timeout=30) == 0
        child.join()


# The folder


def test_without_locks_the_first_device_is_taken(tmp_path):
    nowhere = tmp_path / "file"
    nowhere.touch()
    for folder in (None, nowhere, tmp_path / "missing"):
        with placed(devices(2), folder) as a, placed(devices(2), folder) as b:
            assert a.device == b.device == 0
            assert list(a.watched([1])) == [1]


def test_the_folder_belongs_to_the_user(tmp_path, monkeypatch):
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = private_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    assert private_folder() == folder
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")  # as another user could have put it there
    assert private_folder() is None
    monkeypatch.delattr(os, "getuid")
    assert private_folder() is None


def test_a_place_costs_little(tmp_path):
    take = partial(placed, devices(1), tmp_path)
    times = []
    for _ in range(50):
        begun = time.perf_counter()
        with take():
            pass
        times.append(time.perf_counter() - begun)
    assert min(times) < 1e-3
