"""From tables of data lakes to a Dataset."""

from collections.abc import Mapping
from typing import Any

from sklearnish.data._as_dataset import Columns, view_of
from sklearnish.data._dataset import Dataset
from sklearnish.data._scan.given import Path, asked, check_roles
from sklearnish.data._sources.delta import delta_table
from sklearnish.data._sources.iceberg import iceberg_table


def scan_delta(
    path: Path,
    *,
    target: Columns = None,
    weight: str | None = None,
    columns: Columns = None,
    version: int | None = None,
    storage_options: Mapping[str, str] | None = None,
) -> Dataset:
    """Make a Dataset of a Delta table, copied once into the cache folder.

    The rows are those that ``deltalake`` (extra ``delta``) finds in one version of the table:
    deletion vectors, renamed columns and partitions are respected. They are streamed, so memory
    stays flat, and read from the copy ever after; each version has a copy of its own. The rows
    keep the order of the table's log. The environment variable ``SKLEARNISH_CACHE`` sets the cache
    folder, by default that of the user.

    Parameters
    ----------
    path : path-like
        Folder of the table. A URL (``"s3://bucket/table"``) needs `storage_options`.
    target : str or sequence of str, default=None
        Column, or columns, of the labels.
    weight : str, default=None
        Column of the row weights.
    columns : sequence of str, default=None
        Feature columns; all but target and weight by default. Others are not copied then.
    version : int, default=None
        Version of the table; the newest by default. A Dataset stays at its version.
    storage_options : mapping of str to str, default=None
        How to reach a table at a URL, as :class:`deltalake.DeltaTable` takes it; empty to let
        environment variables say it. Without it, nothing is read over the network.

    Returns
    -------
    Dataset
        A view of all rows.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    TypeError
        If `target`, `weight` or `columns` are not names.
    ValueError
        If the folder is not a Delta table, has no such version or column, is a URL without
        `storage_options`, or has features that ``deltalake`` cannot read.
    OSError
        If the store cannot be reached, or there is too little room on the disk.
    ImportError
        If ``deltalake`` is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pandas as pd
    >>> import sklearnish as sn
    >>> from deltalake import write_deltalake
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "sales"
    >>> frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "label": [0, 1]})
    >>> write_deltalake(path, frame)
    >>> write_deltalake(path, frame, mode="append")
    >>> sn.scan_delta(path, target="label").shape
    (4, 2)
    >>> sn.scan_delta(path, target="label", version=0).shape
    (2, 2)
    """
    check_roles(target, weight, columns)
    names = asked(target, weight, columns)
    return view_of(delta_table(path, version, names, storage_options), target, weight, columns)


def scan_iceberg(
    table: Any,
    *,
    target: Columns = None,
    weight: str | None = None,
    columns: Columns = None,
    snapshot_id: int | None = None,
) -> Dataset:
    """Make a Dataset of an Iceberg table, copied once into the cache folder.

    The rows are those that ``pyiceberg`` (extra ``iceberg``) finds in one snapshot of the table:
    deleted rows, renamed columns and partitions are respected. They are streamed file by file, and
    read from the copy ever after; each snapshot has a copy of its own. The environment variable
    ``SKLEARNISH_CACHE`` sets the cache folder, by default that of the user.

    Parameters
    ----------
    table : pyiceberg.table.Table or path-like
        The table as its catalog gives it, ``catalog.load_table("sales.orders")``, or the local
        file of its metadata, ``"orders/metadata/00007-....metadata.json"``.
    target : str or sequence of str, default=None
        Column, or columns, of the labels.
    weight : str, default=None
        Column of the row weights.
    columns : sequence of str, default=None
        Feature columns; all but target and weight by default. Others are not copied then.
    snapshot_id : int, default=None
        Snapshot of the table; the current one by default. A Dataset stays at its snapshot.

    Returns
    -------
    Dataset
        A view of all rows.

    Raises
    ------
    FileNotFoundError
        If the file of the metadata, or a file of the table, does not exist.
    TypeError
        If `table` is neither a table nor a path, or `target`, `weight` or `columns` are not names.
    ValueError
        If there is no such snapshot or column, `table` is a URL, or the table has features that
        ``pyiceberg`` cannot read, such as equality deletes.
    OSError
        If the store cannot be reached, or there is too little room on the disk.
    ImportError
        If ``pyiceberg`` is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pyarrow as pa
    >>> import sklearnish as sn
    >>> from pyiceberg.catalog.sql import SqlCatalog
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> catalog = SqlCatalog("local", uri=f"sqlite:///{folder}/catalog.db", warehouse=str(folder))
    >>> catalog.create_namespace("sales")
    >>> rows = pa.table({"a": [1.0, 2.0], "b": [3.0, 4.0], "label": [0, 1]})
    >>> orders = catalog.create_table("sales.orders", schema=rows.schema)
    >>> orders.append(rows)
    >>> sn.scan_iceberg(orders, target="label").shape
    (2, 2)
    >>> catalog.close()
    """
    check_roles(target, weight, columns)
    names = asked(target, weight, columns)
    source = iceberg_table(table, snapshot_id, names)
    return view_of(source, target, weight, columns)
