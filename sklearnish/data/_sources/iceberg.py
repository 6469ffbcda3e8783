"""Iceberg tables: one snapshot, streamed once into the cache folder, as pyiceberg reads it.

The Parquet files of a table are not its rows: some belong to other snapshots, files of deletes take
rows out of others, and columns are known by numbers, not by their names in the file.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sklearnish.data._arrow.columns import chosen
from sklearnish.data._arrow.stream_copy import StreamCopy
from sklearnish.data._files.paths import (
    absolute,
    is_url,
    path_text,
    shown_cause,
    without_credentials,
)
from sklearnish.data._shown import shown


def iceberg_table(
    table: Any, snapshot_id: int | None = None, asked: Collection[str] | None = None
) -> StreamCopy:
    """Read a snapshot of an Iceberg table.

    Parameters
    ----------
    table : pyiceberg.table.Table, str or path
        The table, or the file of its metadata.
    snapshot_id : int, default=None
        Which snapshot; None for the current one of `table`.
    asked : collection of str, default=None
        The columns to read; None for all.

    Returns
    -------
    StreamCopy
        Its rows, whose name says which snapshot they are.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    TypeError
        `table` is neither a table nor a path.
    ValueError
        There is no such snapshot or column, or pyiceberg cannot read the table.
    ImportError
        pyiceberg is missing.
    """
    table, name = _opened(table)
    if snapshot_id is None:
        snapshot = table.current_snapshot()
    else:
        snapshot = _snapshot(table, snapshot_id, name)
    number = None if snapshot is None else snapshot.snapshot_id
    name = f"{name} (snapshot {number})"
    scan = table.scan(snapshot_id=snapshot_id)
    schema = scan.projection()
    known = [field.name for field in schema.fields]
    columns = chosen(known, asked, name)
    with _explained(name):
        tasks = list(scan.plan_files())
    files = [task.file.file_path.removeprefix("file://") for task in tasks]
    version = [str(table.metadata.table_uuid), number, schema.schema_id]
    where = without_credentials(table.location())
    return StreamCopy(
        name,
        Path(where).name,
        ["iceberg", where, version, columns],
        partial(_stream, scan, tasks, columns, name),
        files,
    )


def _opened(table: Any) -> tuple[Any, str]:
    """Take a table as it is, or read it from the file of its metadata; say how it is called."""
    tables = _pyiceberg()
    if isinstance(table, tables.Table):
        return table, without_credentials(".".join(table.name()))
    if not isinstance(table, str | os.PathLike):
        raise TypeError(
            "expected a pyiceberg Table, such as catalog.load_table(name), or the path of its "
            f"metadata.json, got {type(table).__name__}."
        )
    text = path_text(table)
    if is_url(text):
        raise ValueError(
            f"{without_credentials(text)} is a URL. Open the table, "
            "pyiceberg.table.StaticTable.from_metadata(url, properties), and pass it."
        )
    path = absolute(text)
    if path.is_dir() or not path.name.endswith(".metadata.json"):
        raise ValueError(
            f"{text} is no metadata of an Iceberg table. Pass its newest metadata/*.metadata.json, "
            "or the table as its catalog gives it: catalog.load_table(name)."
        )
    with _explained(text):
        return tables.StaticTable.from_metadata(str(path)), text


def _snapshot(table: Any, snapshot_id: Any, name: str) -> Any:
    """Find a snapshot by its number."""
    known = {snapshot.snapshot_id: snapshot for snapshot in table.snapshots()}
    if snapshot_id not in known:
        raise ValueError(
            f"{name} has no snapshot {shown(snapshot_id)}. Its newest are "
            f"{', '.join(map(str, [*known][-5:])) or 'none'}."
        )
    return known[snapshot_id]


def _stream(
    scan: Any, tasks: list[Any], columns: list[str], name: str
) -> tuple[Any, Iterator[Any]]:
    """Begin to read: the schema, and the rows in the order of the table's manifests."""
    scan = scan.update(selected_fields=tuple(columns))
    return scan.projection().as_arrow(), _batches(scan, tasks, name)


def _batches(scan: Any, tasks: list[Any], name: str) -> Iterator[Any]:
    """Yield record batches, one file after the other: pyiceberg itself would hold all of them."""
    from pyiceberg.io.pyarrow import ArrowScan

    with _explained(name):
        reader = ArrowScan(scan.table_metadata, scan.io, scan.projection(), scan.row_filter)
        for task in tasks:
            yield from reader.to_record_batches([task])


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Name the table in what pyiceberg says of it."""
    try:
        yield
    except (MemoryError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # pyiceberg's own have nothing in common
        said = without_credentials(str(error))
        raise (OSError if isinstance(error, OSError) else ValueError)(
            f"{name} cannot be read as an Iceberg table: {said}. If the table has a feature that "
            "pyiceberg lacks, write its rows to Parquet with the engine that wrote it."
        ) from shown_cause(error)


def _pyiceberg() -> Any:
    """Import the tables of pyiceberg."""
    try:
        from pyiceberg import table
    except ImportError as error:
        raise ImportError(
            'reading Iceberg tables needs pyiceberg: pip install "sklearnish[iceberg]"'
        ) from error
    return table
