"""Row numbers of a view: a range while they are regular, an index array once they are not.

An index array is of int32 where the numbers allow it: a cross-validation holds many.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from sklearnish.data._shown import shown
from sklearnish.data._source import IntArray

Rows = range | npt.NDArray[np.integer[Any]]

_PIECE = 2**16


def as_array(rows: Rows) -> npt.NDArray[np.integer[Any]]:
    """Write the numbers out."""
    if isinstance(rows, range):
        return np.arange(rows.start, rows.stop, rows.step, dtype=np.int64)
    return rows


def take(rows: Rows, positions: IntArray) -> IntArray:
    """Look up the row numbers at positions of a view, as int64."""
    if isinstance(rows, range):
        if rows.start == 0 and rows.step == 1:
            return positions
        return rows.start + rows.step * positions
    return rows[positions].astype(np.int64, copy=False)


def select(rows: Rows, key: Any) -> Rows:
    """Index rows as numpy would: slice, mask, or numbers that may be negative.

    Raises
    ------
    IndexError
        If a number is out of range, a mask has another length or the key is of another kind.
    """
    if isinstance(key, slice):
        picked = rows[key]
        if not isinstance(picked, range):
            return picked.copy()
        # The step between fewer than two rows means nothing, and may be too large for numpy.
        return (
            picked if len(picked) > 1 else range(*([picked[0], picked[0] + 1] if picked else [0]))
        )
    picked = take(rows, positions_of(len(rows), key))
    narrow = picked.max(initial=0) < np.iinfo(np.int32).max
    return picked.astype(np.int32 if narrow else np.int64)


def offsets(rows: Rows, values: IntArray) -> IntArray:
    """Find where values would go among ascending rows (in the type of the rows: no copy)."""
    if isinstance(rows, range):
        return np.clip(-((rows.start - values) // rows.step), 0, len(rows))
    limit = np.iinfo(rows.dtype).max
    return np.searchsorted(rows, np.minimum(values, limit).astype(rows.dtype))


def blocks_of(rows: Rows, blocks: IntArray) -> IntArray:
    """List the blocks in which there are rows."""
    if is_ascending(rows):
        return np.flatnonzero(np.diff(offsets(rows, blocks)))
    return np.unique(np.searchsorted(blocks, as_array(rows), side="right") - 1)


def positions_of(n: int, key: Any) -> IntArray:
    """Turn a mask or numbers that may be negative into positions."""
    array = np.asarray(key)
    if array.dtype.kind in "US" or (array.dtype == object and str in map(type, array.flat)):
        names = [str(name) for name in array.flat][:5]
        raise IndexError(
            f"{names[0]!r} names a column, but ds[...] picks rows. Take features by name with "
            f"ds.select({names}), the values of one with ds[:, {names[0]!r}], and the labels with "
            "ds.target."
        )
    if array.ndim != 1:
        raise IndexError(
            f"Rows are picked by a slice, a mask or a list of numbers, not {shown(key)}."
        )
    if array.dtype == bool:
        if len(array) != n:
            raise IndexError(f"The mask has {len(array)} values for {n} rows.")
        return np.flatnonzero(array).astype(np.int64, copy=False)
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "iu":
        raise IndexError(f"Row indices must be integers, got {array.dtype}.")
    positions = array.astype(np.int64, copy=False)
    low, high = int(positions.min()), int(positions.max())
    if low < -n or high >= n:
        raise IndexError(f"Row {low if low < -n else high} is out of range for {n} rows.")
    return np.where(positions < 0, positions + n, positions) if low < 0 else positions


def is_ascending(rows: Rows) -> bool:
    """Tell whether no row comes before a smaller one."""
    if isinstance(rows, range):
        return rows.step > 0
    # In pieces: no memory per row, and a view in disorder is told by its first ones.
    stretches = (rows[start : start + _PIECE + 1] for start in range(0, len(rows), _PIECE))
    return all(bool((part[1:] >= part[:-1]).all()) for part in stretches)


def split_key(key: Any) -> tuple[Any, Any]:
    """Split the key of an index; a tuple of one array, as of np.nonzero, is rows."""
    rows, columns = key if isinstance(key, tuple) and len(key) == 2 else (key, ...)
    if isinstance(rows, tuple):
        if len(rows) != 1:
            raise IndexError(
                "A Dataset is indexed by rows, or by rows and columns: ds[rows, columns]; got "
                f"{shown(rows)}. Several rows are a list: ds[[0, 1, 2]]."
            )
        (rows,) = rows
    return rows, columns


def is_all(key: Any) -> bool:
    """Tell ``:`` and ``...``."""
    return key is ... or (isinstance(key, slice) and key == slice(None))
