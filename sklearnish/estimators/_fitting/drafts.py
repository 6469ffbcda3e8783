"""Training a copy of the fitted model: others see the old one until the new one is complete."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

_training: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
_ABSENT = object()


@contextmanager
def draft(estimator: Any, fitted: str = "net_") -> Iterator[Any]:
    """Give a copy of an estimator to be fitted; the estimator takes over what it learned.

    It does so if the attribute `fitted` is new, as a net is at the end, or after an epoch that
    Ctrl-C left complete. If anything fails before, the estimator stays what it was. Of several
    threads one trains it at a time.
    """
    with _training.setdefault(estimator, threading.RLock()):
        before = dict(vars(estimator))
        made = snapshot(estimator)
        try:
            yield made
        finally:
            new = vars(made).get(fitted)
            if new is not None and new is not before.get(fitted):
                _take_over(estimator, before, vars(made))


def snapshot(estimator: Any) -> Any:
    """Copy an estimator as it is now; what it holds is shared."""
    made = object.__new__(type(estimator))
    vars(made).update(vars(estimator))
    return made


def _take_over(estimator: Any, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Change the attributes that the fit changed, all at once."""
    changed = {n: value for n, value in after.items() if before.get(n, _ABSENT) is not value}
    vars(estimator).update(changed)
    for name in before.keys() - after.keys():
        vars(estimator).pop(name, None)


if hasattr(os, "register_at_fork"):  # a thread of the parent may have held a lock
    os.register_at_fork(after_in_child=_training.clear)
