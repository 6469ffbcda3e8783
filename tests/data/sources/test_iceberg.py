import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sklearnish.data import scan_iceberg
from sklearnish.data._sources.iceberg import iceberg_table

sql = pytest.importorskip("pyiceberg.catalog.sql")
DoubleType = pytest.importorskip("pyiceberg.types").DoubleType
DataFileContent = pytest.importorskip("pyiceberg.manifest").DataFileContent


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def catalog(tmp_path):
    folder = tmp_path / "ware house"
    folder.mkdir()
    catalog = sql.SqlCatalog("c", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=str(folder))
    catalog.create_namespace("n")
    yield catalog
    catalog.close()


def made(catalog, *tables, name="n.t", **keywords):
    """Make a table of several files."""
    table = catalog.create_table(name, tables[0].schema, **keywords)
    for rows in tables:
        table.append(rows)
    return table


def rows_of(source):
    """Read all rows, as a list of them."""
    columns = source.read(np.arange(source.n_rows), list(source.schema))
    return pa.table(dict(columns)).to_pylist()


FIRST = pa.table({"a": [1, 2], "t": ["x", None]})
SECOND = pa.table({"a": [3], "t": ["z"]})


def test_snapshots_keep_their_rows(catalog):
    table = made(catalog, FIRST, SECOND)
    first, second = (snapshot.snapshot_id for snapshot in table.snapshots())
    newest = iceberg_table(table)
    table.delete("a = 1")
    assert rows_of(iceberg_table(table, first)) == FIRST.to_pylist()
    for source in (newest, iceberg_table(table, second)):
        assert sorted(row["a"] for row in rows_of(source)) == [1, 2, 3]
    assert sorted(row["a"] for row in rows_of(iceberg_table(table))) == [2, 3]
    assert newest.name == f"n.t (snapshot {second})"


def test_a_snapshot_is_streamed_once(catalog):
    table = made(catalog, FIRST)
    before = Path(iceberg_table(table).path)
    written = before.stat().st_mtime_ns
    again = iceberg_table(table, table.current_snapshot().snapshot_id)
    assert Path(again.path).stat().st_mtime_ns == written
    assert again.path == str(before)


def test_renamed_and_later_columns(catalog):
    table = made(catalog, FIRST)
    first = table.current_snapshot().snapshot_id
    old = iceberg_table(table)
    with table.update_schema() as update:
        update.rename_column("t", "text")
        update.add_column("late", DoubleType())
    table.append(pa.table({"a": [3], "text": ["z"], "late": [1.5]}))
    assert rows_of(iceberg_table(table, first)) == rows_of(old) == FIRST.to_pylist()
    assert sorted(rows_of(iceberg_table(table)), key=lambda row: row["a"]) == [
        {"a": 1, "text": "x", "late": None},
        {"a": 2, "text": None, "late": None},
        {"a": 3, "text": "z", "late": 1.5},
    ]
    only = iceberg_table(table, asked=["text"])
    assert sorted(map(str, (row["text"] for row in rows_of(only)))) == ["None", "x", "z"]


def test_a_column_renamed_since_the_last_snapshot(catalog):
    table = made(catalog, FIRST)
    assert list(iceberg_table(table).schema) == ["a", "t"]
    with table.update_schema() as update:
        update.rename_column("t", "text")
    assert rows_of(iceberg_table(table)) == [{"a": 1, "text": "x"}, {"a": 2, "text": None}]


def test_the_metadata_alone_will_do(catalog):
    table = made(catalog, FIRST)
    path = table.metadata_location.removeprefix("file://")
    source = iceberg_table(path)
    assert rows_of(source) == FIRST.to_pylist()
    assert source.path == iceberg_table(table).path


