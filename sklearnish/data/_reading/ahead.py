"""Reading fetches ahead: in a thread or in worker processes, unless the plan is inline."""

import itertools
import os
from collections.abc import Callable, Generator, Iterator

from sklearnish.data._order.samplers import Fetch
from sklearnish.data._reading.plan import LoadPlan
from sklearnish.data._reading.reader import Fetched, Reads
from sklearnish.data._reading.workers import in_processes
from sklearnish.data._system.threads import in_threads


def read_ahead(
    reader: Reads, fetches: Iterator[Fetch], plan: Callable[[], LoadPlan], timeout: float
) -> Iterator[tuple[Fetch, Fetched]]:
    """Read fetches in order, the next one or more while the caller works on the last.

    When the plan is another, what is under way is delivered first.

    Parameters
    ----------
    reader : Reads
        Reads one fetch.
    fetches : iterator of Fetch
        Of all epochs.
    plan : callable
        Returns where to read at present.
    timeout : float
        Seconds to wait for a worker process.

    Yields
    ------
    (Fetch, Fetched)
        In the order of `fetches`. Closing the generator ends thread and workers.
    """
    for fetch in fetches:
        rest = _while_planned(itertools.chain([fetch], fetches), plan)
        pairs = _read(reader, rest, plan(), timeout)
        try:
            # Through map, since a variable would keep a window alive while the next is read.
            yield from map(reader.complete, _OfOneProcess(pairs))
        finally:
            pairs.close()


class _OfOneProcess(Iterator[tuple[Fetch, Fetched]]):
    """What is read ahead for this process. A forked one would wait for it, or take it away."""

    def __init__(self, pairs: Iterator[tuple[Fetch, Fetched]]) -> None:
        self._pairs, self._pid = pairs, os.getpid()

    def __next__(self) -> tuple[Fetch, Fetched]:
        """Return the next."""
        if os.getpid() != self._pid:
            raise RuntimeError(
                "A forked process cannot continue with the batches of its parent. Start again in "
                "it: iter(ds.batches(...))."
            )
        return next(self._pairs)


def _while_planned(fetches: Iterator[Fetch], plan: Callable[[], LoadPlan]) -> Iterator[Fetch]:
    """Yield fetches until the plan is another."""
    first = plan()
    for fetch in fetches:
        yield fetch
        if plan() != first:
            return


def _read(
    reader: Reads, fetches: Iterator[Fetch], plan: LoadPlan, timeout: float
) -> Generator[tuple[Fetch, Fetched]]:
    """Read fetches by one plan."""
    if plan.mode == "inline":
        return ((f, reader[f]) for f in fetches)
    if plan.mode == "thread":
        return in_threads(lambda f: (f, reader[f]), fetches, 1, plan.prefetch)
    return in_processes(reader, fetches, plan, timeout)
