"""Workers that die, hang or fail, and Ctrl-C."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

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
}

FUNCTIONS = """
import os, signal, threading, time
from pathlib import Path

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

CELLS = [
    pytest.param(*cell, marks=() if cell[1:] == ("fork", "main") else pytest.mark.slow)
    for cell in itertools.product(FAULTS, METHODS, PLACES)
]


@pytest.mark.parametrize(("way", "method", "place"), CELLS)
def test_a_worker(cell, tmp_path, way, method, place):
    import json

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


def shared_memory():
    """Name what torch keeps in shared memory."""
    return {path.name for path in Path("/dev/shm").glob("torch*")}


def test_nothing_is_left_after_fifty_fits(cell, tmp_path):
    at = cell("50 fits", "2 workers", "no process, no descriptor, no shared memory is left")
    import numpy as np

    import sklearnish as sn

    X, y = np.random.default_rng(0).random((40, 3), dtype=np.float32), np.arange(40) % 2
    clf = sn.TorchClassifier(max_epochs=1, num_workers=2, random_state=0)
    clf.fit(sn.as_dataset(X), y)
    me, before, shared = psutil.Process(), psutil.Process().num_fds(), shared_memory()
    for _ in range(50):
        clf.fit(sn.as_dataset(X), y)
    assert [c for c in me.children() if "tracker" not in " ".join(c.cmdline())] == []
    assert me.num_fds() <= before
    assert shared_memory() <= shared
    at.found = "none"
