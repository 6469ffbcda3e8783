"""What gives its rows as a stream of Arrow record batches, whichever library it is of."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pyarrow as pa

from sklearnish.data._arrow import columns as arrow
from sklearnish.data._arrow.stream_copy import Stream, batch_rows, copy_once, picked
from sklearnish.data._arrow.table_file import CacheSource

_ROWS = 2048
"""Rows of a table that Hugging Face is asked for."""


def arrow_stream(
    x: Any, asked: Collection[str] | None = None, name: str | None = None, refresh: bool = False
) -> CacheSource:
    """Copy a stream into the cache folder, or find the copy of that name.

    Parameters
    ----------
    x : object
        See `sn.scan_arrow`.
    asked : collection of str, default=None
        The columns to copy; None for all.
    name : str, default=None
        Under which the copy is kept; None for one that goes with the process.
    refresh : bool, default=False
        Whether to make it again.

    Returns
    -------
    CacheSource
        The rows.

    Raises
    ------
    TypeError
        `x` gives no stream.
    ValueError
        There is no such column, two columns have one name, or there are no rows.
    """
    title = type(x).__name__ if name is None else name
    with ExitStack() as opened:
        schema, batches = _opened(x, asked)
        if batches is not x and hasattr(batches, "close"):
            opened.callback(batches.close)
        rows = picked((schema, batches), asked, title)
        version = str([[field.name, str(field.type)] for field in rows[0]])
        return copy_once(title, "arrow", lambda: rows, name=name, version=version, refresh=refresh)


def _opened(x: Any, asked: Collection[str] | None) -> Stream:
    """Begin to read."""
    if hasattr(x, "scanner"):  # a Dataset of pyarrow; its own batches would be read far ahead
        names = arrow.chosen(x.schema.names, asked, type(x).__name__)
        rows = batch_rows(len(names))
        x = x.scanner(columns=names, batch_size=rows, batch_readahead=2, fragment_readahead=1)
    for kind, begin in _KINDS:
        if hasattr(x, kind):
            stream: Stream = begin(x)
            return stream
    raise TypeError(_why_not(x))


def _reader(x: Any) -> Stream:
    """Take a reader of pyarrow, or what is one by another name."""
    return x.schema, x


def _of_polars(frame: Any) -> Stream:
    """Run a lazy query of polars, batch by batch."""
    rows = batch_rows(len(frame.collect_schema()))
    return _of_capsule(frame.collect_batches(chunk_size=rows, lazy=True))


def _of_duckdb(relation: Any) -> Stream:
    """Run a query of DuckDB, batch by batch."""
    return _reader(relation.to_arrow_reader(batch_rows(len(relation.columns))))


def _of_hugging_face(x: Any) -> Stream:
    """Read a Dataset or an IterableDataset of Hugging Face, some rows at a time."""
    tables = iter(x.with_format("arrow").iter(_ROWS))
    first = next(tables, None)
    if first is None:
        raise ValueError(f"{type(x).__name__} has 0 rows; at least one is needed.")
    schema = first.schema.remove_metadata() if x.features is None else x.features.arrow_schema

    def cast() -> Iterator[Any]:
        table = first
        while table is not None:
            yield table.cast(schema)
            table = next(tables, None)

    return schema, cast()


def _of_capsule(x: Any) -> Stream:
    """Read anything that speaks Arrow's protocol of streams."""
    return _reader(pa.RecordBatchReader.from_stream(x))


_KINDS: Iterable[tuple[str, Callable[[Any], Stream]]] = (
    ("collect_batches", _of_polars),
    ("to_arrow_reader", _of_duckdb),
    ("read_next_batch", _reader),  # pyarrow.RecordBatchReader
    ("__arrow_c_stream__", _of_capsule),
    ("to_reader", lambda x: _reader(x.to_reader())),  # pyarrow.dataset.Scanner
    ("to_arrow_batch_reader", lambda x: _reader(x.to_arrow_batch_reader())),  # pyiceberg's DataScan
    ("fetch_record_batch", lambda x: _reader(x.fetch_record_batch())),  # a cursor of ADBC
    ("with_format", _of_hugging_face),
)
"""What tells a kind of object from others, and how to read it; the first that fits is taken."""

_OTHERS = (
    (("str", "PosixPath", "WindowsPath"), "Read files by scan_parquet, scan_csv and the like."),
    (("DeltaTable",), "Pass it to sn.scan_delta(table.table_uri)."),
    (("Table", "StaticTable"), "Pass a table of Iceberg to sn.scan_iceberg."),
    (("ndarray", "Tensor", "list", "tuple", "dict"), "Pass arrays to fit, or to sn.as_dataset."),
)


def _why_not(x: Any) -> str:
    """Say what to do with what is no stream."""
    kind = type(x).__name__
    way = next((f" {text}" for kinds, text in _OTHERS if kind in kinds), "")
    return (
        "expected something that gives Arrow record batches (with __arrow_c_stream__), such as a "
        "pyarrow.RecordBatchReader or Dataset, a polars LazyFrame or a DuckDB relation, got "
        f"{kind}.{way}"
    )
