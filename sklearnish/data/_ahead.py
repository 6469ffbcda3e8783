"""Work done in threads ahead of the one who needs it, in the order in which it was given."""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int
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

    Yields
    ------
    object
        The results, in the order of the items. Closing the generator ends the threads.
    """
    with ThreadPoolExecutor(n_threads, "sklearnish-ahead") as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * n_threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Make items, none of which is None, in a thread while the caller works on earlier ones."""
    iterator = iter(items)
    made = in_threads(lambda _: next(iterator, None), itertools.count(), 1)
    for item in made:
        if item is None:
            return
        yield item
