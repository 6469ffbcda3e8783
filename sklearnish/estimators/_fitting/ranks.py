"""A fit in other processes: one of its own, or several that train together."""

import os
import socket
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch

from sklearnish.data import (
    Dataset,
    Failure,
    Parcel,
    described,
    parcel,
    resolve_device,
    unpacked,
    warn,
    without_numbers,
)
from sklearnish.estimators._fitting.child_process import Children, children
from sklearnish.estimators._fitting.fit_task import FitTask, learned_by
from sklearnish.estimators._fitting.module import Start
from sklearnish.training import LostRankError, device_of_rank, joined

Outcome = tuple[dict[str, Any], list[tuple[Any, ...]]]
"""What was learned, and the warnings."""

Given = tuple[Any, Dataset, Dataset | None, Start, FitTask]
"""An estimator, its rows and validation rows, how it starts, and who is told."""

ELSEWHERE: ContextVar[Callable[[Given], Outcome | Failure] | None] = ContextVar(
    "elsewhere", default=None
)
"""What trains on a cluster, where fits of this thread are sent to one."""


def n_processes(estimator: Any) -> int:
    """Return how many processes train: with "auto", one for each GPU."""
    asked = estimator.n_processes
    if asked != "auto":
        return int(asked)
    on_gpu = resolve_device(estimator.device).type == "cuda"
    return max(1, torch.cuda.device_count()) if on_gpu else 1


def trains_elsewhere(estimator: Any) -> bool:
    """Say whether a fit leaves this process."""
    return ELSEWHERE.get() is not None or estimator.isolate or n_processes(estimator) > 1


def train_elsewhere(
    estimator: Any, data: Dataset, valid: Dataset | None, start: Start, task: FitTask
) -> None:
    """Let other processes train together, and take over what the first of them learned.

    They are those of a cluster, or of this machine. The latter are given everything once, in memory
    that they share. If one dies, all begin anew from the last checkpoint. The warnings of the first
    are given again here.

    Raises
    ------
    ChildProcessError
        If processes died more often than ``max_restarts``; with one process, if it died.
    TypeError
        If the estimator, or what it learned, cannot be sent to another process.
    RuntimeError
        In a process that may not start one.
    """
    n, launch = n_processes(estimator), ELSEWHERE.get()
    given: Given = (estimator, data, valid, start, task)
    outcome = launch(given) if launch is not None else _on_this_machine(given, n)
    alone = n == 1 and launch is None
    _take_over(estimator, outcome, "the child process" if alone else "a process")


def _on_this_machine(given: Given, n: int) -> Outcome | Failure:
    """Start processes here, again if one dies."""
    estimator = given[0]
    if n > 1:
        _check_device(estimator.device, n)
    restarts = estimator.max_restarts if n > 1 else 0
    for _ in range(restarts):
        try:
            return _attempt(given, n)
        except LostRankError as error:
            _warn_of_restart(error, estimator.checkpoint_dir)
    try:
        return _attempt(given, n)
    except LostRankError as error:
        raise _death(error, n, restarts) from error


def _check_device(device: Any, n: int) -> None:
    """Refuse one GPU for several processes."""
    if device != "auto" and torch.device(device).index is not None:
        raise ValueError(
            f"device={str(device)!r} is one GPU, but n_processes={n} take one each. Use "
            'device="cuda", or "auto".'
        )


def _attempt(given: Given, n: int) -> Outcome | Failure:
    """Start processes, and let them train."""
    asked = f"n_processes={given[0].n_processes}" if n > 1 else "isolate=True"
    with children(n, asked) as started:
        try:
            with parcel(given, job_pickler()) as job:
                results = started.run(_train, *_how(job, n, started, given[0]))
        except (LostRankError, OSError):
            raise
        except Exception as error:  # of pickling: what training raises comes back as a Failure
            raise TypeError(
                "The estimator, its rows, or what it learned cannot be sent to or from the "
                f"processes of {asked}: {error}. Make it picklable, or leave out "
                f"{asked.partition('=')[0]}."
            ) from error
    return _of_all(results)


