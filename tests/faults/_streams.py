"""Streams that end in every way, while a worker dies, stops or does not listen.

``python -m tests.faults._streams close 100 7`` ends 100 streams by ``close``, with seed 7, and
prints what it saw as JSON, a line after each stream.
"""

import ctypes
import functools
import gc
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.synchronize import SemLock
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

import sklearnish as sn
from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data._reading.channels import _WorkersEnd

N = 60
WAYS = {
    "end": "its end",
    "error": "an error",
    "close": "`close`",
    "ctrl-c": "Ctrl-C",
    "garbage": "garbage collection",
    "exit": "the end of the interpreter",
}
STATES = {
    "healthy": "that is well",
    "busy": "that is busy",
    "locks": "that died with every lock that it could find",
    "half": "that died in the middle of a message",
    "stopped": "that is stopped",
    "deaf": "that ignores SIGTERM and is busy",
}
SECONDS = 10.0
"""A stream must be gone by then, on a busy machine."""


def write_rows(folder: Path) -> Path:
    frame = pd.DataFrame({"a": np.arange(N, dtype=np.float32)})
    frame.to_parquet(folder / "rows.parquet", row_group_size=5)
    return folder / "rows.parquet"


def get_into(state: str, row: int, bad: int, marker: str, x):
    """Bring the worker into a state on one row, once, and fail on another."""
    if x[0] == bad:
        raise ValueError(f"row {bad} is bad")
    if x[0] != row or Path(marker).exists():
        return x
    Path(marker).touch()
    if state == "busy":
        time.sleep(random.random())
    elif state == "locks":
        for each in gc.get_objects():
            if issubclass(type(each), SemLock):
                each.acquire(block=False)
        os.kill(os.getpid(), signal.SIGKILL)
    elif state == "half":
        for each in gc.get_objects():
            if type(each) is _WorkersEnd:
                each._link.send(b"half a")
        os.kill(os.getpid(), signal.SIGKILL)
    elif state == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif state == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(random.random())
    return x


class Stream:
    """The batches of a file, with a worker that gets into a state."""

    def __init__(self, path: Path, state: str, way: str, marker: Path, seed: int) -> None:
        rng = random.Random(seed)
        row, bad = rng.sample(range(N), 2)
        marker.unlink(missing_ok=True)
        function = functools.partial(get_into, state, row, bad if way == "error" else -1)
        self.rng, self.seen = rng, 0
        self.loader = prepare_loader(
            sn.scan_parquet(path),
            batch_size=7,
            num_workers=2,
            shuffle_memory=320,
            augment=functools.partial(function, str(marker)),
            seed=seed,
            timeout=1,
        )

    def __iter__(self) -> Iterator[int]:
        for batch in self.loader:
            self.seen += len(batch)
            yield self.seen

    def some(self) -> Iterator[int]:
        """Take some batches, then return the iterator."""
        batches = iter(self)
        wanted = self.rng.randrange(1, N)
        with suppress(StopIteration, sn.DataWorkerError):
            while next(batches) < wanted:
                pass
        return batches


def end_by(way: str, stream: Stream) -> float:
    """End a stream in one of the ways; return the seconds that it took."""
    begun = time.monotonic()
    if way in ("end", "error"):
        with suppress(ValueError, sn.DataWorkerError):
            list(stream)
        stream.loader.close()
    elif way == "close":
        stream.some()
        begun = time.monotonic()
        stream.loader.close()
    elif way == "ctrl-c":
        begun = _interrupt(stream)
    elif way == "garbage":
        batches = stream.some()
        cycle = [stream.loader, batches]
        cycle.append(cycle)
        begun = time.monotonic()
        del cycle, batches, stream.loader
        gc.collect()
    return time.monotonic() - begun


def _interrupt(stream: Stream) -> float:
    """Press Ctrl-C at some moment, in this process and its workers."""
    begun = time.monotonic()

    def press(*_: object) -> None:
        nonlocal begun
        begun = time.monotonic()
        for worker in psutil.Process().children():
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGALRM, press)
    deaf = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stream.loader, suppress(sn.DataWorkerError):
            signal.setitimer(signal.ITIMER_REAL, stream.rng.uniform(0.001, 0.1))
            list(stream)
    except KeyboardInterrupt:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, deaf)
        signal.signal(signal.SIGALRM, before)
    return begun


def held() -> Counter[str]:
    """Count what this process holds."""
    me = psutil.Process()
    children = [c for c in me.children(recursive=True) if not _is_tracker(c)]
    return Counter(
        processes=len(children),
        threads=threading.active_count(),
        descriptors=me.num_fds(),
        files=len(list(Path(tempfile.gettempdir()).glob("pymp-*"))),
        shared=len(list(Path("/dev/shm").glob(f"*_{os.getpid()}_*"))),
    )


def _is_tracker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "resource_tracker" in " ".join(process.cmdline())
    return False


def left_since(before: Counter[str], patience: float = 5.0) -> Counter[str]:
    """Count what is held beyond what was, once workers that were killed are gone."""
    until = time.monotonic() + patience
    while True:
        gc.collect()
        multiprocessing.active_children()  # takes note of those that have ended
        left = held() - before
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.01)


def run(way: str, count: int, seed: int) -> None:
    """End streams in one way, each with a worker in another state; print what was seen so far."""
    folder = Path(tempfile.mkdtemp())
    path, longest, left = write_rows(folder), Counter[str](), Counter[str]()
    end_by("end", Stream(path, "healthy", "end", folder / "marker", seed))  # loads what stays
    gc.freeze()  # what is there takes a tenth of a second to be looked through
    before = held()
    for number in range(count):
        state = list(STATES)[number % len(STATES)]
        if way == "exit":
            seconds = _in_child(path, state, folder / "marker", seed + number)
        else:
            stream = Stream(path, state, way, folder / "marker", seed + number)
            seconds = end_by(way, stream)
            del stream
        longest[state] = max(longest[state], seconds)
        left += left_since(before)
        print(json.dumps({"streams": number + 1, "longest": longest, "left": left}), flush=True)


_kept: list[object] = []


class _Leave(Exception):
    """Leave the program by its end."""


def _in_child(path: Path, state: str, marker: Path, seed: int) -> float:
    """Fork, and let the child's interpreter end in the middle of a stream."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        stream = Stream(path, state, "exit", marker, seed)
        _kept.append([stream, stream.some()])
        os.write(write, b"!")
        raise _Leave
    os.close(write)
    os.read(read, 1)
    os.close(read)
    begun = time.monotonic()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() - begun > 6 * SECONDS:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.001)
    return time.monotonic() - begun


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with suppress(AttributeError, OSError):
        # Whom a child leaves behind becomes a child of this process, and is counted.
        ctypes.CDLL(None).prctl(36, 1)
    with suppress(_Leave):
        run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
