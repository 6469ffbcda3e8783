"""Rows brought into another order: those of a file larger than memory go through files beside it.

Rows that go to the same stretch of the new order are collected in one file; then each stretch is
read, sorted and given. So every row is written and read once more, and a stretch is held at a time.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sklearnish.data._arrow.columns import cast
from sklearnish.data._files.atomic import part_beside
from sklearnish.data._source import IntArray

_MOST = 256
"""Files at a time: a process may hold about a thousand open."""


def rearranged(
    tables: Iterator[pa.Table], places: IntArray, path: Path, memory: int = 2**26
) -> Iterator[pa.Table]:
    """Give every row its place.

    Parameters
    ----------
    tables : iterator of pyarrow.Table
        The rows, all of one schema, in as many tables as they come.
    places : ndarray of int64, shape (n_rows,)
        The place of each row in the new order: a permutation.
    path : Path
        The temporary files lie beside it.
    memory : int, default=2**26
        Bytes of a stretch: rows that together have fewer go through no file.

    Yields
    ------
    pyarrow.Table
        The rows in the new order.
    """
    first = next(tables)
    tables = chain([first], tables)
    nbytes = first.nbytes / max(1, first.num_rows) * len(places)
    n_stretches = min(_MOST, math.ceil(nbytes / memory))
    if n_stretches <= 1:
        yield _sorted(pa.concat_tables(tables), places)
        return
    rows = math.ceil(len(places) / n_stretches)
    with part_beside(path, folder=True) as folder:
        files = [folder / str(i) for i in range(n_stretches)]
        _collect(tables, places, rows, files)
        for file in files:
            with pa.OSFile(str(file)) as stream, pa.ipc.open_stream(stream) as reader:
                table = reader.read_all()
            file.unlink()
            last = table.num_columns - 1
            yield _sorted(table.remove_column(last), table.column(last).to_numpy())


def _collect(tables: Iterator[pa.Table], places: IntArray, rows: int, files: list[Path]) -> None:
    """Write rows, with their places behind them, to the files of their stretches."""
    start = 0
    with ExitStack() as stack:
        writers: list[Any] = []
        for table in tables:
            here = places[start : start + table.num_rows]
            start += table.num_rows
            order = np.argsort(here // rows, kind="stable")
            table = table.append_column("", pa.array(here, pa.int64())).take(pa.array(order))
            if not writers:
                writers += [
                    stack.enter_context(_stream(file, table.schema, stack)) for file in files
                ]
            bounds = np.searchsorted(here[order] // rows, np.arange(len(files) + 1))
            for writer, first, end in zip(writers, bounds, bounds[1:], strict=False):
                if first < end:
                    writer.write_table(_compact(table.slice(first, end - first)))


def _stream(file: Path, schema: Any, stack: ExitStack) -> Any:
    """Open a stream of tables to a file."""
    return pa.ipc.new_stream(stack.enter_context(pa.OSFile(str(file), "wb")), schema)


def _compact(table: pa.Table) -> pa.Table:
    """Leave out what a dictionary has beside the values of a few rows."""
    for i, field in enumerate(table.schema):
        if not pa.types.is_dictionary(field.type):
            continue
        column = table.column(i).unify_dictionaries()
        if len(column.chunk(0).dictionary) > len(column):
            column = cast(cast(column, field.type.value_type).dictionary_encode(), field.type)
        table = table.set_column(i, field, column)
    return table


def _sorted(table: pa.Table, places: IntArray) -> pa.Table:
    """Sort rows by their places."""
    return table.unify_dictionaries().combine_chunks().take(pa.array(np.argsort(places)))
