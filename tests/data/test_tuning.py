import multiprocessing

import numpy as np
import pytest
import torch

from sklearnish.data._tuning import LoadPlan, Measured, Room, Tuner, make_plan, workers

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ROOM = Room(memory=2**28, fetch=2**25)
SMALL = Room(memory=2**28, fetch=2**22)


def plan(num_workers="auto", pin_memory="auto", device=CPU, in_memory=False, thread_safe=True):
    return make_plan(
        num_workers, pin_memory, device, in_memory=in_memory, thread_safe=thread_safe, room=ROOM
    )


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
        plan(n)


@pytest.mark.parametrize(
    ("pin_memory", "device", "pinned"),
    [
        ("auto", CUDA, True),
        ("auto", CPU, False),
        (True, CUDA, True),
        (True, CPU, False),
        (False, CUDA, False),
    ],
)
@pytest.mark.parametrize("num_workers", ["auto", 0, 2])
def test_memory_is_pinned_for_a_gpu_only(pin_memory, device, pinned, num_workers):
    assert plan(num_workers, pin_memory, device).pin_memory is pinned


def test_a_daemonic_process_reads_inline():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        chosen = pool.apply(plan, (2,))
    assert (chosen.mode, chosen.num_workers) == ("inline", 0)
    assert "daemonic" in chosen.reason


# Room