def with_deletes(table, folder, content, rows):
    """Add a file of deletes as Spark does, which pyiceberg reads but does not write."""
    from pyiceberg import manifest
    from pyiceberg.typedef import Record

    class DeleteManifest(manifest.ManifestWriterV2):
        def content(self):
            return manifest.ManifestContent.DELETES

        _meta = property(lambda self: {**super()._meta, "content": "deletes"})

    folder.mkdir()
    path, io, before = folder / "deletes.parquet", table.io, table.current_snapshot()
    pq.write_table(rows, path)
    deletes = manifest.DataFile.from_args(
        content=content,
        file_path=str(path),
        file_format=manifest.FileFormat.PARQUET,
        partition=Record(),
        record_count=rows.num_rows,
        file_size_in_bytes=path.stat().st_size,
    )
    added = manifest.ManifestEntry.from_args(
        status=manifest.ManifestEntryStatus.ADDED, snapshot_id=77, data_file=deletes
    )
    output = io.new_output(str(folder / "deletes.avro"))
    with DeleteManifest(table.spec(), table.schema(), output, 77, "null") as writer:
        writer.add_entry(added)
    number = table.metadata.last_sequence_number + 1
    listed, parent = io.new_output(str(folder / "list.avro")), before.snapshot_id
    with manifest.write_manifest_list(2, listed, 77, parent, number, "null") as manifests:
        manifests.add_manifests([*before.manifests(io), writer.to_manifest_file()])
    metadata = json.loads(table.metadata.model_dump_json())
    newest = {**metadata["snapshots"][-1], "snapshot-id": 77, "sequence-number": number}
    metadata["snapshots"].append(newest | {"manifest-list": listed.location})
    metadata |= {"current-snapshot-id": 77, "last-sequence-number": number, "refs": {}}
    path = folder / "v2.metadata.json"
    path.write_text(json.dumps(metadata))
    return path


def test_files_of_deletes_are_respected(catalog, tmp_path):
    rows = pa.table({"a": range(300_000)})
    table = made(catalog, rows, rows)
    file = next(iter(table.scan().plan_files())).file.file_path
    gone = [0, 7, 150_000, 299_999]
    deletes = pa.table({"file_path": [file] * 4, "pos": gone})
    path = with_deletes(table, tmp_path / "d", DataFileContent.POSITION_DELETES, deletes)
    source = iceberg_table(path)
    found = source.read(np.arange(source.n_rows), ["a"])["a"].to_numpy()
    assert sorted(found) == sorted([*range(300_000), *(set(range(300_000)) - set(gone))])


def test_deletes_that_pyiceberg_cannot_read_are_refused(catalog, tmp_path):
    table = made(catalog, FIRST)
    rows = pa.table({"a": [1]})
    path = with_deletes(table, tmp_path / "d", DataFileContent.EQUALITY_DELETES, rows)
    with pytest.raises(ValueError, match=r"Iceberg table: .*equality deletes.* rows to Parquet"):
        iceberg_table(path)


def test_a_file_that_is_gone_is_named(catalog):
    table = made(catalog, FIRST)
    path = Path(next(iter(table.scan().plan_files())).file.file_path.removeprefix("file://"))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=path.name):
        iceberg_table(table)


@pytest.mark.parametrize(
    ("table", "keywords", "error", "message"),
    [
        (None, {"snapshot_id": 3}, ValueError, r"n.t has no snapshot 3. Its newest are \d+"),
        (None, {"asked": ["q"]}, ValueError, r"has no column 'q'. Its columns are 'a', 't'"),
        (3, {}, TypeError, "expected a pyiceberg Table, .* got int"),
        ("s3://b/t.metadata.json", {}, ValueError, "is a URL. Open the table"),
        ("nowhere.metadata.json", {}, FileNotFoundError, "nowhere.metadata.json"),
        ("n/t", {}, ValueError, r"n/t is no metadata of an Iceberg table. Pass its newest"),
        ("", {}, FileNotFoundError, "an empty path"),
    ],
)
def test_what_cannot_be_read_is_explained(catalog, table, keywords, error, message):
    table = made(catalog, FIRST) if table is None else table
    with pytest.raises(error, match=message):
        iceberg_table(table, **keywords)


def test_damaged_metadata_are_named(tmp_path):
    path = tmp_path / "v1.metadata.json"
    path.write_text(json.dumps({"format-version": 2}))
    with pytest.raises(ValueError, match=r"v1.metadata.json cannot be read as an Iceberg table"):
        iceberg_table(path)


def test_without_pyiceberg_the_install_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiceberg", None)
    with pytest.raises(ImportError, match=r'pip install "sklearnish\[iceberg\]"'):
        scan_iceberg("t.metadata.json")
