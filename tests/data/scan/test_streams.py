import datetime
import gc
import pickle
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import sklearnish as sn
from sklearnish.data._fingerprint import fingerprint_of_rows

TABLE = pa.table({"a": np.arange(1000.0), "b": np.arange(1000), "y": np.arange(1000) % 3})


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SKLEARNISH_CACHE", str(folder))
    return folder


def reader(table=TABLE, n_rows=100):
    """A stream that can be read once."""
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(n_rows))


def files(folder):
    """The files in a cache folder, if it is there."""
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_stream_becomes_a_dataset_that_is_split_and_read_like_any_other():
    ds = sn.scan_arrow(reader(), target="y", weight="b", columns=["a"])
    assert ds.columns == ("a",)
    assert ds.shape == (1000, 1)
    np.testing.assert_array_equal(ds.target, TABLE["y"].to_numpy())
    np.testing.assert_array_equal(ds[[7, 3]].weight, [7, 3])
    X, _, _ = next(iter(ds.batches(10, num_workers=0)))
    np.testing.assert_array_equal(X[:, 0], np.arange(10))


def test_a_copy_without_a_name_goes_with_its_last_dataset(cache):
    ds = sn.scan_arrow(reader(), target="y")
    view = pickle.loads(pickle.dumps(ds[:10]))
    del ds
    gc.collect()
    assert len(files(cache)) == 1  # the unpickled view has it
    assert view.to_pandas()["a"].tolist() == list(range(10))
    del view
    gc.collect()
    assert files(cache) == []


def test_only_the_owner_may_read_a_copy(cache):
    named, unnamed = sn.scan_arrow(reader(), name="a"), sn.scan_arrow(reader())
    assert [file.stat().st_mode & 0o777 for file in files(cache)] == [0o600, 0o600]
    assert len(named) == len(unnamed)


def test_worker_processes_read_a_copy_without_a_name():
    ds = sn.scan_arrow(reader(), target="y")
    batches = ds.batches(100, num_workers=1, shuffle=False)
    assert sum(float(X[:, 0].double().sum()) for X, _ in batches) == 999 * 500


def run(code, *args, **options):
    """Run a script in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=False, **options
    )


SCRIPT = """
import sys, pickle, pyarrow as pa, sklearnish as sn
kept = [sn.scan_arrow(pa.table({"a": [1, 2]}), name=name) for name in (None, "mine")]
open(sys.argv[1], "wb").write(pickle.dumps(kept))
"""


@pytest.mark.slow
def test_a_copy_without_a_name_ends_with_its_process_and_one_with_a_name_does_not(tmp_path, cache):
    file = tmp_path / "pickled"
    assert run(SCRIPT, str(file)).returncode == 0
    unnamed, named = pickle.loads(file.read_bytes())
    assert [str(path) for path in files(cache)] == [named.source.path]
    assert named.to_pandas()["a"].tolist() == [1, 2]
    with pytest.raises(sn.DatasetChangedError, match="with a name to keep the copy"):
        unnamed.to_pandas()


@pytest.mark.slow
def test_what_a_killed_process_left_goes_with_the_next_scan(tmp_path, cache):
    killed = SCRIPT + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run(killed, str(tmp_path / "pickled")).returncode == -signal.SIGKILL
    assert len(files(cache)) == 2
    ds = sn.scan_arrow(reader())
    left = {path.name.strip(".").partition(".")[0].partition("-")[0] for path in files(cache)}
    assert left == {"arrow", "mine"}
    assert len(ds) == 1000


WAITS = """
import os, sys, time, pyarrow as pa, sklearnish as sn
batch = pa.record_batch({"a": [1.0] * 1000})
def batches():
    for i in range(10**9):
        yield batch
        time.sleep(0.001)
        if i == 100:
            print("streaming", flush=True)
for name in (None, "mine"):
    try:
        sn.scan_arrow(pa.RecordBatchReader.from_batches(batch.schema, batches()), name=name)
    except KeyboardInterrupt:
        print(os.listdir(os.environ["SKLEARNISH_CACHE"]), flush=True)
