import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sklearnish.data._reading.clock import Times
from sklearnish.data._reading.plan import (
    LoadPlan,
    Obstacle,
    Room,
    best_workers,
    check_num_workers,
    make_plan,
    obstacle,
    predicted,
    workers,
)

ROOM = Room(memory=2**28, fetch=2**25)
SMALL = Room(memory=2**28, fetch=2**22)


def plan(num_workers="auto", in_memory=False, thread_safe=True):
    return make_plan(num_workers, ROOM, in_memory=in_memory, thread_safe=thread_safe)


def test_auto_reads_memory_inline_and_files_in_a_thread():
    assert plan(in_memory=True).mode == "inline"
    assert plan().mode == "thread"


def test_global_generators_stay_out_of_a_thread():
    chosen = plan(thread_safe=False)
    assert (chosen.mode, chosen.reason) == (
        "inline",
        "a function of rows may use global generators",
    )


@pytest.mark.parametrize("n", [0, 1, 3, np.int64(2)])
def test_a_number_is_what_one_gets(n):
    chosen = plan(n, in_memory=True)
    assert (chosen.mode, chosen.num_workers) == ("processes" if n else "inline", n)
    assert type(chosen.num_workers) is int


@pytest.mark.parametrize("n", [-1, 1.5, True, "2", None])
def test_what_is_no_number_of_workers(n):
    with pytest.raises(ValueError, match='num_workers must be "auto" or an integer >= 0'):
        check_num_workers(n)


@pytest.mark.parametrize(("options", "mode"), [({}, "thread"), ({"in_memory": True}, "inline")])
def test_a_daemonic_process_reads_as_auto_does(options, mode):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        chosen = pool.apply(plan, (2,), options)
    assert (chosen.mode, chosen.num_workers) == (mode, 0)
    assert "daemonic" in chosen.reason


# Room


@pytest.mark.parametrize("n", [1, 2, 4, 6, 16, 100])
@pytest.mark.parametrize("fetch", [2**20, 2**22, 2**25, 2**27, 2**30])
def test_what_is_read_ahead_fits_the_memory(n, fetch):
    room = Room(memory=2**28, fetch=fetch)
    chosen = workers(n, "asked for", room)
    assert 1 <= chosen.num_workers <= n
    assert chosen.num_workers * chosen.prefetch <= max(1, 2**28 // fetch - 2)


def test_the_reason_tells_of_workers_for_whom_there_is_no_room():
    chosen = workers(16, "num_workers=16", ROOM)
    assert chosen.num_workers == 6
    assert chosen.reason == "num_workers=16, of which 6 fit shuffle_memory"


def test_windows_are_read_one_ahead_and_small_fetches_four():
    assert ROOM.prefetch(1) == 1
    assert SMALL.prefetch(1) == 4


@pytest.mark.parametrize(
    ("mode", "n", "text"),
    [("inline", 0, "inline"), ("processes", 1, "1 process"), ("processes", 2, "2 processes")],
)
def test_the_name_of_a_plan(mode, n, text):
    assert str(LoadPlan(mode, n, "")) == text


# Predictions


def test_what_processes_promise():
    measured = Times(seconds=6.5, wait=4.5, read=4.0, transform=2.0)
    assert predicted(measured, 0, cores=4) == pytest.approx(8)
    assert predicted(measured, 1, cores=4) == pytest.approx(6)
    assert predicted(measured, 2, cores=4) == pytest.approx(3)
    assert predicted(measured, 4, cores=4) == pytest.approx(2)
    assert predicted(measured, 4, cores=2) == pytest.approx(4)


def test_per_batch_functions_are_part_of_the_step():
    measured = Times(seconds=3.0, wait=2.0, read=1.0, transform=1.0, per_batch=1.0)
    assert predicted(measured, 1, cores=2) == pytest.approx(2)


def test_rows_have_to_be_carried_over():
    heavy = Times(seconds=1.0, read=1.0, bytes_read=2 * 10**9)
    assert predicted(heavy, 2, cores=2) == pytest.approx(2.0)


def test_no_more_workers_than_pay():
    measured = Times(seconds=6.5, wait=4.5, read=6.0)
    assert best_workers(measured, cores=16) == (3, pytest.approx(2))
    assert best_workers(measured, cores=1) == (1, pytest.approx(8))


# Obstacles


def test_nothing_is_in_the_way_of_what_can_be_sent():
    assert obstacle((1, np.arange(3)), SMALL) is None


def test_what_cannot_be_sent_is_in_the_way():
    found = obstacle(lambda: 0, SMALL)
    assert found.what == "the dataset or a function cannot safely be sent to them"
    assert found.cure == "define the function at the top level of a module"


def test_only_the_main_thread_starts_processes():
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(obstacle, 0, SMALL).result()
    assert found == Obstacle("this is not the main thread", "call fit in the main thread")


def test_there_must_be_room_for_what_workers_send():
    found = obstacle(0, Room(memory=2**62, fetch=2**60))
    assert "there is too little space for what they send, in " in found.what
    assert found.cure == "make it larger, or shuffle_memory smaller"


def test_a_worker_starts_no_workers():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply(obstacle, (0, SMALL))
    assert found == Obstacle("this is a worker process itself")
