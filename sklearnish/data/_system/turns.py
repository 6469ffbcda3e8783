"""A lock whose owner sees that others wait for it."""

import threading
from collections import deque


class Turns:
    """A lock for what belongs to the process, which threads get in the order in which they came.

    A thread that has it may take it again. The owner can look whether others wait, and let them
    have their turn in the middle of its own: with an ordinary lock it would be the next one again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()  # whose lock is held for a few instructions only
        self._owner: int | None = None
        self._depth = 0
        self._waiting: deque[object] = deque()

    @property
    def wanted(self) -> bool:
        """Whether some thread waits."""
        return bool(self._waiting)

    @property
    def depth(self) -> int:
        """How many times the calling thread has it."""
        return self._depth if self._owner == threading.get_ident() else 0

    def take(self) -> None:
        """Wait until it is the calling thread's turn."""
        me, place = threading.get_ident(), object()
        with self._changed:
            if self._owner != me:
                self._waiting.append(place)
                try:
                    self._changed.wait_for(lambda: not self._depth and self._waiting[0] is place)
                    self._owner = me
                finally:  # Ctrl-C, too: it may be the turn of the next one
                    self._waiting.remove(place)
                    self._changed.notify_all()
            self._depth += 1

    def give_back(self) -> None:
        """Give back what was taken once."""
        with self._changed:
            self._depth -= 1
            if not self._depth:
                self._owner = None
                self._changed.notify_all()
