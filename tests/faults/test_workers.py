"""Workers that die, hang or fail, and Ctrl-C."""

import gc
import itertools
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from torch import nn

import sklearnish as sn

METHODS = multiprocessing.get_all_start_methods()
PLACES = {"main": "the main thread", "thread": "another thread", "loky": "a worker of joblib"}
FAULTS = {
    "SIGKILL": ("killed by SIGKILL", "replaced, one warning, the same rows"),
    "SIGSEGV": ("killed by SIGSEGV", "replaced, one warning, the same rows"),
    "exit": ("os._exit(3)", "replaced, one warning, the same rows"),
    "SIGKILL always": (
        "killed by SIGKILL, always on one row",
        "DataWorkerError with rows and signal",
    ),
    "hang": ("hangs", "DataWorkerError after worker_timeout"),
    "unpicklable": (
        "an exception that cannot be pickled",
        "its text and traceback, as RuntimeError",
    ),
    "memory": ("MemoryError", "MemoryError"),
    "limit": ("512 MB beyond a limit of the system", "MemoryError"),
}

FUNCTIONS = """
import os, resource, signal, threading, time
from pathlib import Path
import numpy as np

class Unpicklable(Exception):
    def __init__(self, lock):
        super().__init__("row 33 is bad")
        self.lock = lock

def fail(way, marker, x):
    if x[0] != 33 or Path(marker).exists():
        return x
    if not way.endswith("always"):
        Path(marker).touch()
    if way.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, way.split()[0]))
    elif way == "exit":
        os._exit(3)
    elif way == "hang":
        time.sleep(1000)
    elif way == "memory":
        raise MemoryError("a terabyte")
    elif way == "limit":
        used = 4096 * int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))
        return x + np.ones(2**26).sum()
    raise Unpicklable(threading.Lock())
"""

SCRIPT = '''
import functools, json, multiprocessing, sys, warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import torch
from joblib import Parallel, delayed

import sklearnish as sn
from functions_of_rows import fail

X = np.arange(60, dtype=np.float32)[:, None].repeat(2, axis=1)
y = np.arange(60) % 2

def is_server(process):
    """multiprocessing's own, which stay until the program ends."""
    return any(name in " ".join(process.cmdline()) for name in ("tracker", "forkserver"))

def fit(num_workers, augment=None):
    """Weights, or the error, and the warnings."""
    clf = sn.TorchRegressor(
        torch.nn.Linear, max_epochs=2, batch_size=7, random_state=0, augment=augment,
        num_workers=num_workers, worker_timeout=3 if sys.argv[2] == "hang" else 60,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            clf.fit(sn.as_dataset(X), y / 1)
            found = [float(w) for p in clf.module_.parameters() for w in p.flatten()]
        except Exception as error:
            found = [type(error).__name__, str(error), "".join(getattr(error, "__notes__", []))]
    servers = {p.pid for p in psutil.Process().children() if is_server(p)}
    left = [p for p in psutil.Process().children(recursive=True) if p.pid not in servers]
    told = [str(w.message) for w in caught if "worker process" in str(w.message)]
    return found, told, len(left) if multiprocessing.current_process().name == "MainProcess" else 0

if __name__ == "__main__":
    method, way, place, marker = sys.argv[1:]
    multiprocessing.set_start_method(method)
    broken = functools.partial(fail, way, marker)
    if place == "main":
        result = fit(2, broken)
    elif place == "thread":
        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(fit, 2, broken).result()
    else:
        result = Parallel(n_jobs=2)([delayed(fit)(2, broken)])[0]
    print(json.dumps([*result, fit(0)[0]]))
'''

QUICK = {(way, "fork", "main") for way in ("SIGKILL", "unpicklable")}
CELLS = [
    pytest.param(*cell, marks=() if cell in QUICK else pytest.mark.slow)
    for cell in itertools.product(FAULTS, METHODS, PLACES)
    if cell[0] != "limit" or sys.platform == "linux"  # the limit is counted from /proc
]


