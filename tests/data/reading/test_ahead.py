import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import psutil
import pytest
import torch

from sklearnish.data import scan_parquet
from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data._reading.plan import LoadPlan, obstacle
from sklearnish.data._reading.processes import start_method
from sklearnish.data._system.machine import n_cores

N = 60


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("readers") / "frame.parquet"
    frame = pd.DataFrame({"a": np.arange(N, dtype=np.float32), "y": np.arange(N) % 2})
    frame.to_parquet(path, row_group_size=5)
    return path


def loader(path, num_workers, n_epochs=2, **keywords):
    ds = scan_parquet(path, target="y")
    settings = {"batch_size": 7, "shuffle_memory": 8 * 4 * 10}  # windows of two blocks
    return prepare_loader(ds, num_workers=num_workers, epochs=n_epochs, **{**settings, **keywords})


def stream(path, num_workers, n_epochs=2, **keywords):
    """Rows of all epochs in order."""
    with loader(path, num_workers, n_epochs, **keywords) as batches:
        return [int(a) for _ in range(n_epochs) for batch in batches for a in batch.X[:, 0]]


def mode(path, num_workers):
    return loader(path, num_workers).plan.mode


def leftovers():
    """Child processes, reading threads and open files of this process."""
    gc.collect()
    me = psutil.Process()
    names = [t.name for t in threading.enumerate() if t.name.startswith("sklearnish-ahead")]
    # multiprocessing's own helper stays for the life of the process.
    children = [c for c in me.children() if "resource_tracker" not in " ".join(c.cmdline())]
    return children, names


def number_of_files():
    gc.collect()
    return psutil.Process().num_fds()


MODES = [0, "auto", 2]


@pytest.mark.parametrize("num_workers", MODES)
@pytest.mark.parametrize("after", [0, 1, 4, 100])
def test_what_was_opened_is_closed(path, num_workers, after):
    def use():
        with loader(path, num_workers) as batches:
            for i, _ in enumerate(batches):
                if i == after:
                    break

    use()
    before = number_of_files()
    for _ in range(3):
        use()
    assert leftovers() == ([], [])
    assert number_of_files() <= before


@pytest.mark.parametrize("num_workers", MODES)
def test_a_generator_that_is_dropped_closes_too(path, num_workers):
    batches = scan_parquet(path).batches(7, num_workers=num_workers, shuffle_memory=320)
    next(batches)
    del batches
    assert leftovers() == ([], [])


@pytest.mark.parametrize("num_workers", MODES)
def test_an_error_of_the_training_loop_closes_too(path, num_workers):
    def train():
        with loader(path, num_workers) as batches:
            for _ in batches:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert leftovers() == ([], [])


def test_the_thread_reads_ahead(path):
    with loader(path, "auto") as batches:
        next(iter(batches))
        assert [t.name for t in threading.enumerate()].count("sklearnish-ahead_0") == 1


def test_workers_live_as_long_as_the_fit(path):
    with loader(path, 2, 3) as batches:
        pids = []
        for _ in range(2):
            for _ in batches:
                pass
            pids.append({child.pid for child in leftovers()[0]})
    assert len(pids[0]) == 2
    assert pids[0] == pids[1]


class Unpicklable(Exception):
    def __init__(self, number, lock):
        super().__init__(f"row {number} is bad")
        self.lock = lock


def fail_with_a_file(x):
    if x[0] == 33:
        raise FileNotFoundError(2, "No such file", "picture.jpg")
    return x


def fail_unpicklably(x):
    if x[0] == 33:
        raise Unpicklable(33, threading.Lock())
    return x


class Rebuilt(Exception):
    """Takes other arguments than it hands on, so that its pickle cannot be loaded."""

    def __init__(self, name, number):
        super().__init__(f"{name} {number}")


def fail_unloadably(x):
    raise Rebuilt("row", 1)


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_an_error_arrives_with_its_own_type_and_fields(path, num_workers):
    with pytest.raises(FileNotFoundError, match="No such file") as caught:
        stream(path, num_workers, augment=fail_with_a_file)
    assert (caught.value.errno, caught.value.filename) == (2, "picture.jpg")
    notes = "\n".join(caught.value.__notes__)
    assert "raised in fail_with_a_file" in notes
    if num_workers:
        assert "In a worker process:\nTraceback" in notes
        assert "line" in notes
    assert leftovers() == ([], [])


