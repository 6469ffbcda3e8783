"""From streams of Arrow record batches, and results of queries, to a Dataset."""

from collections.abc import Mapping, Sequence
from typing import Any

from sklearnish.data._as_dataset import Columns, view_of
from sklearnish.data._dataset import Dataset
from sklearnish.data._fingerprint import fingerprint
from sklearnish.data._scan.given import asked, check_roles
from sklearnish.data._sources.arrow_stream import arrow_stream
from sklearnish.data._sources.sql.query import sql_rows


def scan_arrow(
    stream: Any,
    *,
    target: Columns = None,
    weight: str | None = None,
    columns: Columns = None,
    name: str | None = None,
    refresh: bool = False,
) -> Dataset:
    """Make a Dataset of a stream of Arrow record batches, copied once into the cache folder.

    The stream is read once, batch by batch, so memory stays flat; rows are read from the copy
    ever after. The environment variable ``SKLEARNISH_CACHE`` sets the cache folder, by default
    that of the user. A table in memory needs no copy: pass it to `fit` or
    :func:`sklearnish.as_dataset`.

    Parameters
    ----------
    stream : object
        Anything with ``__arrow_c_stream__``, such as a ``pyarrow.RecordBatchReader`` or a DuckDB
        relation; a polars LazyFrame, which is run batch by batch; a ``pyarrow.dataset.Dataset``
        or Scanner; a cursor of ADBC after its query; a pyiceberg scan; a Hugging Face
        IterableDataset.
    target : str or sequence of str, default=None
        Column, or columns, of the labels.
    weight : str, default=None
        Column of the row weights.
    columns : sequence of str, default=None
        Feature columns; all but target and weight by default. Others are not copied then.
    name : str, default=None
        Keeps the copy under this name (see Notes). By default it is deleted with the last Dataset
        that uses it, at the latest when this process ends.
    refresh : bool, default=False
        Whether to copy the stream again although there is a copy of this `name`.

    Returns
    -------
    Dataset
        A view of all rows, in the order of the stream.

    Raises
    ------
    TypeError
        If `stream` gives no record batches, or `target`, `weight` or `columns` are not names.
    ValueError
        If the stream has no rows, no such column or two columns of one name, or `refresh` is
        given without a `name`.
    OSError
        If there is too little room on the disk.

    See Also
    --------
    scan_sql : The rows of a query.
    as_dataset : Tables in memory, without a copy.

    Notes
    -----
    A stream cannot tell whether its rows are those of another day, so `name` says it: the copy of
    that name is used, and the stream is not read, if the names and types of the columns to be
    copied are those of the copy. **Whether the rows are still the same is not checked**: pass
    ``refresh=True``, or another name, when they have changed. Other columns or types make a new
    copy, which replaces the one of that name. There is one copy per name, whoever makes it:
    Datasets of one that was replaced raise ``DatasetChangedError``. Delete the file in the cache
    folder that begins with the name to free the disk.

    Without a name each call makes a copy of its own, of which other processes, such as worker
    processes and those of ``n_jobs``, can read as long as this one has the Dataset.

    An error in the stream, or Ctrl-C, leaves no copy.

    Examples
    --------
    >>> import polars as pl
    >>> import sklearnish as sn
    >>> frame = pl.LazyFrame({"a": [1, 2, 3, 4], "label": ["x", "y", "x", "y"]})
    >>> ds = sn.scan_arrow(frame.filter(pl.col("a") > 1), target="label")
    >>> ds.shape, ds.target.tolist()
    ((3, 1), ['y', 'x', 'y'])
    """
    check_roles(target, weight, columns)
    _check_name(name, refresh)
    source = arrow_stream(stream, asked(target, weight, columns), name, refresh)
    return view_of(source, target, weight, columns)