@pytest.mark.parametrize(("way", "method", "place"), CELLS)
def test_a_worker(cell, tmp_path, way, method, place):
    fault, expected = FAULTS[way]
    at = cell(fault, f"{method}, {PLACES[place]}", expected)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "functions_of_rows.py").write_text(FUNCTIONS)
    arguments = [tmp_path / "script.py", method, way, place, tmp_path / "marker"]
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=250,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    found, told, left, healthy = json.loads(done.stdout.splitlines()[-1])
    assert left == 0, "processes are left"
    if "replaced" in expected:
        assert found == healthy, found
        assert len(told) == 1
        at.found = f"the same weights, bit for bit; {told[0].split('after it, ')[-1]}"
        return
    kind, text, notes = found
    at.found = f"{kind}: {text}"
    if way == "SIGKILL always":
        assert (kind, len(told)) == ("DataWorkerError", 1)
        assert "signal 9 (SIGKILL), for the 3rd time" in text
        assert "row" in text
    elif way == "hang":
        assert kind == "DataWorkerError"
        assert "within 3 s" in text
    else:
        wanted = {
            "memory": ("MemoryError", "a terabyte"),
            "limit": ("MemoryError", "Unable to allocate 512"),
            "unpicklable": ("RuntimeError", "row 33"),
        }
        assert kind == wanted[way][0]
        assert wanted[way][1] in text
        assert "In a worker process" in notes


INTERRUPTED = """
import signal, sys, time
import numpy as np
import torch
import sklearnish as sn
from skorch.callbacks import Callback

# A program that a shell starts in the background is born deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Tell(Callback):
    def on_batch_end(self, net, training, **kwargs):
        if training and len(net.history) == 3:
            print("now", flush=True)
            time.sleep(0.05)

def slow(x):
    time.sleep(0.001)
    return x

if __name__ == "__main__":
    X, y = np.random.default_rng(0).random((400, 3), dtype=np.float32), np.arange(400) % 2
    clf = sn.TorchClassifier(
        torch.nn.Linear, max_epochs=1000, batch_size=40, random_state=0, augment=slow,
        num_workers=int(sys.argv[1]), callbacks=[Tell()],
    )
    try:
        clf.fit(sn.as_dataset(X), y)
    except KeyboardInterrupt:
        told = time.time()
        whole = sn.TorchClassifier(
            torch.nn.Linear, max_epochs=clf.n_iter_, batch_size=40, random_state=0,
            augment=slow,
        ).fit(sn.as_dataset(X), y)
        same = all(map(torch.equal, clf.module_.parameters(), whole.module_.parameters()))
        print(clf.n_iter_, len(clf.history_), same, clf.predict(X).shape == (400,))
        raise
"""


@pytest.mark.parametrize("num_workers", [0, 2])
def test_ctrl_c(cell, tmp_path, num_workers):
    at = cell(
        "Ctrl-C during fit",
        f"num_workers={num_workers}",
        "KeyboardInterrupt; workers gone within a second; the last complete epoch is kept",
    )
    (tmp_path / "script.py").write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), str(num_workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that Ctrl-C is told to all of them
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline() == "now\n"
    workers = psutil.Process(process.pid).children()
    os.killpg(process.pid, signal.SIGINT)
    begun = time.monotonic()
    gone = psutil.wait_procs(workers, timeout=20)[0]
    seconds = time.monotonic() - begun
    out, err = process.communicate(timeout=100)
    assert len(gone) == len(workers) >= num_workers
    assert seconds < 1
    assert out.splitlines()[-1] == "2 2 True True", (out, err)
    assert "KeyboardInterrupt" in err
    at.found = f"{len(workers)} workers gone at once; 2 epochs kept, the third left out"


def held():
    """Processes, descriptors and shared memory that this process holds."""
    me = psutil.Process()
    children = {p.pid for p in me.children() if "tracker" not in " ".join(p.cmdline())}
    return children, me.num_fds(), {path.name for path in Path("/dev/shm").glob("torch*")}


def assert_nothing_is_left(before):
    """Wait a little for shared memory, whose names another program may hold for a moment."""
    until = time.monotonic() + 5
    gc.collect()
    while held()[2] - before[2] and time.monotonic() < until:
        time.sleep(0.01)
    processes, descriptors, shared = held()
    assert processes <= before[0]
    assert descriptors <= before[1]
    assert shared <= before[2]


def rows_and_labels(n_rows=40):
    return np.random.default_rng(0).random((n_rows, 3), dtype=np.float32), np.arange(n_rows) % 2


@pytest.mark.slow
def test_nothing_is_left_after_fifty_fits(cell):
    at = cell("50 fits", "2 workers", "no process, no descriptor, no shared memory is left")
    X, y = rows_and_labels()
    clf = sn.TorchClassifier(max_epochs=1, num_workers=2, random_state=0)
    clf.fit(sn.as_dataset(X), y)
    before = held()
    for _ in range(50):
        clf.fit(sn.as_dataset(X), y)
    assert_nothing_is_left(before)
    at.found = "none"


def refuse_row_33(x):
    if x[0] == 33:
        raise ValueError("row 33 is bad")
    return x


class Diverges(nn.Linear):
    def forward(self, X):
        return super().forward(X) / (len(X) == 7)  # the last batch has five rows


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    ("params", "error"),
    [({"augment": refuse_row_33}, ValueError), ({"module": Diverges}, FloatingPointError)],
    ids=["in a function of rows", "in the step"],
)
def test_nothing_is_left_after_an_error(cell, tmp_path, params, error, num_workers):
    place = f"{error.__name__}, Parquet, num_workers={num_workers}"
    at = cell("an error in fit", place, "no process, no descriptor, no shared memory is left")
    frame = pd.DataFrame({"a": np.arange(40.0), "b": 1.0, "y": np.arange(40) % 2})
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=10)
    ds = sn.scan_parquet(tmp_path / "rows.parquet", target="y")
    common = {"module": nn.Linear, "max_epochs": 2, "batch_size": 7, "random_state": 0}
    clf = sn.TorchClassifier(**common | params, num_workers=num_workers)
    before = None
    for _ in range(3):
        with pytest.raises(error):
            clf.fit(ds, ds.target)
        if before is not None:
            assert_nothing_is_left(before)
        before = before or held()  # after the first one, which loads what stays
    at.found = "none"


