"""Progress bars that wait for no other process."""

import threading
from functools import cache
from typing import Any


@cache
def with_own_lock(bar: type[Any]) -> Any:
    """Derive a class of tqdm whose lock no other process has, and which starts no thread.

    tqdm's own lock is shared with all processes that were forked. One that is killed while it holds
    it would leave every later bar waiting for ever.
    """
    return type(bar.__name__, (bar,), {"_lock": threading.RLock(), "monitor_interval": 0})
