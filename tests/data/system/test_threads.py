import itertools
import threading

import pytest

from sklearnish.data._system.threads import ahead, in_threads


def fail_at(number):
    def function(item):
        if item == number:
            raise ValueError(f"item {item}")
        return -item

    return function


@pytest.mark.parametrize("n_threads", [1, 3])
def test_results_come_in_order_up_to_an_error(n_threads):
    results = in_threads(fail_at(20), range(50), n_threads)
    assert list(itertools.islice(results, 20)) == [-i for i in range(20)]
    with pytest.raises(ValueError, match="item 20"):
        next(results)
    assert list(in_threads(fail_at(50), range(7), n_threads)) == [-i for i in range(7)]


def test_several_are_worked_on_at_once():
    both = threading.Barrier(2, timeout=60)
    assert len(list(in_threads(lambda _: both.wait(), range(4), 2))) == 4


@pytest.mark.parametrize(("n_ahead", "n_taken"), [(None, 6), (0, 1), (3, 4)])
def test_only_a_few_items_are_taken_ahead(n_ahead, n_taken):
    taken = itertools.count()
    results = in_threads(lambda item: item, taken, 2, n_ahead)
    assert next(results) == 0
    results.close()
    assert next(taken) == n_taken


def test_closing_ends_the_threads_and_what_is_not_begun():
    begun, go_on = [], threading.Event()

    def wait_here(item):
        begun.append(item)
        return item if item == 0 else go_on.wait(60)

    results = in_threads(wait_here, range(50), 1)
    assert next(results) == 0
    threading.Timer(0.05, go_on.set).start()
    results.close()
    assert len(begun) <= 2
    assert not [t for t in threading.enumerate() if t.name.startswith("sklearnish-ahead")]


def test_items_are_made_elsewhere_and_errors_come_here():
    def items():
        yield threading.current_thread()
        raise OSError("the disk is full")

    made = ahead(items())
    assert next(made) is not threading.current_thread()
    with pytest.raises(OSError, match="the disk is full"):
        next(made)
    assert list(ahead(range(100))) == list(range(100))
    assert list(ahead([])) == []
