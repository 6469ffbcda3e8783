"""Values as errors show them: never the data itself."""

import reprlib
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def shown(value: Any) -> str:
    """Write a value for an error: short, and of arrays and tables the type and shape."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    try:
        text = _SHORT.repr(value)
    except Exception:  # the object's own code
        text = ""
    return text if text and "\n" not in text else type(value).__name__
