"""Warnings that point to the line of the user, however deep in a fit they come up."""

import sys
import warnings

_BETWEEN = frozenset({"sklearnish", "sklearn", "joblib", "skorch", "torch", "contextlib"})
"""Packages whose frames may lie between the user's line and a warning."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn, in the name of the first line outside of the package and of those it is called by."""
    depth, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _package(frame.f_globals) in _BETWEEN:
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, category, stacklevel=depth)


def _package(names: dict[str, object]) -> str:
    """Name the package of a frame."""
    return str(names.get("__name__", "")).partition(".")[0]
