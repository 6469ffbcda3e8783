"""Processes of joblib's that train: what kills one is an exception here, and none is left."""

import multiprocessing
import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sklearnish.data import Failure
from sklearnish.training import LostRankError

_LOOK = 1.0
"""Seconds between two looks at whether the other processes are alive."""

_GRACE = 5.0
"""Seconds that others have to say what they know once one has failed."""


@contextmanager
def children(n: int, asked: str) -> Iterator["Children"]:
    """Start processes of joblib's, to which what the script itself defines can be sent.

    Each of them and its workers are a process group of their own, of which nothing is left at the
    end of the context, nor for long if this process is killed.

    Parameters
    ----------
    n : int
        How many.
    asked : str
        The parameter that asked for them, for errors.

    Yields
    ------
    Children
        The processes, and a folder for them.

    Raises
    ------
    RuntimeError
        In a process that may not start one.
    """
    if multiprocessing.current_process().daemon:
        raise RuntimeError(
            f"{asked} starts processes, which a daemonic process, such as a worker of "
            'joblib\'s backend "multiprocessing", is not allowed to do. Use the backend '
            f'"loky", or leave out {asked.partition("=")[0]}.'
        )
    # Imported here: it takes a tenth of a second.
    from joblib.externals.loky import ProcessPoolExecutor

    folder = tempfile.mkdtemp(prefix="sklearnish-")  # nobody else may look into it
    pools = [ProcessPoolExecutor(1) for _ in range(n)]
    groups: list[int] = []
    try:
        leading = [pool.submit(_lead, os.getpid(), folder) for pool in pools]
        groups += [future.result() for future in leading]
        yield Children(pools, groups, Path(folder))
    finally:
        for pool in pools:
            pool.shutdown(kill_workers=True)
        for group in groups:
            _end(group)
        shutil.rmtree(folder, ignore_errors=True)


class Children:
    """Started processes.

    Parameters
    ----------
    pools : sequence of ProcessPoolExecutor
        One for each process.
    groups : sequence of int
        The numbers of their process groups.
    folder : Path
        In which they may meet.
    """

    def __init__(self, pools: Sequence[Any], groups: Sequence[int], folder: Path) -> None:
        self._pools, self._groups = pools, groups
        self._processes = [list(pool._processes.values()) for pool in pools]
        self.folder = folder

    def run(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Call a function in every process, with its rank first.

        Returns
        -------
        list
            What they returned; a LostRankError for one that died or did not answer. Its message
            has exit code or signal.

        Raises
        ------
        Exception
            What went wrong on the way to or from a process.
        """
        futures = [pool.submit(function, i, *args) for i, pool in enumerate(self._pools)]
        self._wait(futures)
        return [_outcome(future) for future in futures]

    def _wait(self, futures: list[Future[Any]]) -> None:
        """Wait until all are done; if one fails, for a moment only."""
        pending, until = set(futures), float("inf")
        while pending and time.monotonic() < until:
            done, pending = wait(pending, _LOOK, FIRST_COMPLETED)
            self._mourn()
            for future in done:
                until = min(until, time.monotonic() + _patience(future))

    def _mourn(self) -> None:
        """See to it that a process which died is missed.

        Its workers hold on to what tells joblib of the death, and one that hangs does so for long.
        """
        for group, processes in zip(self._groups, self._processes, strict=True):
            if not any(process.is_alive() for process in processes):
                _end(group)


def _outcome(future: Future[Any]) -> Any:
    """Return a result, or how the process was lost."""
    if not future.done():
        return LostRankError("it did not answer")
    error = future.exception()
    if error is None:
        return future.result()
    if not _is_death(error):
        raise error
    return LostRankError(", ".join(re.findall(r"\w+\(-?\d+\)", str(error))) or "it died")


def _patience(future: Future[Any]) -> float:
    """Say for how many seconds the others are waited for after one is done."""
    if future.exception() is not None:
        return _GRACE
    result = future.result()
    if not isinstance(result, Failure):
        return float("inf")
    return _GRACE if isinstance(result.error(""), LostRankError) else 0.0


def _is_death(error: BaseException) -> bool:
    """Tell the death of a process from what goes wrong on the way to or from it."""
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    return isinstance(error, TerminatedWorkerError)


def _lead(parent: int, folder: str) -> int:
    """Begin a process group; return its number, 0 where there is no such thing."""
    if not hasattr(os, "setpgrp"):
        return 0
    os.setpgrp()
    threading.Thread(target=_follow, args=(parent, folder), daemon=True).start()
    return os.getpgrp()


def _follow(parent: int, folder: str) -> None:
    """End the process group once the parent is gone: a signal to its group does not come here."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    shutil.rmtree(folder, ignore_errors=True)
    _end(os.getpgrp())


def _end(group: int) -> None:
    """Kill who is left of a process group."""
    if group:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
