"""Real workers that really die."""

import functools
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch

from sklearnish.data import DataWorkerError, scan_parquet
from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data._reading import workers as worker_processes

N, BAD = 60, 33


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("workers") / "frame.parquet"
    frame = pd.DataFrame({"a": np.arange(N, dtype=np.float32), "y": np.arange(N) % 2})
    frame.to_parquet(path, row_group_size=5)
    return path


def kill(number):
    os.kill(os.getpid(), number)


def run_out_of_memory():
    raise MemoryError("a picture of a terabyte")


WAYS = {
    "SIGKILL": functools.partial(kill, signal.SIGKILL),
    "SIGSEGV": functools.partial(kill, signal.SIGSEGV),
    "exit": functools.partial(os._exit, 3),
    "hang": functools.partial(time.sleep, 1000),
    "memory": run_out_of_memory,
}
ENDS = {
    "SIGKILL": r"was killed by signal 9 \(SIGKILL\)",
    "SIGSEGV": r"was killed by signal 11 \(SIGSEGV\)",
    "exit": "ended with exit code 3",
}


def die(way, marker, x):
    """End the process on one row: at the first time that it is read, or always."""
    if x[0] == BAD and not (marker and Path(marker).exists()):
        if marker:
            Path(marker).touch()
        WAYS[way]()
    return x


def rows(path, num_workers=2, augment=None, timeout=60):
    settings = {"batch_size": 7, "shuffle_memory": 8 * 4 * 10, "epochs": 2}
    ds = scan_parquet(path, target="y")
    with prepare_loader(
        ds, num_workers=num_workers, augment=augment, timeout=timeout, **settings
    ) as batches:
        return [int(a) for _ in range(2) for batch in batches for a in batch.X[:, 0]]


def workers():
    children = psutil.Process().children()
    return [c for c in children if "resource_tracker" not in " ".join(c.cmdline())]


def no_workers_left():
    return not workers()


def in_thread(function, *args, **keywords):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args, **keywords).result()


def here(function, *args, **keywords):
    return function(*args, **keywords)


@pytest.mark.parametrize("where", [here, in_thread])
@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("way", list(ENDS))
def test_a_worker_that_dies_is_replaced(path, tmp_path, way, num_workers, where):
    augment = functools.partial(die, way, str(tmp_path / "died"))
    with pytest.warns(RuntimeWarning, match=ENDS[way]) as caught:
        got = where(rows, path, num_workers, augment)
    assert got == rows(path, 0)
    assert len(caught) == 1
    assert no_workers_left()


def test_more_workers_than_cores_are_not_warned_of(path, monkeypatch):
    monkeypatch.setattr(torch._utils, "cpu_count", lambda: 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rows(path, 2) == rows(path, 0)


@pytest.mark.parametrize("way", list(ENDS))
@pytest.mark.filterwarnings("ignore:A worker process:RuntimeWarning")
def test_the_third_death_on_the_same_rows_is_an_error(path, way):
    with pytest.raises(DataWorkerError, match=ENDS[way]) as caught:
        rows(path, 2, functools.partial(die, way, ""))
    text = str(caught.value)
    assert "for the 3rd time" in text
    assert str(path) in text
    first, last = (int(part.split()[0]) for part in text.split(" row ")[1:3])
    assert first <= BAD <= last
    assert no_workers_left()


@pytest.mark.parametrize(
    ("code", "method", "guarded", "told"),
    [
        (1, "spawn", False, True),
        (1, "spawn", True, False),
        (1, "fork", False, False),
        (3, "spawn", False, False),
    ],
)
@pytest.mark.filterwarnings("ignore:A worker process:RuntimeWarning")
def test_only_a_missing_guard_is_told_of(path, monkeypatch, code, method, guarded, told):
    monkeypatch.setattr(worker_processes, "start_method", lambda: method)
    monkeypatch.setattr(worker_processes, "main_can_be_imported", lambda: guarded)
    monkeypatch.setitem(WAYS, "exit", functools.partial(os._exit, code))
    with pytest.raises(DataWorkerError, match=f"exit code {code}") as caught:
        rows(path, 1, functools.partial(die, "exit", ""))
    assert ("lacks `if __name__" in str(caught.value)) == told
    assert ("for the 3rd time" in str(caught.value)) != told
    assert no_workers_left()


UNGUARDED = """
import multiprocessing
import numpy as np
import sklearnish as sn

multiprocessing.set_start_method("spawn", force=True)
X = np.zeros((2000, 3), np.float32)
try:
    sn.TorchClassifier(max_epochs=1, num_workers=2).fit(sn.as_dataset(X, np.arange(2000) % 2))
except sn.DataWorkerError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_what_it_lacks(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=250, env=environment
    )
    assert "lacks `if __name__ == '__main__':`" in done.stdout
    assert "are read again" not in done.stderr


def test_a_hang_ends_after_the_timeout(path):
    begun = time.monotonic()
    with pytest.raises(DataWorkerError, match=r"within 2 s\. .*worker_timeout"):
        rows(path, 2, functools.partial(die, "hang", ""), timeout=2)
    assert time.monotonic() - begun < 30
    assert no_workers_left()


def test_out_of_memory_in_a_worker_is_told_as_such(path):
    with pytest.raises(MemoryError, match="terabyte"):
        rows(path, 2, functools.partial(die, "memory", ""))
    assert no_workers_left()


def test_a_death_does_not_interrupt_the_step(path):
    """Torch would raise it wherever the main thread is."""
    with prepare_loader(
        scan_parquet(path), batch_size=7, num_workers=2, shuffle_memory=320
    ) as batches:
        iterator = iter(batches)
        got = [next(iterator).X]
        for worker in workers():
            worker.kill()
        begun = time.monotonic()
        while time.monotonic() - begun < 0.3:
            sum(range(100))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            got += [batch.X for batch in iterator]
    assert sorted(int(a) for X in got for a in X[:, 0]) == list(range(N))
    assert no_workers_left()


def sleep_from_then_on(marker, x):
    """Let the first fetch through."""
    if Path(marker).exists():
        time.sleep(1000)
    return x


def test_workers_are_gone_at_once_though_they_are_busy(path, tmp_path):
    augment = functools.partial(sleep_from_then_on, str(tmp_path / "sleep"))
    settings = {"batch_size": 5, "num_workers": 2, "shuffle_memory": 160, "augment": augment}
    with prepare_loader(scan_parquet(path), **settings) as batches:
        next(iter(batches))
        (tmp_path / "sleep").touch()
        time.sleep(0.5)  # both are asleep now
        assert not no_workers_left()
        begun = time.monotonic()
    assert time.monotonic() - begun < 1
    assert no_workers_left()