def _of_all(results: list[Any]) -> Outcome | Failure:
    """Choose what came of it: what a process says of itself, before what it says of others."""
    failures = [result for result in results if isinstance(result, Failure)]
    own = [f for f in failures if not isinstance(f.error(""), LostRankError)]
    if own:
        return own[0]
    lost = [(i, result) for i, result in enumerate(results) if isinstance(result, LostRankError)]
    if lost and len(results) > 1:
        raise LostRankError("; ".join(f"process {i}: {error}" for i, error in lost))
    if lost or failures:
        raise lost[0][1] if lost else failures[0].error("")
    first: Outcome = results[0]
    return first


def _how(job: Parcel, n: int, started: Children, estimator: Any) -> tuple[Any, ...]:
    """Say to each process what it needs besides its rank."""
    threads = max(1, torch.get_num_threads() // n)
    return job, n, str(started.folder / "store"), threads, estimator.worker_timeout


def _death(error: LostRankError, n: int, restarts: int) -> ChildProcessError:
    """Say that the fit was given up."""
    cause = "SIGKILL often means out of memory, SIGSEGV a crash in native code."
    if n == 1:
        return ChildProcessError(f"The child process of this fit died: {error}. {cause}")
    return ChildProcessError(
        f"A process of this fit was lost ({error}), after {restarts} restarts (max_restarts). "
        f"{cause}"
    )


def _warn_of_restart(error: LostRankError, folder: Any) -> None:
    """Say that processes are started anew."""
    where = "from the beginning; with checkpoint_dir it would go on from its last checkpoint"
    if folder is not None:
        where = f"from its last checkpoint in {folder}"
    warn(
        f"A process of this fit was lost ({error}). All processes are started again, and the fit "
        f"goes on {where}.",
        RuntimeWarning,
    )


def _take_over(estimator: Any, outcome: Outcome | Failure, where: str) -> None:
    """Take over what was learned and warned of, or raise what came instead."""
    if isinstance(outcome, Failure):
        raise outcome.error(f"In {where} of this fit")
    learned, told = outcome
    vars(estimator).update(learned)  # before the warnings, which may be errors here
    for message in told:
        warnings.warn_explicit(*message)


def job_pickler() -> Any:
    """Make what pickles also functions and classes of the script, but no numbers."""
    from cloudpickle import CloudPickler

    class JobPickler(CloudPickler):
        """Leaves out the numbers of tensors and arrays, and what is in files."""

        def reducer_override(self, obj: Any) -> Any:
            """Take a tensor apart, name the file of a memory map, or do as usual."""
            if (file := described(obj)) is not None:
                return file.func, file.args
            reduced = without_numbers(obj)
            return super().reducer_override(obj) if reduced is NotImplemented else reduced

    return JobPickler


def _train(
    rank: int, job: Parcel, n: int, store: str, threads: int, timeout: float
) -> Outcome | Failure | None:
    """Train in one of so many processes."""

    def train() -> Any:
        torch.set_num_threads(threads)
        estimator, *given = unpacked(job)
        if n == 1:
            estimator._train(*given)
            return estimator
        _stay_on_this_machine()
        with joined(store, rank, n, device_of_rank(estimator.device, rank), timeout) as world:
            estimator._train(*given, world=world)
        return estimator

    return outcome_of(train, is_first=rank == 0)


def outcome_of(train: Callable[[], Any], *, is_first: bool) -> Outcome | Failure | None:
    """Return what the estimator learned that `train` returns, of the first, or why it did not."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            learned = learned_by(train())
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
    told = [(w.message, w.category, w.filename, w.lineno) for w in caught]
    return (learned, told) if is_first else None


def _stay_on_this_machine() -> None:
    """Let gloo listen where other machines cannot reach it."""
    loopback = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    if loopback:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback[0])