@pytest.mark.parametrize("num_workers", [0, "auto", 2])
def test_nothing_is_left_after_del(cell, num_workers):
    place = f"batches taken for a while, an estimator, num_workers={num_workers}"
    at = cell("del", place, "no process, no descriptor, no shared memory is left")
    X, y = rows_and_labels()
    before = None
    for _ in range(3):
        batches = iter(sn.as_dataset(X, y).batches(7, epochs=2, num_workers=num_workers))
        batch = next(batches)
        clf = sn.TorchClassifier(max_epochs=1, num_workers=num_workers, random_state=0)
        clf.fit(sn.as_dataset(X), y)
        del batch, batches, clf
        if before is not None:
            assert_nothing_is_left(before)
        before = before or held()
    at.found = "none"


FIFTY_EPOCHS = """
import json, os, sys
import numpy as np
import pandas as pd
from skorch.callbacks import Callback
import sklearnish as sn
from tests.test_memory import anonymous_bytes

class Weighs(Callback):
    def on_epoch_end(self, net, **kwargs):
        weights.append(anonymous_bytes(os.getpid()))

if __name__ == "__main__":
    weights, num_workers = [], int(sys.argv[1])
    X = np.random.default_rng(0).random((60_000, 3), dtype=np.float32)
    frame = pd.DataFrame(X, columns=list("abc")).assign(y=np.arange(60_000) % 2)
    frame.to_parquet("rows.parquet", row_group_size=10_000)
    ds = sn.scan_parquet("rows.parquet", target="y")
    clf = sn.TorchClassifier(
        max_epochs=50, batch_size=5000, random_state=0, num_workers=num_workers,
        callbacks=[Weighs()], shuffle_memory="1MB",
    )
    clf.fit(ds, ds.target)
    print(json.dumps(weights))
"""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(sys.platform != "linux", reason="shared pages are counted from /proc")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_memory_is_flat_over_fifty_epochs(cell, tmp_path, num_workers):
    """The median of twenty epochs: huge pages come and go, and a child may be missed in /proc.

    Pages of mapped files do not count: what a library weighs here depends on who else has it open.
    A shared page counts in each process: a share of it grows when another process lets go of it.
    """
    place = f"Parquet, 1 MB an epoch, num_workers={num_workers}"
    at = cell(
        "50 epochs", place, "less than 8 MB more in the last 20 than in those from the 6th on"
    )
    (tmp_path / "script.py").write_text(FIFTY_EPOCHS)
    # Freed arrays go back to the system, so that what is measured is what is held.
    environ = {"MALLOC_MMAP_THRESHOLD_": "100000", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(
        [sys.executable, "script.py", str(num_workers)],
        cwd=tmp_path,
        env=os.environ | environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    weights = json.loads(done.stdout.splitlines()[-1])
    assert len(weights) == 50
    more = statistics.median(weights[-20:]) - statistics.median(weights[5:25])
    at.found = f"{more / 2**20:.1f} MB more"
    assert more < 8 * 2**20