@pytest.mark.parametrize(
    ("augment", "message"),
    [(fail_unpicklably, "Unpicklable: row 33 is bad"), (fail_unloadably, "row 1")],
)
@pytest.mark.timeout(60)
def test_an_error_that_cannot_be_sent_arrives_as_its_text(path, augment, message):
    # Where dask was imported, pickle can rebuild any exception.
    with pytest.raises((RuntimeError, Rebuilt), match=message) as caught:
        stream(path, 2, augment=augment)
    assert augment.__name__ in "\n".join(caught.value.__notes__)
    assert leftovers() == ([], [])


def test_nan_in_a_worker_names_row_and_file(tmp_path):
    frame = pd.DataFrame({"a": np.where(np.arange(N) == 41, np.nan, 0), "y": 0})
    frame.to_parquet(tmp_path / "bad.parquet", row_group_size=5)
    with pytest.raises(ValueError, match=r"NaN: column 'a', row 41 of .*bad\.parquet"):
        stream(tmp_path, 2)


def test_labels_in_memory_stay_at_home(path):
    ds = scan_parquet(path).with_target([f"class {i % 3}" for i in range(N)])[::-1]
    with prepare_loader(ds, batch_size=7, num_workers=2, sampler="sequential") as batches:
        y = torch.cat([batch.y for batch in batches]).numpy()
        assert batches.reader.__getstate__()["_whole"]._target.array is None
    assert ds.classes[y].tolist() == list(ds.target)


def test_several_threads_read_at_once(path):
    expected = stream(path, 0)
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda workers: stream(path, workers), [0, "auto", 2, "auto"]))
    assert results == [expected] * 4


@pytest.mark.parametrize("num_workers", ["auto", 2])
def test_a_forked_process_does_not_go_on_with_the_batches_of_its_parent(path, num_workers):
    """It would wait for a thread that it has not, or take what the parent waits for."""
    batches = iter(loader(path, num_workers, 1))
    seen = len(next(batches))

    def go_on(said):
        try:
            list(batches)
        except RuntimeError as error:
            said.send(str(error))

    heard, said = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=go_on, args=(said,))
    child.start()
    assert heard.poll(20)
    assert "forked process cannot continue with the batches" in heard.recv()
    child.join(20)
    assert seen + sum(map(len, batches)) == N


def test_a_pool_worker_reads_in_a_thread(path):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(mode, (path, 2)) == "thread"
        assert pool.apply(stream, (path, 2)) == stream(path, 0)


FUNCTIONS = """
def noisy(x, rng):
    return x + float(rng.normal())
"""

