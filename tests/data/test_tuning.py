import multiprocessing

import numpy as np
import pytest
import torch

from sklearnish.data._tuning import make_plan

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def plan(num_workers="auto", pin_memory="auto", device=CPU, in_memory=False, thread_safe=True):
    return make_plan(num_workers, pin_memory, device, in_memory=in_memory, thread_safe=thread_safe)


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
