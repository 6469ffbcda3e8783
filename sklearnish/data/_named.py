"""Inputs that are named in a file, one or several, and labels in a file or in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Names = str | Sequence[str] | Mapping[str, str]
"""One name; several, for a module with several inputs, in a list or by its arguments."""

_LABELS = "biufUM"
"""Kinds of NumPy types that labels may have."""


def by_key(names: Any) -> dict[str, str]:
    """Spell one name, a list or a dict of names as a dict."""
    if isinstance(names, str):
        return {"X": names}
    several = dict(names) if isinstance(names, Mapping) else None
    if several is None and isinstance(names, Sequence):
        several = {name: name for name in names if isinstance(name, str)}
        several = several if len(several) == len(names) else None
    if not several or not all(isinstance(text, str) for pair in several.items() for text in pair):
        raise TypeError(
            "X takes a name, a list of different names, or a dict from arguments of the "
            f"module's forward to names; got {names!r}."
        )
    return several


def labels_given(target: Any) -> npt.NDArray[Any] | None:
    """Take labels that are in memory."""
    if target is None:
        return None
    y = np.asarray(target)
    if y.dtype.kind == "O" and all(isinstance(label, str) for label in y.flat):
        y = y.astype(str)
    if y.ndim == 0 or y.dtype.kind not in _LABELS:
        raise TypeError(
            "target takes a name, or an array of one number or text per row, "
            f"got {type(target).__name__} of dtype {y.dtype}."
        )
    return y