@pytest.mark.parametrize("n", [1, 2, 4, 6, 16, 100])
@pytest.mark.parametrize("fetch", [2**20, 2**22, 2**25, 2**27, 2**30])
def test_what_is_read_ahead_fits_the_memory(n, fetch):
    room = Room(memory=2**28, fetch=fetch)
    chosen = workers(n, "asked for", False, room)
    assert 1 <= chosen.num_workers <= n
    assert chosen.num_workers * chosen.prefetch <= max(1, 2**28 // fetch - 2)


def test_the_reason_tells_of_workers_for_whom_there_is_no_room():
    chosen = workers(16, "num_workers=16", False, ROOM)
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
    measured = Measured(rows=100, read=6.0, step=2.0)
    assert measured.predicted(0, cores=4) == pytest.approx(0.08)
    assert measured.predicted(1, cores=4) == pytest.approx(0.06)
    assert measured.predicted(2, cores=4) == pytest.approx(0.03)
    assert measured.predicted(4, cores=4) == pytest.approx(0.02)
    assert measured.predicted(4, cores=2) == pytest.approx(0.04)


def test_rows_have_to_be_carried_over():
    heavy = Measured(rows=1, read=1.0, step=1.0, nbytes=2 * 10**9)
    assert heavy.predicted(2, cores=2) == pytest.approx(2.0)


# The tuner


def tuner(monkeypatch, cores=2, obstacle="", start="thread"):
    monkeypatch.setattr("sklearnish.data._tuning.n_cores", lambda: cores)
    first = LoadPlan(start, 0, "at first", prefetch=SMALL.prefetch(1))
    return Tuner(first, SMALL, fixed=False, obstacle=lambda: obstacle)


def feed(tuner, *, read, step, seconds=None, n=5, left=10**6, rows=10):
    """Let it see some fetches; times are milliseconds a row."""
    for _ in range(n):
        total = max(read, step) if seconds is None else seconds
        tuner.note(
            Measured(
                rows=rows,
                seconds=total * rows / 1e3,
                read=read * rows / 1e3,
                step=step * rows / 1e3,
            ),
            left,
        )


def test_slow_reading_gets_processes(monkeypatch):
    tuned = tuner(monkeypatch, cores=4)
    feed(tuned, read=3.0, step=1.0)
    assert (tuned.plan.mode, tuned.plan.num_workers) == ("processes", 3)
    assert tuned.plan.reason == "measured: 3.0x expected"


def test_a_slow_step_gets_none(monkeypatch):
    tuned = tuner(monkeypatch)
    feed(tuned, read=0.9, step=1.0, n=50)
    assert tuned.plan.mode == "thread"


def test_the_first_fetches_do_not_count(monkeypatch):
    tuned = tuner(monkeypatch)
    feed(tuned, read=100.0, step=1.0, n=2)
    feed(tuned, read=0.9, step=1.0, n=50)
    assert tuned.plan.mode == "thread"


def test_few_rows_are_not_worth_a_start(monkeypatch):
    tuned = tuner(monkeypatch)
    feed(tuned, read=3.0, step=1.0, left=100)
    assert tuned.plan.mode == "thread"


def test_large_fetches_tell_as_much_as_many(monkeypatch):
    tuned = tuner(monkeypatch)
    feed(tuned, read=3.0, step=1.0, n=3, rows=100)
    assert str(tuned.plan) == "2 processes"


def test_what_is_read_already_gains_nothing(monkeypatch):
    tuned = tuner(monkeypatch)
    assert tuned.plan.ahead == 4
    feed(tuned, read=3.0, step=1.0, n=3, left=800, rows=100)  # 1 ms for each of 400 rows
    assert tuned.plan.mode == "thread"
    tuned = tuner(monkeypatch)
    feed(tuned, read=3.0, step=1.0, n=3, left=1000, rows=100)
    assert str(tuned.plan) == "2 processes"


@pytest.mark.parametrize(
    ("seconds", "mode"), [(0.0, "thread"), (0.9, "thread"), (1.1, "processes")]
)
def test_what_is_known_to_take_long_begins_with_processes(monkeypatch, seconds, mode):
    monkeypatch.setattr("sklearnish.data._tuning.start_seconds", lambda: 0.5)
    tuned = tuner(monkeypatch)
    tuned.begin(seconds)  # of which a second process saves half
    assert (tuned.plan.mode, tuned.tried) == (mode, False)


def test_few_processes_of_many_cores_begin_and_more_follow(monkeypatch):
    tuned = tuner(monkeypatch, cores=16)
    tuned.begin(100.0)
    assert (tuned.plan.num_workers, tuned.plan.reason) == (4, "decoding takes long")
    feed(tuned, read=9.0, step=1.0, seconds=9 / 4, n=30)
    assert tuned.plan.num_workers == 9


@pytest.mark.parametrize(("fixed", "wall"), [(True, ""), (False, "there is a wall")])
def test_no_processes_begin_where_there_can_be_none(monkeypatch, fixed, wall):
    tuned = tuner(monkeypatch, obstacle=wall)
    tuned.fixed = fixed
    tuned.begin(100.0)
    assert (tuned.plan.mode, tuned.plan.reason) == ("thread", "at first")


def test_a_number_given_by_hand_stays(monkeypatch):
    tuned = tuner(monkeypatch)
    tuned.fixed = True
    feed(tuned, read=3.0, step=1.0)
    assert str(tuned.plan) == "thread"


def test_an_obstacle_is_told(monkeypatch):
    tuned = tuner(monkeypatch, obstacle="there is a wall")
    feed(tuned, read=3.0, step=1.0, n=50)
    assert str(tuned.plan) == "thread"
    assert tuned.plan.reason == "at first; no processes: there is a wall"


def test_what_turns_out_slower_is_given_up(monkeypatch):
    tuned = tuner(monkeypatch)
    feed(tuned, read=3.0, step=1.0)
    assert str(tuned.plan) == "2 processes"
    feed(tuned, read=8.0, step=1.0, seconds=6.0, n=1 + 4 + 8)
    assert str(tuned.plan) == "2 processes", "what was read ahead tells nothing of it"
    feed(tuned, read=8.0, step=1.0, seconds=6.0, n=6)
    assert str(tuned.plan) == "thread"
    assert tuned.plan.reason == "measured: 2 processes took 2.0x as long"


def test_what_turns_out_faster_stays(monkeypatch):
    tuned = tuner(monkeypatch)
    feed(tuned, read=3.0, step=1.0)
    feed(tuned, read=3.0, step=1.0, seconds=2.0, n=100)
    tuned.look(10**6)
    assert str(tuned.plan) == "2 processes"


def test_reading_that_becomes_slow_is_noticed_at_the_end_of_an_epoch(monkeypatch):
    tuned = tuner(monkeypatch)
    feed(tuned, read=0.9, step=1.0, n=10)
    feed(tuned, read=5.0, step=1.0, n=20)
    assert str(tuned.plan) == "thread"
    tuned.look(10**6)
    assert str(tuned.plan) == "2 processes"
