import contextlib
import multiprocessing
import os
import random
import threading

import numpy as np
import pytest
import torch

from sklearnish.training import seeded, thread_count


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def test_generators_are_seeded_and_put_back():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with seeded(0, torch.device("cpu")):
        first = draw()
    assert torch.equal(torch.get_rng_state(), before)
    draw()
    with seeded(0, torch.device("cpu")):
        assert draw() == first


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with thread_count(before + 1, in_memory=True):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_threads_draw_as_if_alone_and_leave_the_generators():
    with seeded(0, torch.device("cpu")):
        alone = [draw() for _ in range(3)]
    before = torch.get_rng_state()
    found = in_threads(4)
    assert found == [alone] * 4
    assert torch.equal(torch.get_rng_state(), before)


def in_threads(n):
    """Draw in seeded threads that reach every draw together, unless they wait for each other."""
    barrier = threading.Barrier(n)
    found = []

    def work():
        drawn = []
        with seeded(0, torch.device("cpu")):
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
        with seeded(0, torch.device("cpu")):
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
    with seeded(0, torch.device("cpu")):
        pass


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_gpus_generator_is_put_back(device):
    before = torch.cuda.get_rng_state()
    with seeded(0, torch.device(device)):
        torch.rand(1, device=device)
    assert torch.equal(torch.cuda.get_rng_state(), before)
