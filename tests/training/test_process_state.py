import contextlib
import multiprocessing
import os
import random
import threading
import time

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed

from sklearnish import TorchClassifier
from sklearnish.training import seeded, thread_count
from sklearnish.training._process_state import in_turns
from tests.estimators.common import TwoLayers, classification

CPU = torch.device("cpu")


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def test_generators_are_seeded_and_put_back():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with seeded(0, CPU):
        first = draw()
    assert torch.equal(torch.get_rng_state(), before)
    draw()
    with seeded(0, CPU):
        assert draw() == first


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with thread_count(before + 1, in_memory=True):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_threads_draw_as_if_alone_and_leave_the_generators():
    with seeded(0, CPU):
        alone = [draw() for _ in range(3)]
    before = torch.get_rng_state()
    found = in_threads(4)
    assert found == [alone] * 4
    assert torch.equal(torch.get_rng_state(), before)


def test_a_thread_that_trains_lets_others_draw_between_steps():
    with seeded(0, CPU):
        alone = [draw() for _ in in_turns(range(40))]
    before, drawn, beside = torch.get_rng_state(), [], []

    def train(found):
        with seeded(0, CPU):
            for _ in in_turns(range(40)):
                found.append(draw())
                time.sleep(0.002)

    trains = [threading.Thread(target=train, args=[found]) for found in (drawn, beside)]
    for thread in trains:
        thread.start()
    while not drawn:
        time.sleep(0.001)
    with seeded(1, CPU):
        assert draw() != alone[0]
        assert 0 < len(drawn) < 40
    for thread in trains:
        thread.join()
    assert drawn == beside == alone
    assert torch.equal(torch.get_rng_state(), before)


def test_inside_of_another_fit_nobody_else_gets_in():
    came = threading.Event()

    def enter():
        with seeded(2, CPU):
            came.set()

    thread = threading.Thread(target=enter)
    with seeded(0, CPU):
        first = draw()
        with seeded(1, CPU):
            thread.start()
            for _ in in_turns(range(3)):
                time.sleep(0.02)
            assert not came.is_set()
        second = draw()
        for _ in in_turns(range(1)):
            assert not came.is_set()
        assert came.wait(5)
        third = draw()
    thread.join()
    with seeded(0, CPU):
        assert [draw() for _ in range(3)] == [first, second, third]


def in_threads(n):
    """Draw in seeded threads that reach every draw together, unless they wait for each other."""
    barrier = threading.Barrier(n)
    found = []

    def work():
        drawn = []
        with seeded(0, CPU):
            for _ in range(3):
                meet(barrier)
                drawn.append(draw())
        found.append(drawn)

    threads = [threading.Thread(target=work) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def meet(barrier):
    with contextlib.suppress(threading.BrokenBarrierError):
        barrier.wait(0.1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_process_forked_during_another_threads_fit_can_fit():
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with seeded(0, CPU):
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(30)
    child = multiprocessing.get_context("fork").Process(target=enter)
    child.start()
    child.join(10)
    code = child.exitcode
    child.kill()
    leave.set()
    thread.join()
    assert code == 0


def enter():
    with seeded(0, CPU):
        pass


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_gpus_generator_is_put_back(device):
    before = torch.cuda.get_rng_state()
    with seeded(0, torch.device(device)):
        torch.rand(1, device=device)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_fits_in_threads_are_those_of_one_after_another():
    X, y = classification()
    params = {"module": TwoLayers, "module__dropout": 0.5, "max_epochs": 3, "random_state": 0}
    before = torch.get_rng_state()

    def fit():
        clf = TorchClassifier()
        return clf.set_params(**params).fit(X, y).predict_proba(X)

    alone = fit()
    for found in Parallel(4, "threading")(delayed(fit)() for _ in range(4)):
        np.testing.assert_array_equal(found, alone)
    assert torch.equal(torch.get_rng_state(), before)
