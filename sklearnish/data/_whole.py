"""Whole numbers among what a user passes."""

from typing import Any

import numpy as np


def is_whole(value: Any, least: int) -> bool:
    """Tell a whole number of at least so many; True and False are none."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and bool(value >= least)