SCRIPT = """
import multiprocessing
import sys

import torch
from joblib import Parallel, delayed

from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data import scan_parquet

from functions_of_rows import noisy


class Bad(Exception):
    pass


def fail(x):
    raise Bad("row 1")


def rows(num_workers, augment=noisy):
    ds = scan_parquet(sys.argv[1], target="y")
    with prepare_loader(
        ds,
        batch_size=7,
        epochs=2,
        shuffle_memory=320,
        num_workers=num_workers,
        augment=augment,
    ) as loader:
        return torch.cat([batch.X for _ in range(2) for batch in loader])[:, 0].tolist()


if __name__ == "__main__":
    expected = rows(0)
    if sys.argv[2] == "loky":
        results = Parallel(n_jobs=2)(delayed(rows)(2) for _ in range(2))
    else:
        multiprocessing.set_start_method(sys.argv[2])
        results = [rows(2)]
    print(all(result == expected for result in results))
    try:
        rows(1, fail)
    except (Bad, RuntimeError) as error:
        print("row 1" in str(error) and "In a worker" in error.__notes__[-1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", [*multiprocessing.get_all_start_methods(), "loky"])
def test_every_start_method_and_joblib_give_the_same_rows(path, tmp_path, method):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "functions_of_rows.py").write_text(FUNCTIONS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, str(script), str(path), method],
        capture_output=True,
        text=True,
        timeout=250,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True"]


# A plan that changes in the middle


def noisy(x, rng):
    return x + float(rng.normal())


PLANS = [LoadPlan("thread", 0, ""), LoadPlan("processes", 2, ""), LoadPlan("inline", 0, "")]


@pytest.mark.parametrize("every", [1, 2, 5])
def test_the_stream_is_the_same_whatever_the_plan_becomes(path, every):
    def changing():
        with loader(path, "auto", 3, augment=noisy) as batches:
            for _ in range(3):
                for number, batch in enumerate(batches):
                    batches.tuner.plan = PLANS[number // every % 3]
                    yield batch

    got = [batch.X for batch in changing()]
    with loader(path, 0, 3, augment=noisy) as batches:
        wanted = [batch.X for _ in range(3) for batch in batches]
    assert len(got) == len(wanted)
    assert all(map(torch.equal, got, wanted))
    assert leftovers() == ([], [])


class RunsOut(torch.utils.data.Dataset):
    def __len__(self):
        return 400

    def __getitem__(self, i):
        if i == 90:
            next(iter(()))
        return torch.full((8,), float(i)), i % 2


def runs_out(x):
    if x[0] == 30:
        next(iter(()))
    return x


@pytest.mark.parametrize("num_workers", [0, "auto", 1, 2])
def test_an_iterator_that_ends_does_not_end_the_stream(path, num_workers):
    ds = as_dataset(RunsOut())
    with (
        prepare_loader(
            ds, batch_size=50, num_workers=num_workers, shuffle_memory="3200"
        ) as batches,
        pytest.raises(RuntimeError, match="on an exhausted iterator") as caught,
    ):
        list(batches)
    assert "RunsOut[90]" in "".join(caught.value.__notes__)
    with pytest.raises(RuntimeError, match="on an exhausted iterator") as caught:
        stream(path, num_workers, augment=runs_out)
    assert "row 30 of" in "".join(caught.value.__notes__)
    assert leftovers() == ([], [])


def slow(x):
    time.sleep(0.002)
    return x


@pytest.mark.skipif(n_cores() < 2, reason="one core")
def test_auto_takes_processes_where_reading_is_slow(path, monkeypatch):
    monkeypatch.setattr("sklearnish.data._loading.tuner._START", {start_method(): 0.0})
    with loader(path, "auto", 8, augment=slow) as batches:
        rows = [int(a) for _ in range(8) for batch in batches for a in batch.X[:, 0]]
    report = batches.report()
    assert report.mode == "processes"
    assert report.reason.startswith("measured")
    assert report.epochs[0].plan == "inline, then 2 processes"
    assert rows == stream(path, 0, 8)
    assert leftovers() == ([], [])


def test_auto_starts_no_processes_for_what_cannot_be_sent(path, monkeypatch):
    monkeypatch.setattr("sklearnish.data._loading.tuner._START", {start_method(): 0.0})
    monkeypatch.setattr("sklearnish.data._loading.tuner.n_cores", lambda: 4)
    with loader(path, "auto", 4, augment=lambda x: slow(x)) as batches:
        for _ in range(4):
            for _ in batches:
                pass
    assert batches.report().mode == "inline"
    assert (
        "no processes: the dataset or a function cannot safely be sent" in batches.report().reason
    )


def test_nothing_is_in_the_way_of_processes_that_read_a_file(path):
    with loader(path, "auto", 1) as batches:
        assert obstacle(batches.reader, batches.tuner.room) is None


def test_times_and_bytes_are_those_of_the_rows(path):
    with loader(path, "auto", 2, augment=slow) as batches:
        for _ in range(2):
            for _ in batches:
                pass
    for epoch in batches.report().epochs:
        assert epoch.rows == N
        assert epoch.bytes_read == N * 4  # labels are in memory
        assert epoch.transform >= N * 0.002
        assert 0 < epoch.read < epoch.seconds
        assert epoch.wait + epoch.transfer <= epoch.seconds
        assert epoch.peak_memory > 10**7
