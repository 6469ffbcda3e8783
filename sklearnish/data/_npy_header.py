"""What an .npy file says of itself, wherever its bytes are: in a file, or in a tar."""

from typing import IO, Any, NamedTuple

import numpy as np


class NpyHeader(NamedTuple):
    """What the values are, and at which byte they begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int


def npy_header(file: IO[bytes]) -> NpyHeader:
    """Read the header, and go to the first value.

    Raises
    ------
    KeyError
        The version is none that holds plain arrays alone: names of records may be Unicode in it.
    Exception
        The header is damaged: NumPy raises whatever its text ran into.
    """
    version = np.lib.format.read_magic(file)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    return NpyHeader(*read[version[0]](file), file.tell())
