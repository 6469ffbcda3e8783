"""Open files that are kept for the next reader."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Key = TypeVar("Key")
Handle = TypeVar("Handle")


class HandlePool(Generic[Key, Handle]):
    """Open files: a few are kept, none is shared between processes or used by two threads."""

    def __init__(self, opener: Callable[[Key], Handle], limit: int = 64) -> None:
        self._opener = opener
        self._limit = limit
        self._renew()

    def _renew(self) -> None:
        """Start empty; a lock held while the process forked would never be released."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: OrderedDict[Key, Handle] = OrderedDict()

    def __len__(self) -> int:
        """Count the handles that are open and idle."""
        return len(self._idle)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without handles."""
        return HandlePool, (self._opener, self._limit)

    @contextmanager
    def borrow(self, key: Key) -> Iterator[Handle]:
        """Open a file or take an open one; it goes back if nothing failed."""
        if self._pid != os.getpid():
            self._renew()
        with self._lock:
            handle = self._idle.pop(key, None)
        if handle is None:
            handle = self._opener(key)
        yield handle
        with self._lock:
            self._idle[key] = handle
            while len(self._idle) > self._limit:
                self._idle.popitem(last=False)
