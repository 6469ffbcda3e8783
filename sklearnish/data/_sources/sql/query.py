"""Queries: run on the connection of the user, their rows copied into the cache folder."""

import inspect
import itertools
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from sklearnish.data._arrow.stream_copy import Stream, batch_rows, copy_once, picked
from sklearnish.data._arrow.table_file import CacheSource
from sklearnish.data._shown import shown
from sklearnish.data._sources.sql.rows import NO_ROWS, Result, typed

Params = Sequence[Any] | Mapping[str, Any] | None

_NAMES = itertools.count()
"""Numbers of cursors: two of one name cannot be open."""

_OPEN = (
    "an open connection, such as duckdb.connect(path), sqlite3.connect(path), psycopg.connect(...)"
    ", adbc_driver_postgresql.dbapi.connect(...), or sqlalchemy.create_engine(...)"
)


def sql_rows(
    query: str,
    connection: Any,
    params: Params = None,
    asked: Collection[str] | None = None,
    name: str | None = None,
    version: str = "",
    refresh: bool = False,
) -> CacheSource:
    """Copy the rows of a query into the cache folder, or find the copy of that name.

    Parameters
    ----------
    query : str
        In the words of the database.
    connection : object
        See `sn.scan_sql`.
    params : sequence or mapping, default=None
        Values for the placeholders of the query.
    asked : collection of str, default=None
        The columns to copy; None for all.
    name : str, default=None
        Under which the copy is kept; None for one that goes with the process.
    version : str, default=""
        What tells the query from others of that name.
    refresh : bool, default=False
        Whether to run the query again.

    Returns
    -------
    CacheSource
        The rows.

    Raises
    ------
    TypeError
        `connection` is no connection.
    ValueError
        There are no rows or no such column, two columns have one name, or a column holds values
        of several types.
    """
    run = _runner(connection)
    title = f"the result of {shown(query)}" if name is None else name
    with ExitStack() as opened:

        def open_stream() -> Stream:
            schema, batches = run(connection, query, params, opened)
            return picked((schema, _noted(batches, query)), asked, title)

        return copy_once(title, "sql", open_stream, name=name, version=version, refresh=refresh)


def _noted(batches: Any, query: str) -> Iterator[Any]:
    """Yield the batches; errors name the query."""
    with _naming(query):
        yield from batches


@contextmanager
def _naming(query: str) -> Iterator[None]:
    """Name the query in errors of the database, which stay what they are."""
    try:
        yield
    except Exception as error:
        error.add_note(f"The query was: {query}")
        raise


def _runner(connection: Any) -> Callable[[Any, str, Params, ExitStack], Stream]:
    """Choose how to run a query on a connection.

    Raises
    ------
    TypeError
        It is something else.
    """
    if isinstance(connection, str | os.PathLike):
        raise TypeError(f"connection is a {type(connection).__name__}. Pass {_OPEN}.")
    if hasattr(connection, "adbc_get_info"):
        return _on_adbc
    if hasattr(connection, "sql") and hasattr(connection, "fetchnumpy"):
        return _on_duckdb
    if hasattr(connection, "exec_driver_sql"):
        return _on_sqlalchemy
    if hasattr(connection, "dialect") and hasattr(connection, "connect"):
        return _on_engine
    commit = getattr(connection, "commit", None)
    if not callable(getattr(connection, "cursor", None)) or inspect.iscoroutinefunction(commit):
        raise TypeError(f"connection is of type {type(connection).__name__}. Pass {_OPEN}.")
    return _on_dbapi


def _on_adbc(connection: Any, query: str, params: Params, opened: ExitStack) -> Stream:
    """Read Arrow from a connection of ADBC."""
    cursor = opened.enter_context(connection.cursor())
    with _naming(query):
        cursor.execute(query, params)
        reader = opened.enter_context(cursor.fetch_record_batch())
    return reader.schema, reader


def _on_duckdb(connection: Any, query: str, params: Params, opened: ExitStack) -> Stream:
    """Read Arrow from DuckDB; `execute` would hold all rows."""
    with _naming(query):
        relation = connection.sql(query, params=params)
        if relation is None:
            raise ValueError(NO_ROWS)
        # Before DuckDB 1.4 it had another name.
        begin = getattr(relation, "to_arrow_reader", None) or relation.fetch_record_batch
        reader = opened.enter_context(begin(batch_rows(len(relation.columns))))
    return reader.schema, reader


def _on_engine(engine: Any, query: str, params: Params, opened: ExitStack) -> Stream:
    """Read rows on a connection of our own, which SQLAlchemy's engine makes."""
    connection = opened.enter_context(engine.connect())
    return _on_sqlalchemy(connection, query, params, opened)


def _on_sqlalchemy(connection: Any, query: str, params: Params, opened: ExitStack) -> Stream:
    """Read rows from a connection of SQLAlchemy."""
    with _naming(query):
        given = dict(params) if isinstance(params, Mapping) else params and tuple(params)
        options = {"stream_results": True, "no_parameters": True}  # "%" stays what it is
        result = connection.exec_driver_sql(query, given, execution_options=options)
        opened.callback(result.close)
        names = list(result.keys()) if result.returns_rows else None
        return typed(Result(names, result.fetchmany), opened)


def _on_dbapi(connection: Any, query: str, params: Params, opened: ExitStack) -> Stream:
    """Read rows from any connection of Python's DB-API."""
    with _naming(query):
        cursor = _cursor(connection)
        opened.callback(cursor.close)
        cursor.execute(query) if params is None else cursor.execute(query, params)
        about = cursor.description
        names = None if about is None else [column[0] for column in about]
        return typed(Result(names, cursor.fetchmany), opened)


def _cursor(connection: Any) -> Any:
    """Make a cursor; of PostgreSQL's drivers, one whose rows stay on the server."""
    libraries = {kind.__module__.partition(".")[0] for kind in type(connection).__mro__}
    if libraries & {"psycopg", "psycopg2"}:
        name = f"sklearnish_{os.getpid()}_{next(_NAMES)}"
        return connection.cursor(name, withhold=bool(connection.autocommit))
    return connection.cursor()
