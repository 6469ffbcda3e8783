"""All rows of a view as frames, for what learns from them in one pass."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from sklearnish.data._arrow.frames import Kind, to_frame
from sklearnish.data._order.samplers import storage_order
from sklearnish.data._source import IntArray
from sklearnish.data._views import row_numbers
from sklearnish.data._views.gather import read_columns
from sklearnish.data._views.mapped import check_table
from sklearnish.data._views.view import View


def read_frames(
    dataset: View, n_rows: int = 65_536, *, frame: Kind = "arrow"
) -> Iterator[tuple[Any, IntArray]]:
    """Read all rows of a view once, in the order in which they are cheap to read.

    Parameters
    ----------
    dataset : View
        A table; what ``map_frames`` made of its rows is read, too.
    n_rows : int
        Rows of a frame at most.
    frame : {"arrow", "pandas", "polars"}
        The library of the frames, which are as functions of ``map_frames`` are given them.

    Yields
    ------
    (frame, ndarray of int64)
        Some rows, and their positions in the view: ``dataset.target[positions]`` are their labels.

    Raises
    ------
    ValueError
        If the rows are not a table, or functions of tensors were applied to them.
    """
    check_table(dataset)
    source, inputs = dataset.source, dataset._inputs
    order = storage_order(dataset)
    positions = np.arange(len(dataset)) if order is None else order
    rows, schema = row_numbers.take(dataset._rows, positions), inputs.columns(source)
    for piece, columns in read_columns(source, inputs, rows, n_rows):
        here = positions[piece]
        yield to_frame(columns, schema, frame, partial(_name_row, dataset, here)), here


def _name_row(dataset: View, positions: IntArray, i: int) -> str:
    """Name a row of a frame."""
    return dataset._name_row(int(positions[i]))
