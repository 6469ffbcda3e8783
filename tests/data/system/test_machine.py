import multiprocessing
import os
import subprocess
import sys

import pytest
import torch

from sklearnish.data._system import machine
from sklearnish.data._system.machine import n_cores, n_threads, private_memory
from sklearnish.data._tensors.buffers import empty


def test_cores_are_those_of_the_affinity():
    assert 1 <= n_cores() <= len(os.sched_getaffinity(0))
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from sklearnish.data._system.machine import n_cores; print(n_cores())"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "1"


@pytest.mark.parametrize(("limit", "threads"), [("1", 1), ("4096", 2), ("", 2), ("0", 2)])
def test_openmp_limits_the_threads_and_not_the_cores(monkeypatch, limit, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(machine, "_container_cores", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert (n_cores(), n_threads()) == (2, threads)


def test_private_memory_counts_what_is_written():
    before = private_memory()
    tensor = empty((64, 2**20), torch.uint8)
    assert private_memory() - before < 2**25
    tensor.fill_(1)
    assert 60 * 2**20 < private_memory() - before < 2**27


def test_a_forked_process_does_not_count_what_it_was_born_with():
    tensor = torch.ones(2**26)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        child = pool.apply(private_memory)
    assert child < private_memory() / 4
    assert private_memory() > tensor.nbytes
