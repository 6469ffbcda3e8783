"""Ctrl-C at a better moment."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Those whose handlers raise: KeyboardInterrupt, or what a program makes of the other."""

_postponed: dict[int, Any] = {}
"""Handlers that wait, by signal."""


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait for the end of what takes a moment, and must be done whole or not at all.

    Between the start of a process and the line that notes its number, for example, an exception
    would lose it. Only the main thread runs handlers of signals, so others need no such care.
    """
    if threading.current_thread() is not threading.main_thread() or _postponed:
        yield
        return
    came: list[tuple[int, Any]] = []
    try:
        for number in _SIGNALS:
            if callable(handler := signal.getsignal(number)):
                _postponed[number] = handler
                signal.signal(number, lambda *args: came.append(args))
        yield
    finally:
        handlers = dict(_postponed)
        _put_back()
        for caught, frame in came:
            handlers[caught](caught, frame)


def _put_back() -> None:
    """Give the signals their handlers back; all of them, though one may raise at once."""
    if _postponed:
        number, handler = _postponed.popitem()
        try:
            signal.signal(number, handler)
        finally:
            _put_back()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_put_back)