"""


@pytest.mark.slow
def test_ctrl_c_leaves_nothing():
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True)
    for _ in range(2):
        assert process.stdout.readline() == "streaming\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "[]\n"
    process.communicate(timeout=60)


@pytest.mark.parametrize("name", [None, "mine"])
def test_an_error_in_the_middle_of_a_stream_leaves_nothing(cache, name):
    def broken():
        yield from TABLE.to_batches(100)
        raise OSError("the line is dead")

    with pytest.raises(OSError, match="the line is dead"):
        sn.scan_arrow(pa.RecordBatchReader.from_batches(TABLE.schema, broken()), name=name)
    assert files(cache) == []


def test_a_name_keeps_the_copy_until_it_is_refreshed(cache):
    first = sn.scan_arrow(reader(), name="mine")
    again = sn.scan_arrow(reader(TABLE.slice(500)), name="mine")  # documented: not looked at
    assert len(again) == len(first) == 1000
    assert fingerprint_of_rows(again) == fingerprint_of_rows(first)
    fresh = sn.scan_arrow(reader(TABLE.slice(500)), name="mine", refresh=True)
    assert len(fresh) == 500
    assert fingerprint_of_rows(fresh) != fingerprint_of_rows(again)
    with pytest.raises(sn.DatasetChangedError):
        again.to_pandas()
    assert len(files(cache)) == 1


@pytest.mark.parametrize(
    "other",
    [
        TABLE.rename_columns(["a", "c", "y"]),
        TABLE.set_column(1, "b", TABLE["b"].cast(pa.int32())),
        TABLE.select(["b", "a", "y"]),
    ],
)
def test_other_columns_under_a_name_are_another_copy(cache, other):
    sn.scan_arrow(reader(), name="mine")
    ds = sn.scan_arrow(reader(other.slice(10)), name="mine")
    assert ds.to_pandas().equals(other.slice(10).to_pandas())
    assert len(files(cache)) == 1


def test_columns_that_are_not_copied_are_copied_when_they_are_asked_for():
    assert sn.scan_arrow(reader(), name="mine", columns=["a"]).columns == ("a",)
    assert sn.scan_arrow(reader(), name="mine", columns=["b"], target="y").columns == ("b",)


def test_rows_without_a_name_are_known_by_their_values():
    one, same = sn.scan_arrow(reader()), sn.scan_arrow(reader(n_rows=77))
    other = sn.scan_arrow(reader(TABLE.slice(1)))
    assert fingerprint_of_rows(one) == fingerprint_of_rows(same) != fingerprint_of_rows(other)


def test_rows_grouped_by_label_are_copied_in_blocks_that_go_with_the_first_copy(cache):
    n = 20_000
    table = pa.table({"a": np.arange(float(n)), "y": np.repeat([0, 1], n // 2)})
    ds = sn.scan_arrow(reader(table, 1000), target="y")
    for _ in range(2):
        batches = ds.batches(256, shuffle=True, num_workers=0, shuffle_memory="300KB")
        assert 0.3 < float(next(iter(batches))[1].double().mean()) < 0.7
        batches.close()
    assert len(files(cache)) == 2
    del ds
    gc.collect()
    assert files(cache) == []


def test_zero_rows_are_an_error_that_is_not_remembered(cache):
    with pytest.raises(ValueError, match="mine has 0 rows"):
        sn.scan_arrow(reader(TABLE.slice(0, 0)), name="mine")
    assert files(cache) == []
    assert len(sn.scan_arrow(reader(), name="mine")) == 1000


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"columns": ["nothing"]}, ValueError, "no column 'nothing'"),
        ({"target": "nothing"}, ValueError, "nothing"),
        ({"refresh": True}, ValueError, "Pass name="),
        ({"name": ""}, TypeError, "name must be text"),
        ({"name": 3}, TypeError, "name must be text"),
        ({"target": 3}, TypeError, "target takes the name"),
    ],
)
def test_what_is_asked_for_wrongly(cache, options, error, text):
    with pytest.raises(error, match=text):
        sn.scan_arrow(reader(), **options)
    gc.collect()
    assert files(cache) == []


def test_a_name_is_a_name_and_no_path(cache):
    sn.scan_arrow(reader(), name="../../etc/a b")
    assert [file.parent for file in files(cache)] == [cache]


def test_a_query_that_is_named_is_run_once(cache, tmp_path):
    connection = sqlite3.connect(tmp_path / "db")
    connection.execute("CREATE TABLE t (a INT)")
    connection.execute("INSERT INTO t VALUES (1), (2)")
    connection.commit()
    query = "SELECT a FROM t WHERE a > ? ORDER BY a"
    scan = lambda x=0, text=query, **more: sn.scan_sql(  # noqa: E731
        text, connection, params=[x], name="t", **more
    )
    assert len(scan()) == 2
    connection.execute("INSERT INTO t VALUES (3)")
    assert len(scan()) == 2
    assert len(scan(refresh=True)) == 3
    assert len(scan(1)) == 2  # another query
    assert len(scan(0, "SELECT a FROM t WHERE a > ? ORDER BY a DESC")) == 3
    assert connection.in_transaction
    assert len(files(cache)) == 1


def test_a_query_is_text():
    with pytest.raises(TypeError, match="query must be text, got int"):
        sn.scan_sql(3, sqlite3.connect(":memory:"))
    with pytest.raises(TypeError, match=r"got Connection\. The query comes first, then the conn"):
        sn.scan_sql(sqlite3.connect(":memory:"), "SELECT 1")


@pytest.mark.slow
def test_a_search_over_a_query():
    from sklearn.model_selection import GridSearchCV

    connection = duckdb.connect()
    query = "SELECT i / 100.0 AS x, (i % 2)::DOUBLE AS z, i % 2 = 1 AS y FROM range(400) t(i)"
    ds = sn.scan_sql(query, connection, target="y")
    clf = sn.TorchClassifier(max_epochs=8, random_state=0, num_threads=1)
    search = GridSearchCV(clf, {"lr": [0.01, 0.03]}, cv=2).fit(ds, ds.target)
    assert search.score(ds) > 0.9


GENERATED = """
import os, sqlite3, sys, threading, time
import pyarrow as pa, numpy as np
import sklearnish as sn

