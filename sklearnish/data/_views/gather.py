"""From row numbers to features as tensors: all columns in one go, each block once."""

import functools
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import ParamSpec, TypeVar

import numpy as np
from torch import Tensor

from sklearnish.data._errors import BadRowsError
from sklearnish.data._source import Column, IntArray, Source
from sklearnish.data._tensors.batch import Batch, Features, empty_like, put
from sklearnish.data._tensors.buffers import empty
from sklearnish.data._tensors.convert import as_numpy
from sklearnish.data._views.columns import check_numeric
from sklearnish.data._views.inputs import Inputs
from sklearnish.data._views.row_numbers import is_ascending

Given = ParamSpec("Given")
Result = TypeVar("Result")
Empty = Callable[..., Tensor]

_PIECE_BYTES = 2**22
"""Read at a time where rows are put into another order."""

_TRIED = 100
"""Stretches of damaged rows after which no more are looked at."""


def never_stops(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Make an error of a StopIteration of the user's code: it would end the loop over fetches."""

    @functools.wraps(function)
    def whole(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except StopIteration as error:
            told = RuntimeError(
                "StopIteration: a function of rows, or a Dataset, called next() on an exhausted "
                "iterator. Use something that can be indexed, or create a new iterator."
            )
            for note in getattr(error, "__notes__", ()):
                told.add_note(note)
            raise told from error

    return whole


@never_stops
def gather(
    source: Source,
    inputs: Inputs,
    rows: IntArray,
    *,
    with_y: bool = False,
    seeds: list[int] | None = None,
    empty: Empty = empty,
) -> tuple[Features, Column | None]:
    """Read features in the order of the rows.

    Parameters
    ----------
    source : Source
        Where rows are stored.
    inputs : Inputs
        What is wanted of them.
    rows : ndarray of int64, shape (n,)
        Row numbers, in any order.
    with_y : bool
        Whether to read the field "y", too.
    seeds : list of int or None
        One for each row, where the source runs the user's code.
    empty : callable
        Allocates the matrix.

    Returns
    -------
    (Tensor or dict, Column or None)
        Features, and the field "y".
    """
    if inputs.names is not None:
        check_numeric(source, inputs.names)
    blocks = source.blocks
    if blocks is None or seeds is not None:
        return _read(source, inputs, rows, with_y, empty, seeds)
    if not is_ascending(rows):
        return _read_in_disorder(source, inputs, rows, with_y, blocks, empty)
    if inputs.names is None or len(rows) == 0:
        return _read(source, inputs, rows, with_y, empty)
    return _read_in_order(source, inputs, rows, blocks, empty), None


def _read(
    source: Source,
    inputs: Inputs,
    rows: IntArray,
    with_y: bool,
    empty: Empty,
    seeds: list[int] | None = None,
) -> tuple[Features, Column | None]:
    """Read rows in an order that suits the source."""
    wanted = (*inputs.wanted, "y") if with_y else inputs.wanted
    read: Callable[..., dict[str, Column]] = source.read
    columns = read(rows, wanted) if seeds is None else read(rows, wanted, seeds=seeds)
    return inputs.to_tensors(source, columns, rows, empty), columns["y"] if with_y else None


def _read_in_order(
    source: Source, inputs: Inputs, rows: IntArray, blocks: IntArray, empty: Empty
) -> Features:
    """Read a table in ascending order, a few blocks at a time, while the cache has them."""
    X = empty((len(rows), *inputs.row_shape(source)), inputs.dtype)
    for start, stop, columns in _each_piece(source, inputs, rows, blocks):
        inputs.to_tensors(source, columns, rows[start:stop], _given(X[start:stop]))
        del columns  # its memory serves the next
    return X


def _each_piece(
    source: Source, inputs: Inputs, rows: IntArray, blocks: IntArray
) -> Iterator[tuple[int, int, dict[str, Column]]]:
    """Read ascending rows in pieces of a few blocks: first, end, and columns."""
    return _read_spans(source, inputs, rows, pieces(rows, blocks, _rows_of_piece(source, inputs)))


def _read_spans(
    source: Source, inputs: Inputs, rows: IntArray, spans: Iterator[tuple[int, int]]
) -> Iterator[tuple[int, int, dict[str, Column]]]:
    """Read spans of rows, of which the source may read some ahead."""
    known = list(spans)
    with closing(source.read_each([rows[a:b] for a, b in known], inputs.wanted)) as read:
        for start, stop in known:
            yield start, stop, next(read)  # no variable: its memory serves the next
        for _ in read:  # what a source checks in the end
            pass


def _given(tensor: Tensor) -> Empty:
    """Allocate what is there already."""
    return lambda shape, dtype: tensor


def _read_in_disorder(
    source: Source, inputs: Inputs, rows: IntArray, with_y: bool, blocks: IntArray, empty: Empty
) -> tuple[Features, Column | None]:
    """Read a few blocks at a time, each row to its place among the wanted ones.

    A piece is small enough for the processor's cache, and only one is held beside the result.
    """
    order = np.argsort(rows)
    rows, scattered = rows[order], None
    for start, stop, columns in _each_piece(source, inputs, rows, blocks):
        piece = Batch(inputs.to_tensors(source, columns, rows[start:stop], empty))
        if scattered is None:
            scattered = empty_like(piece, len(rows), empty)
        put(scattered, order[start:stop], piece)
        del piece, columns  # their memory serves the next
    assert scattered is not None
    if not with_y:
        return scattered.X, None
    y = as_numpy(source.read(rows, ["y"])["y"])
    return scattered.X, y[np.argsort(order)]


def _rows_of_piece(source: Source, inputs: Inputs) -> int:
    """Rows that are read at a time."""
    return max(1, _PIECE_BYTES // inputs.row_nbytes(source))


def read_columns(
    source: Source, inputs: Inputs, rows: IntArray, most: int
) -> Iterator[tuple[slice, dict[str, Column]]]:
    """Read what frames are made of, some rows at a time.

    Parameters
    ----------
    source : Source
        Where rows are stored.
    inputs : Inputs
        What is wanted of them.
    rows : ndarray of int64, shape (n,)
        Row numbers, ascending where the source has blocks.
    most : int
        Rows of a piece.

    Yields
    ------
    (slice, dict of str to Column)
        Which of `rows` a piece holds, and its columns.
    """
    for start, stop, read in _read_spans(source, inputs, rows, _spans(source, rows, most)):
        columns = inputs.to_columns(source, read, rows[start:stop])
        for first in range(start, stop, most):
            last = min(first + most, stop)
            yield (
                slice(first, last),
                {n: c[first - start : last - start] for n, c in columns.items()},
            )


def _spans(source: Source, rows: IntArray, most: int) -> Iterator[tuple[int, int]]:
    """Cut rows into pieces that are cheap to read: of a file, no block twice."""
    if source.blocks is not None:
        return pieces(rows, source.blocks, most)
    return ((start, min(start + most, len(rows))) for start in range(0, len(rows), most))


def pieces(rows: IntArray, blocks: IntArray, least: int) -> Iterator[tuple[int, int]]:
    """Cut ascending rows at borders of blocks, into pieces of so many rows or a block."""
    start = 0
    of_row = np.searchsorted(blocks, rows, side="right")  # there may be millions of blocks
    for stop in [*(np.flatnonzero(np.diff(of_row)) + 1).tolist(), len(rows)]:
        if stop - start >= least or stop == len(rows) > start:
            yield start, stop
            start = stop


def first_readable(n_rows: int, read: Callable[[int], Result]) -> Result:
    """Read the first row that is not damaged; of many damaged ones, the first is the error."""
    errors: list[BadRowsError] = []
    row = 0
    while row < n_rows and len(errors) < _TRIED:
        try:
            return read(row)
        except BadRowsError as error:
            errors.append(error)
            row = max(row, int(error.rows[-1])) + 1
    raise errors[0]
