"""Delta tables: one version, streamed once into the cache folder, as deltalake reads it.

The Parquet files of a table are not its rows: some belong to other versions, deletion vectors take
rows out of others, and their columns may have other names.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

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
from sklearnish.data._whole import is_whole

_IN_ORDER = {"datafusion.execution.target_partitions": "1"}
"""With several the rows come in another order each time."""


def delta_table(
    path: str | os.PathLike[str],
    version: int | None = None,
    asked: Collection[str] | None = None,
    storage_options: Mapping[str, str] | None = None,
) -> StreamCopy:
    """Read a version of a Delta table.

    Parameters
    ----------
    path : str or path
        The folder of the table, or its URL.
    version : int, default=None
        Which version; None for the newest.
    asked : collection of str, default=None
        The columns to read; None for all.
    storage_options : mapping of str to str, default=None
        How to reach a table at a URL, as deltalake takes it.

    Returns
    -------
    StreamCopy
        Its rows, whose name says which version they are.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    ValueError
        It is no Delta table, there is no such version, or deltalake cannot read it.
    ImportError
        deltalake is missing.
    """
    where = _location(path, storage_options)
    with _explained(where):
        table = _opened(where, version, storage_options)
        name = f"{without_credentials(path_text(path))} (version {table.version()})"
        known = [field.name for field in table.schema().fields]
        files = sorted(_file_name(uri, where) for uri in table.file_uris())
    columns = chosen(known, asked, name)
    # Another table may come to lie here under the same version: its files have other names.
    public = without_credentials(where)
    key = ["delta", public, table.metadata().id, table.version(), files, columns]
    stream = partial(_stream, table, where, columns)
    return StreamCopy(name, Path(public).name, key, stream, files)


def _location(path: Any, storage_options: Mapping[str, str] | None) -> str:
    """Spell a folder in full; a URL is opened by those only who say how."""
    text = path_text(path)
    if is_url(text):
        if storage_options is None:
            raise ValueError(
                f"{without_credentials(text)} is a URL. Pass storage_options={{...}} to read the "
                "table over the network, empty to let the environment variables of the store hold."
            )
        return text
    folder = absolute(text)
    if not folder.is_dir():
        raise FileNotFoundError(f"{text} is no folder (looked for {folder}).")
    if not (folder / "_delta_log").is_dir():
        raise ValueError(
            f"{text} is not a Delta table: it has no folder _delta_log. A folder of Parquet "
            "files is read by sn.scan_parquet."
        )
    if unquote(str(folder)) != str(folder):
        raise ValueError(
            f"{folder} cannot be read: deltalake would look for {unquote(str(folder))}. Rename the "
            "folder so that no % is followed by two digits."
        )
    return str(folder)


def _opened(where: str, version: Any, storage_options: Mapping[str, str] | None) -> Any:
    """Open a table; it stays at its version."""
    if version is not None and not is_whole(version, 0):
        raise ValueError(f"version must be a whole number from 0 on, got {shown(version)}.")
    options = None if storage_options is None else dict(storage_options)
    open_ = partial(_deltalake().DeltaTable, where, storage_options=options)
    newest = open_()
    if version is None:
        return newest
    if version > newest.version():
        raise ValueError(
            f"{without_credentials(where)} has no version {version}: the newest is "
            f"{newest.version()}."
        )
    return open_(version=int(version))


def _file_name(uri: str, where: str) -> str:
    """Spell a file as the system does: of local ones, deltalake escapes the folder of the table."""
    if is_url(uri):
        return without_credentials(uri)
    return "/".join([where, *uri.split("/")[len(where.split("/")) :]])


def _stream(table: Any, where: str, columns: list[str]) -> tuple[Any, Iterator[Any]]:
    """Begin to read: the schema, and the rows in the order of the table's log."""
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
    with _explained(where):
        query = _deltalake().QueryBuilder(_IN_ORDER).register("rows", table)
        reader = pa.RecordBatchReader.from_stream(query.execute(f'SELECT {quoted} FROM "rows"'))
    return reader.schema, _batches(reader, where)


def _batches(reader: Any, where: str) -> Iterator[Any]:
    """Yield record batches; errors name the table."""
    with _explained(where):
        yield from reader


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Name the table in what deltalake says of it."""
    try:
        yield
    except MemoryError:
        raise
    except (_deltalake().exceptions.DeltaError, pa.ArrowException, OSError) as error:
        text = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())
        name, text = without_credentials(where), without_credentials(text)
        raise (OSError if isinstance(error, OSError) else ValueError)(
            f"{name} cannot be read as a Delta table: {text}. If VACUUM removed files of this "
            "version, scan a newer one. If the table has a feature that deltalake lacks, write its "
            "rows to Parquet with the engine that wrote it."
        ) from shown_cause(error)


def _deltalake() -> Any:
    """Import deltalake."""
    try:
        import deltalake
    except ImportError as error:
        raise ImportError(
            'reading Delta tables needs deltalake: pip install "sklearnish[delta]"'
        ) from error
    return deltalake