def anonymous():
    text = open("/proc/self/status").read()
    return int(text.split("RssAnon:")[1].split()[0]) * 1024

def batches():
    rng = np.random.default_rng(0)
    for i in range(400):
        yield pa.record_batch({f"c{j}": rng.random(16_384) for j in range(8)})

schema = pa.schema([(f"c{j}", pa.float64()) for j in range(8)])
sn.scan_arrow(pa.table({"a": [1.0]}))
before, peak, done = anonymous(), 0, False
def watch():
    global peak
    while not done:
        peak = max(peak, anonymous())
        time.sleep(0.002)
watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
ds = {scan}
done = True
watcher.join()
assert ds.shape == (400 * 16_384, 8)
print((peak - before) // 2**20, os.path.getsize(ds.source.path) // 2**20)
"""

QUERY = """
WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t WHERE i < 400000)
SELECT i a, i + 1 b, i * 0.5 c, i * 2.5 d, i e, i + 3 f, i * 1.5 g, i * 7.5 h FROM t
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by /proc")
def test_memory_stays_flat_while_a_stream_is_copied(tmp_path):
    scan = "sn.scan_arrow(pa.RecordBatchReader.from_batches(schema, batches()))"
    done = run(GENERATED.replace("{scan}", scan), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    grown, size = map(int, done.stdout.split())
    assert size >= 400
    assert grown < 100


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by /proc")
def test_memory_stays_flat_while_a_query_is_copied(tmp_path):
    code = GENERATED.replace("(400 * 16_384, 8)", "(400_000, 8)")
    code = code.replace("{scan}", f"sn.scan_sql({QUERY!r}, sqlite3.connect(':memory:'))")
    done = run(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    grown, size = map(int, done.stdout.split())
    assert size >= 24  # and some ten times as many as Python objects
    assert grown < 60


def test_a_lazy_frame_with_dates_text_and_gaps():
    days = [datetime.date(2024, 1, 1), None, datetime.date(2024, 1, 3)]
    frame = pl.LazyFrame({"day": days, "town": ["Bonn", None, "Rome"], "y": [0, 1, 0]})
    ds = sn.scan_arrow(frame.with_columns(pl.col("town").cast(pl.Categorical)), target="y")
    assert ds.to_pandas()["town"].tolist()[::2] == ["Bonn", "Rome"]
    assert ds.source.schema["day"].kind == "datetime"
    assert ds.source.schema["town"].kind == "text"
