"""Training in a process of its own: what kills it is an exception here."""

import multiprocessing
import os
import re
import signal
import threading
import time
import warnings
from contextlib import suppress
from typing import Any

import torch

from sklearnish.data import Dataset, Failure
from sklearnish.estimators._fitting.fit_task import FitTask, learned_by
from sklearnish.estimators._fitting.module import Start

_LOOK = 1.0
"""Seconds between two looks at whether the other process is alive."""


def train_in_child(
    estimator: Any, data: Dataset, valid: Dataset | None, start: Start, task: FitTask
) -> None:
    """Let a child process train, and take over what the estimator learned there.

    The process is one of joblib's, to which classes and functions of the script itself can be
    sent, too. Its warnings are given again here. It and its workers are a process group of their
    own, of which nothing is left however the fit ends, nor for long if this process is killed.

    Raises
    ------
    ChildProcessError
        If the process ended before it was done; the message has the exit code or signal.
    TypeError
        If the estimator, or what it learned, cannot be sent to another process.
    RuntimeError
        In a process that may not start one.
    """
    if multiprocessing.current_process().daemon:
        raise RuntimeError(
            "isolate=True starts a process, which a daemonic process, such as a worker of "
            'joblib\'s backend "multiprocessing", is not allowed to do. Use the backend '
            '"loky", or isolate=False.'
        )
    # Imported here: it takes a tenth of a second.
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    pool, group = ProcessPoolExecutor(1), 0
    try:
        group = pool.submit(_lead, os.getpid()).result()
        given = (estimator, data, valid, start, task)
        future = pool.submit(_train, given, torch.get_num_threads())
        learned, told = _wait(future, group, list(pool._processes.values()))
    except TerminatedWorkerError as error:
        codes = re.findall(r"\w+\(-?\d+\)", str(error))
        raise ChildProcessError(
            f"The child process of this fit died: {', '.join(codes)}. SIGKILL often means out of "
            "memory, SIGSEGV a crash in native code."
        ) from error
    except Exception as error:  # of pickling: what training raises comes back as a Failure
        raise TypeError(
            "The estimator, its rows, or what it learned cannot be sent to or from the child "
            f"process of isolate=True: {error}. Make it picklable, or set isolate=False."
        ) from error
    finally:
        pool.shutdown(kill_workers=True)
        _end(group)
    if not isinstance(learned, Failure):
        vars(estimator).update(learned)  # before the warnings, which may be errors here
    for message in told:
        warnings.warn_explicit(*message)
    if isinstance(learned, Failure):
        raise learned.error("In the child process of this fit")


def _wait(future: Any, group: int, processes: list[Any]) -> Any:
    """Wait for the result; see to it that a child that died is missed.

    Its workers hold on to what tells joblib of the death, and one that hangs does so for long.
    """
    while not future.done():
        with suppress(TimeoutError):
            return future.result(timeout=_LOOK)
        if not any(process.is_alive() for process in processes):
            _end(group)
    return future.result()


def _lead(parent: int) -> int:
    """Begin a process group; return its number, 0 where there is no such thing."""
    if not hasattr(os, "setpgrp"):
        return 0
    os.setpgrp()
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    return os.getpgrp()


def _follow(parent: int) -> None:
    """End the process group once the parent is gone: a signal to its group does not come here."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    _end(os.getpgrp())


def _end(group: int) -> None:
    """Kill who is left of a process group."""
    if group:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _train(
    given: tuple[Any, ...], num_threads: int
) -> tuple[dict[str, Any] | Failure, list[tuple[Any, ...]]]:
    """Train with as many threads as the parent would; return what was learned, and warnings."""
    torch.set_num_threads(num_threads)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        learned = _learn(*given)
    return learned, [(w.message, w.category, w.filename, w.lineno) for w in caught]


def _learn(
    estimator: Any, data: Dataset, valid: Dataset | None, start: Start, task: FitTask
) -> dict[str, Any] | Failure:
    """Train; return the attributes that came of it, or why there are none."""
    try:
        estimator._train(data, valid, start, task)
    except Exception as error:
        return Failure.of(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, which would end the program that waits, too
        return Failure.of(
            ChildProcessError(
                "The child process of this fit was to end before it was done, by "
                f"{type(error).__name__}({error})."
            )
        )
    return learned_by(estimator)
