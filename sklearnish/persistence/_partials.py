"""A functools.partial as its parts, whose function must be trusted like any other.

skops would put one together itself, before it is known what its function is called with.
"""

from functools import partial
from typing import Any


class Partial:
    """Stands for a functools.partial."""

    def __init__(self, function: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self.function = function
        self.args = args
        self.keywords = keywords


def take_apart(value: Any) -> Partial | None:
    """Name the parts of a partial, if it is no more than these."""
    if type(value) is not partial or vars(value):
        return None
    return Partial(value.func, value.args, value.keywords)


def put_together(parts: list[Any]) -> "partial[Any]":
    """Make a partial of its parts, which may come from a stranger."""
    function, args, keywords = parts
    if not callable(function) or type(args) is not tuple or type(keywords) is not dict:
        raise ValueError(
            f"it has a functools.partial of a {type(function).__name__}, a {type(args).__name__} "
            f"and a {type(keywords).__name__}; wanted a function, a tuple and a dict."
        )
    return partial(function, *args, **keywords)
