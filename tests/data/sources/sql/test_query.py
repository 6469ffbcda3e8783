import datetime
import gc
import sqlite3
import threading
import uuid
from decimal import Decimal

import duckdb
import numpy as np
import pytest
import sqlalchemy

from sklearnish.data._sources.sql.query import sql_rows
from tests.data.postgres import running_server

ROWS = [(1, "x", 0.5), (2**60 + 1, None, 1.5), (None, "y", None)]
QUERY = "SELECT a, b, c FROM t ORDER BY c IS NULL, c"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def read(source):
    """Read all rows as tuples."""
    columns = source.read(np.arange(source.n_rows), list(source.schema))
    return list(zip(*(column.to_pylist() for column in columns.values()), strict=True))


@pytest.fixture
def path(tmp_path):
    """A file of SQLite with a table of three rows."""
    path = tmp_path / "db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a INT, b TEXT, c REAL)")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", ROWS)
    connection.commit()
    connection.close()
    return path


def from_duckdb(path):
    """A connection of DuckDB with that table."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (a BIGINT, b VARCHAR, c DOUBLE)")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", ROWS)
    return connection


def from_adbc(path):
    """A connection of ADBC."""
    import adbc_driver_sqlite.dbapi

    return adbc_driver_sqlite.dbapi.connect(str(path))


def from_sqlalchemy(path):
    """A connection of SQLAlchemy."""
    return sqlalchemy.create_engine(f"sqlite:///{path}").connect()


CONNECTIONS = {
    "sqlite3": sqlite3.connect,
    "duckdb": from_duckdb,
    "adbc": from_adbc,
    "sqlalchemy": from_sqlalchemy,
}


@pytest.fixture(params=CONNECTIONS)
def connection(request, path):
    """An open connection of some kind, closed in the end."""
    made = CONNECTIONS[request.param](path)
    yield made
    made.close()


def test_rows_are_the_same_through_every_connection(connection):
    assert read(sql_rows(QUERY, connection)) == ROWS
    assert read(sql_rows(QUERY, connection, asked={"b", "a"})) == [row[:2] for row in ROWS]


def test_placeholders_are_filled(connection):
    assert read(sql_rows("SELECT a FROM t WHERE b = ?", connection, ("x",))) == [(1,)]
    if not hasattr(connection, "adbc_get_info"):
        name = "$b" if hasattr(connection, "fetchnumpy") else ":b"
        rows = sql_rows(f"SELECT a FROM t WHERE b = {name}", connection, {"b": "x"})
        assert read(rows) == [(1,)]


def test_errors_of_the_database_stay_and_name_the_query(connection, cache):
    with pytest.raises(Exception, match="nothing") as caught:
        sql_rows("SELECT * FROM nothing", connection)
    assert not type(caught.value).__module__.startswith("sklearnish")
    assert caught.value.__notes__ == ["The query was: SELECT * FROM nothing"]
    assert list(cache.iterdir() if cache.exists() else ()) == []


def test_the_connection_stays_open_and_its_transaction_too(path):
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM t WHERE a = 1")
    assert len(read(sql_rows(QUERY, connection))) == 2
    assert connection.in_transaction
    connection.rollback()
    assert len(read(sql_rows(QUERY, connection))) == 3


def test_a_connection_of_sqlalchemy_is_neither_closed_nor_changed(path):
    connection = from_sqlalchemy(path)
    before = dict(connection.get_execution_options())
    sql_rows(QUERY, connection)
    assert not connection.closed
    assert dict(connection.get_execution_options()) == before
    connection.close()


def test_an_engine_gets_its_connection_back(path):
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    assert read(sql_rows(QUERY, engine)) == ROWS
    assert engine.pool.checkedout() == 0
    engine.dispose()


def test_no_cursor_stays_open(path):
    connection = sqlite3.connect(path)
    sql_rows(QUERY, connection)
    with pytest.raises(ValueError, match="mixes"):
        sql_rows("SELECT 1 AS a UNION ALL SELECT 'x'", connection)
    gc.collect()
    connection.execute("DROP TABLE t")  # locked while a cursor reads it
    connection.close()


@pytest.mark.parametrize("factory", [sqlite3.Row, lambda cursor, row: {"a": row[0]}])
def test_row_factories_of_the_user(path, factory):
    connection = sqlite3.connect(path)
    connection.row_factory = factory
    assert read(sql_rows("SELECT a FROM t WHERE a = 1", connection)) == [(1,)]
    connection.close()


def test_a_column_of_sqlite_that_mixes_types_names_column_and_row(path, cache):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE m (v)")
    connection.executemany("INSERT INTO m VALUES (?)", [(i,) for i in range(1000)] + [("n/a",)])
    with pytest.raises(ValueError, match=r"'v' mixes 0 \(int\) in row 0 and 'n/a' .* in row 1000"):
        sql_rows("SELECT v FROM m", connection)
    assert [file for file in cache.iterdir() if file.suffix == ".part"] == []
    connection.rollback()
    connection.close()


def test_whole_numbers_that_become_others_late(path):
    connection = sqlite3.connect(path)
    values = [*range(5000), 2.5]
    connection.execute("CREATE TABLE m (v)")
    connection.executemany("INSERT INTO m VALUES (?)", [(v,) for v in values])
    source = sql_rows("SELECT v FROM m", connection)
    assert source.schema["v"].dtype == "float64"
    assert [v for (v,) in read(source)] == values
    connection.rollback()
    connection.close()


def test_types_of_duckdb():
    connection = duckdb.connect()
    query = """
        SELECT 1.5::DECIMAL(10, 2) AS d, DATE '2024-02-29' AS day, 9007199254740993 AS big,
        'a'::ENUM('a', 'b') AS e, [1.0, 2.0]::DOUBLE[2] AS v, [1, 2] AS l, {'x': 1} AS s,
        NULL AS n, 1::UTINYINT AS u,
        TIMESTAMPTZ '2024-02-29 12:00:00+00' AS t
    """
    source = sql_rows(query, connection)
    (row,) = read(source)
    assert row[:4] == (Decimal("1.5"), datetime.date(2024, 2, 29), 2**53 + 1, "a")
    assert row[4] == row[5] == [1, 2]
    assert source.schema["v"].shape == source.schema["l"].shape == (2,)
    assert source.schema["t"].kind == "datetime"
    connection.close()


def test_what_the_database_gives_is_checked_when_it_is_copied(cache):
    connection = duckdb.connect()
    query = "SELECT 170141183460469231731687303715884105727::HUGEINT AS h"  # 39 digits
    with pytest.raises(ValueError, match=r"result of 'SELECT .* not valid Arrow: .* precision"):
        sql_rows(query, connection)
    assert list(cache.iterdir()) == []
    connection.close()


def test_statements_without_rows(path):
    connection = sqlite3.connect(path)
    with pytest.raises(ValueError, match="gives no rows"):
        sql_rows("CREATE TABLE u (a)", connection)
    with pytest.raises(ValueError, match="0 rows"):
        sql_rows("SELECT * FROM t WHERE a > 1000 AND a < 1001", connection)
    connection.close()


class Connection:
    """One whose methods must be awaited, as psycopg.AsyncConnection."""

    async def commit(self):
        """End a transaction."""

    def cursor(self):
        """Make a cursor."""


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("postgresql://me:secret@host/db", r"connection is a str\. Pass an open connection"),
        (None, "of type NoneType"),
        (Connection(), "of type Connection"),
    ],
)
def test_what_is_no_connection(given, text):
    with pytest.raises(TypeError, match=text) as caught:
        sql_rows(QUERY, given)
    assert "secret" not in str(caught.value)


def test_a_connection_is_used_in_the_thread_of_its_user(path):
    found = []

    def scan():
        connection = sqlite3.connect(path)  # which refuses other threads
        found.extend(read(sql_rows(QUERY, connection)))
        connection.close()

    thread = threading.Thread(target=scan)
    thread.start()
    thread.join()
    assert found == ROWS


@pytest.fixture(scope="module")
def server():
    """A server of PostgreSQL."""
    with running_server() as where:
        yield where


@pytest.fixture
def psycopg_connection(server):
    """A connection of psycopg to it."""
    import psycopg

    with psycopg.connect(**server) as connection:
        yield connection


SERIES = """
    SELECT i AS i, i * 0.5::FLOAT8 AS f, (i % 7)::TEXT AS t, (i / 3.0)::NUMERIC(20, 5) AS n,
    CASE WHEN i > 5 THEN i + 9007199254740993 END AS big, i % 2 = 0 AS b,
    DATE '2024-01-01' + i AS day, ARRAY[i, i]::FLOAT8[] AS v
    FROM generate_series(0, 9999) s(i) ORDER BY i
