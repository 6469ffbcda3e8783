"""Limits on what one file may ask for: a file from a stranger can at worst raise an error.

Each is raised by an environment variable of its name, which worker processes inherit.
"""

import os

PIXELS = "SKLEARNISH_MAX_PIXELS"
MEMBERS = "SKLEARNISH_MAX_MEMBERS"
ROW_BYTES = "SKLEARNISH_MAX_ROW_BYTES"
UNPACKED = "SKLEARNISH_MAX_UNPACKED"
ROWS_PER_BYTE = "SKLEARNISH_MAX_ROWS_PER_BYTE"

DEFAULTS = {
    PIXELS: 89_478_485,  # of an image, as Pillow has it: some kilobytes can claim gigabytes
    MEMBERS: 20_000_000,  # of a tar, whose names are held in memory
    ROW_BYTES: 2**28,  # of a line of CSV; a longer one is taken for an unclosed quote
    UNPACKED: 1_000,  # times the size of a compressed CSV, or Parquet's texts, from 64 MB on
    ROWS_PER_BYTE: 100_000,  # of a Parquet or .npy file, whose rows may take no room at all
}


def limit(name: str) -> int:
    """Return a limit: that of the environment variable, if it is set.

    Raises
    ------
    ValueError
        If the variable is not a positive integer.
    """
    text = os.environ.get(name, "")
    if not text:
        return DEFAULTS[name]
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} must be a positive integer, got {text!r}.")
    return int(text)


def check_limit(name: str, value: int, what: str) -> None:
    """Raise ValueError if a value is above its limit; `what` says of which file."""
    if value > limit(name):
        raise ValueError(
            f"{what}, above the limit of {limit(name):,}. If you trust the file, set the "
            f"environment variable {name} to a larger number."
        )
