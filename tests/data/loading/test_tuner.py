import pytest

from sklearnish.data._loading.tuner import Tuner
from sklearnish.data._reading.clock import Times
from sklearnish.data._reading.plan import LoadPlan, Obstacle, Room

SMALL = Room(memory=2**28, fetch=2**22)
WALL = Obstacle("there is a wall", "climb it")


def tuner(monkeypatch, cores=2, wall=None, start="thread"):
    monkeypatch.setattr("sklearnish.data._loading.tuner.n_cores", lambda: cores)
    first = LoadPlan(start, 0, "at first", prefetch=SMALL.prefetch(1))
    return Tuner(first, SMALL, fixed=False, obstacle=lambda: wall)


def feed(tuner, *, read, step, seconds=None, n=5, left=10**6, rows=10):
    """Let it see some fetches; times are milliseconds a row."""
    for _ in range(n):
        total = max(read, step) if seconds is None else seconds
        tuner.note(
            Times(
                rows=rows,
                seconds=total * rows / 1e3,
                wait=(total - step) * rows / 1e3,
                read=read * rows / 1e3,
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
    monkeypatch.setattr("sklearnish.data._loading.tuner.start_seconds", lambda: 0.5)
    tuned = tuner(monkeypatch)
    tuned.begin(seconds)  # of which a second process saves half
    assert (tuned.plan.mode, tuned.tried) == (mode, False)


def test_few_processes_of_many_cores_begin_and_more_follow(monkeypatch):
    tuned = tuner(monkeypatch, cores=16)
    tuned.begin(100.0)
    assert (tuned.plan.num_workers, tuned.plan.reason) == (4, "decoding takes long")
    feed(tuned, read=9.0, step=1.0, seconds=9 / 4, n=30)
    assert tuned.plan.num_workers == 9


@pytest.mark.parametrize(("fixed", "wall"), [(True, None), (False, WALL)])
def test_no_processes_begin_where_there_can_be_none(monkeypatch, fixed, wall):
    tuned = tuner(monkeypatch, wall=wall)
    tuned.fixed = fixed
    tuned.begin(100.0)
    assert (tuned.plan.mode, tuned.plan.reason) == ("thread", "at first")


def test_a_number_given_by_hand_stays(monkeypatch):
    tuned = tuner(monkeypatch)
    tuned.fixed = True
    feed(tuned, read=3.0, step=1.0)
    assert str(tuned.plan) == "thread"


def test_an_obstacle_is_told(monkeypatch):
    tuned = tuner(monkeypatch, wall=WALL)
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