"""


@pytest.mark.slow
def test_postgresql_through_every_driver_gives_the_same_rows(server, psycopg_connection):
    import adbc_driver_postgresql.dbapi

    uri = "postgresql://{user}@{host}:{port}/{dbname}".format(**server)
    query = SERIES.replace("::NUMERIC(20, 5)", "::FLOAT8")  # of which ADBC makes text
    ours = sql_rows(query, psycopg_connection)
    engine = sqlalchemy.create_engine(uri.replace("postgresql:", "postgresql+psycopg:"))
    with adbc_driver_postgresql.dbapi.connect(uri) as adbc:
        others = [sql_rows(query, connection) for connection in (adbc, engine)]
    engine.dispose()
    expected = read(ours)
    assert len(expected) == 10_000
    assert expected[6][4] == 2**53 + 1 + 6
    for other in others:
        assert read(other) == expected
        assert other.schema["v"].shape == (2,)


@pytest.mark.slow
def test_rows_of_postgresql_stay_on_the_server(psycopg_connection):
    with psycopg_connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE seen (i INT)")
    source = sql_rows(SERIES, psycopg_connection)
    assert source.schema["n"].dtype.startswith("decimal128")
    with psycopg_connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_cursors")
        assert cursor.fetchone() == (0,)  # closed
        cursor.execute("SELECT count(*) FROM seen")  # its table is there: nothing was rolled back
    assert not psycopg_connection.closed


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["dict_row", "tuple_row"])
def test_postgresql_in_autocommit_and_with_a_row_factory(server, rows):
    import psycopg
    import psycopg.rows

    factory = getattr(psycopg.rows, rows)
    with psycopg.connect(**server, autocommit=True, row_factory=factory) as connection:
        query = "SELECT i FROM generate_series(1, 10) s(i) WHERE i > %s"
        assert read(sql_rows(query, connection, [8])) == [(9,), (10,)]


@pytest.mark.slow
def test_types_of_postgresql(psycopg_connection):
    query = """
        SELECT TIMESTAMPTZ '2024-02-29 12:00+02' AS t, 'NaN'::NUMERIC AS nan, '\\x01'::BYTEA AS b,
        INTERVAL '1 day' AS span, '{"a": 1}'::JSONB AS j, NULL AS n, gen_random_uuid() AS u
    """
    ((t, nan, b, span, j, n, u),) = read(sql_rows(query, psycopg_connection))
    assert t == datetime.datetime(2024, 2, 29, 10, tzinfo=datetime.UTC)
    assert np.isnan(nan)
    assert (b, span, j, n) == (b"\x01", datetime.timedelta(1), {"a": 1}, None)
    assert isinstance(u, uuid.UUID)


@pytest.mark.slow
def test_errors_of_postgresql_are_its_own(psycopg_connection):
    import psycopg

    with pytest.raises(psycopg.errors.UndefinedTable) as caught:
        sql_rows("SELECT * FROM nothing", psycopg_connection)
    assert "The query was" in caught.value.__notes__[0]
    psycopg_connection.rollback()
    with pytest.raises(psycopg.errors.DivisionByZero):
        sql_rows("SELECT 1 / (5000 - i) FROM generate_series(0, 9999) s(i)", psycopg_connection)
    psycopg_connection.rollback()
    assert read(sql_rows("SELECT 1 AS a", psycopg_connection)) == [(1,)]