def scan_sql(
    query: str,
    connection: Any,
    *,
    target: Columns = None,
    weight: str | None = None,
    columns: Columns = None,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    name: str | None = None,
    refresh: bool = False,
) -> Dataset:
    """Make a Dataset of the rows of a query, copied once into the cache folder.

    The query runs once. Its rows come in chunks, so memory stays flat, and are read from the copy
    ever after. The environment variable ``SKLEARNISH_CACHE`` sets the cache folder, by default
    that of the user.

    Parameters
    ----------
    query : str
        A query in the words of the database. Without ``ORDER BY``, the order of the rows, and so
        the folds and batches of a seed, is up to the database.
    connection : connection or sqlalchemy.Engine
        An open connection of DuckDB, ADBC, SQLAlchemy, or of any driver that follows Python's
        DB-API (:mod:`sqlite3`, psycopg, and others). It is neither closed nor committed; a
        transaction that the query begins stays open, as after ``execute``. Of an Engine, a
        connection is borrowed.
    target : str or sequence of str, default=None
        Column, or columns, of the labels.
    weight : str, default=None
        Column of the row weights.
    columns : sequence of str, default=None
        Feature columns; all but target and weight by default. Others are not copied then.
    params : sequence or mapping, default=None
        Values for the placeholders of the query, in the style of the driver. Never paste them
        into the text.
    name : str, default=None
        Keeps the copy under this name (see Notes). By default it is deleted with the last Dataset
        that uses it, at the latest when this process ends.
    refresh : bool, default=False
        Whether to run the query again although there is a copy of this `name`.

    Returns
    -------
    Dataset
        A view of all rows, in the order in which the database gave them.

    Raises
    ------
    TypeError
        If `query` is not text, `connection` is not an open connection, or `target`, `weight` or
        `columns` are not names. Nothing is opened by URL.
    ValueError
        If there are no rows, no such column or two columns of one name, a column holds values of
        several types or numbers that no type holds exactly, or `refresh` is given without a
        `name`.
    OSError
        If there is too little room on the disk.

    See Also
    --------
    scan_arrow : Other streams of rows.

    Notes
    -----
    With a `name`, the copy of that name is used, and **the query is not run**, if text, `params`
    and the columns to be copied are those of the copy. Neither the connection nor whether the
    tables have changed is looked at: pass ``refresh=True``, or another name, when they have.
    Another query makes a new copy, which replaces the one of that name; Datasets of one that was
    replaced raise ``DatasetChangedError``.

    Errors of the database are raised as they are, with the query as a note.

    DuckDB and ADBC give Arrow tables; types are theirs. Other rows are Python objects, in chunks
    that `fetchmany` gives, of psycopg by a cursor on the server. Types are found over all rows:
    whole numbers beyond 2**53 stay exact, and a column that mixes text and numbers, as SQLite
    allows, is an error that names column and row. Times with a zone become UTC. Drivers whose
    cursors fetch all rows at once (those of MySQL, for example) take memory for them; over
    SQLAlchemy they stream.

    Examples
    --------
    >>> import sqlite3
    >>> import sklearnish as sn
    >>> connection = sqlite3.connect(":memory:")
    >>> _ = connection.execute("CREATE TABLE people (age, income, rich)")
    >>> people = [(31, 1200.5, 0), (64, None, 0), (48, 9000, 1)]
    >>> _ = connection.executemany("INSERT INTO people VALUES (?, ?, ?)", people)
    >>> query = "SELECT * FROM people WHERE age > ? ORDER BY age"
    >>> ds = sn.scan_sql(query, connection, target="rich", params=[30])
    >>> ds.dtypes, ds.target.tolist()
    ({'age': 'int64', 'income': 'float64'}, [0, 1, 0])
    """
    check_roles(target, weight, columns)
    _check_name(name, refresh)
    if not isinstance(query, str):
        cure = "The query comes first, then the connection" if isinstance(connection, str) else ""
        raise TypeError(
            f"query must be text, got {type(query).__name__}. {cure or 'Pass str(query)'}."
        )
    names = asked(target, weight, columns)
    version = "" if name is None else fingerprint(query, params, sorted(names or ()))
    source = sql_rows(query, connection, params, names, name, version, refresh)
    return view_of(source, target, weight, columns)


def _check_name(name: Any, refresh: bool) -> None:
    """Refuse a name that is none, and making again what has none."""
    if name is not None and not (isinstance(name, str) and name):
        raise TypeError(f"name must be text, got {name!r}.")
    if refresh and name is None:
        raise ValueError(
            "refresh=True makes the copy of a name again. Pass name=, or leave out refresh: "
            "without a name every call makes a new copy."
        )
