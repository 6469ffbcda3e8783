"""Work done in threads ahead of the one who needs it, in the order in which it was given."""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    n_threads: int,
    n_ahead: int | None = None,
) -> Generator[Result, None, None]:
    """Apply a function to items, several at once and a few ahead.

    Parameters
    ----------
    function : callable
        What releases the interpreter's lock, else threads are of no use.
    items : iterable
        Its arguments; taken from the iterable by the caller's thread.
    n_threads : int
        How many at once.
    n_ahead : int or None, default=None
        Items whose results may wait while the caller works on one; None for a few.

    Yields
    ------
    object
        The results, in the order of the items. Closing the generator ends the threads.
    """
    n_ahead = 2 * n_threads + 1 if n_ahead is None else n_ahead
    with ThreadPoolExecutor(n_threads, "sklearnish-ahead") as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > n_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # by itself: at the end of the interpreter the pool cannot
                future.cancel()


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Make items, none of which is None, in a thread while the caller works on earlier ones."""
    iterator = iter(items)
    made = in_threads(lambda _: next(iterator, None), itertools.count(), 1)
    for item in made:
        if item is None:
            return
        yield item
