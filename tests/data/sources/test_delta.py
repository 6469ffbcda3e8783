import json
import pickle
import struct
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sklearnish.data import scan_delta
from sklearnish.data._sources.delta import delta_table

deltalake = pytest.importorskip("deltalake")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))


def rows_of(source):
    """Read all rows, as a list of them."""
    columns = source.read(np.arange(source.n_rows), list(source.schema))
    return pa.table(dict(columns)).to_pylist()


def write(path, table, **keywords):
    """Write a version of a table."""
    deltalake.write_deltalake(path, pa.table(table), **{"mode": "append", **keywords})


def test_versions_keep_their_rows(tmp_path):
    path = tmp_path / "sales"
    write(path, {"a": [1, 2], "t": ["x", None]})
    write(path, {"a": [3], "t": ["z"]})
    deltalake.DeltaTable(path).delete("a = 1")
    two = [{"a": 1, "t": "x"}, {"a": 2, "t": None}]
    newest = delta_table(path)
    assert rows_of(delta_table(path, version=0)) == two
    assert sorted(map(str, rows_of(delta_table(path, version=1)))) == sorted(
        map(str, [*two, {"a": 3, "t": "z"}])
    )
    assert newest.name.endswith("sales (version 2)")
    write(path, {"a": [9], "t": ["9"]})
    assert sorted(row["a"] for row in rows_of(newest)) == [2, 3]
    assert sorted(row["a"] for row in rows_of(delta_table(path))) == [2, 3, 9]


def test_files_all_of_whose_lists_are_missing(tmp_path):
    lists = ([None], [[1.0, 2.0], None], [None, None, None], [None, [3.0, 4.0]])
    for i, part in enumerate(lists):
        table = {"v": pa.array(part, pa.list_(pa.float64())), "i": [i] * len(part)}
        write(tmp_path / "t", table)
    source = delta_table(tmp_path / "t")
    expected = [{"v": v, "i": i} for i, part in enumerate(lists) for v in part]
    assert sorted(map(str, rows_of(source))) == sorted(map(str, expected))


def test_a_version_is_streamed_once(tmp_path):
    write(tmp_path / "t", {"a": [1, 2]})
    before = delta_table(tmp_path / "t")
    written = Path(before.path).stat()
    assert Path(delta_table(tmp_path / "t", version=0).path).stat() == written
    assert rows_of(pickle.loads(pickle.dumps(before))) == [{"a": 1}, {"a": 2}]


def test_another_table_at_the_same_path_is_another(tmp_path):
    for value in (1, 2):
        write(tmp_path / "t", {"a": [value]})
        assert rows_of(delta_table(tmp_path / "t")) == [{"a": value}]
        (tmp_path / "t").rename(tmp_path / f"old{value}")


def test_columns_that_came_later_and_partitions(tmp_path):
    path = tmp_path / "with space"
    write(path, {"a": [1, 2], "year": ["2020", None]}, partition_by=["year"])
    write(path, {"a": [3], "year": ["ä/ö="], "late": [1.5]}, schema_mode="merge")
    found = sorted(rows_of(delta_table(path)), key=lambda row: row["a"])
    assert found == [
        {"a": 1, "year": "2020", "late": None},
        {"a": 2, "year": None, "late": None},
        {"a": 3, "year": "ä/ö=", "late": 1.5},
    ]


def test_the_order_of_the_rows_is_the_same_each_time(tmp_path, monkeypatch):
    for i in range(6):
        write(tmp_path / "t", {"a": np.arange(i * 40_000, (i + 1) * 40_000)})
    orders = []
    for i in range(4):
        monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / f"cache{i}"))
        source = delta_table(tmp_path / "t")
        orders.append(source.read(np.arange(source.n_rows), ["a"])["a"].to_numpy())
        deltalake.DeltaTable(tmp_path / "t").create_checkpoint()
    assert all((order == orders[0]).all() for order in orders)
    assert sorted(orders[0]) == list(range(240_000))


_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def z85(data):
    """Spell bytes as Delta's log does."""
    numbers = struct.unpack(f">{len(data) // 4}I", data)
    return "".join(_LETTERS[n // 85**i % 85] for n in numbers for i in (4, 3, 2, 1, 0))


def deletion_vector(rows):
    """Make a vector of rows that are deleted, as Spark writes it into the log."""
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16)
    data = struct.pack("<iqi", 1681511377, 1, 0) + bitmap + struct.pack(f"<{len(rows)}H", *rows)
    data += bytes(-len(data) % 4)
    return {
        "storageType": "i",
        "pathOrInlineDv": z85(data),
        "sizeInBytes": len(data),
        "cardinality": len(rows),
    }


def write_as_spark(folder, deleted=(2, 3, 9), features=("columnMapping", "deletionVectors")):
    """Write three files of ten rows whose columns were renamed, and some rows deleted."""
    (folder / "_delta_log").mkdir(parents=True)
    names = {"a": "long", 'b "c"': "string"}
    fields = [
        {
            "name": name,
            "type": kind,
            "nullable": True,
            "metadata": {
                "delta.columnMapping.id": i,
                "delta.columnMapping.physicalName": f"col-{i}",
            },
        }
        for i, (name, kind) in enumerate(names.items())
    ]
    log = [
        {
            "protocol": {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": list(features),
                "writerFeatures": list(features),
            }
        },
        {
            "metaData": {
                "id": "e8c80ef6-8614-47a0-9548-9b0fd29be104",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps({"type": "struct", "fields": fields}),
                "partitionColumns": [],
                "createdTime": 1,
                "configuration": {
                    "delta.columnMapping.mode": "name",
                    "delta.columnMapping.maxColumnId": "2",
                    "delta.enableDeletionVectors": "true",
                },
            }
        },
    ]
    for k in range(3):
        path = folder / f"f{k}.parquet"
        values = range(10 * k, 10 * k + 10)
        pq.write_table(pa.table({"col-0": values, "col-1": list(map(str, values))}), path)
        add = {
            "path": path.name,
            "partitionValues": {},
            "size": path.stat().st_size,
            "modificationTime": 1,
            "dataChange": True,
            "stats": json.dumps({"numRecords": 10, "tightBounds": False}),
        }
        log.append({"add": add | ({"deletionVector": deletion_vector(deleted)} if k == 1 else {})})
    text = "\n".join(map(json.dumps, log))
    (folder / "_delta_log" / f"{0:020}.json").write_text(text)


def test_deletion_vectors_and_renamed_columns_are_respected(tmp_path):
    write_as_spark(tmp_path / "t")
    kept = [i for i in range(30) if i not in (12, 13, 19)]
    found = sorted(rows_of(delta_table(tmp_path / "t")), key=lambda row: row["a"])
    assert found == [{"a": i, 'b "c"': str(i)} for i in kept]
    only = delta_table(tmp_path / "t", asked=['b "c"'])
    assert list(only.schema) == ['b "c"']
    assert sorted(row['b "c"'] for row in rows_of(only)) == sorted(map(str, kept))


def test_features_that_nobody_knows_are_refused(tmp_path):
    write_as_spark(tmp_path / "t", features=("columnMapping", "deletionVectors", "fromTheFuture"))
    with pytest.raises(ValueError, match=r"t cannot be read as a Delta table: .*fromTheFuture"):
        delta_table(tmp_path / "t")


def test_a_deletion_vector_that_cannot_be_read_is_an_error(tmp_path):
    write_as_spark(tmp_path / "t")
    log = next((tmp_path / "t" / "_delta_log").iterdir())
    log.write_text(log.read_text().replace('"storageType": "i"', '"storageType": "u"'))
    with pytest.raises(ValueError, match="t cannot be read as a Delta table"):
        delta_table(tmp_path / "t")


def test_a_file_that_is_gone_is_an_error(tmp_path):
    write(tmp_path / "t", {"a": [1]})
    next((tmp_path / "t").glob("*.parquet")).unlink()
    with pytest.raises(ValueError, match=r"t cannot be read as a Delta table.*VACUUM"):
        delta_table(tmp_path / "t")


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"version": 3}, ValueError, "t has no version 3: the newest is 0"),
        ({"version": -1}, ValueError, "version must be a whole number from 0 on, got -1"),
        ({"version": True}, ValueError, "got True"),
        (
            {"asked": ["a", "q"]},
            ValueError,
            r"\(version 0\) has no column 'q'. Its columns are 'a'",
        ),
        ({"path": "s3://b/t"}, ValueError, r"s3://b/t is a URL. Pass storage_options=\{...\}"),
        ({"path": "nowhere"}, FileNotFoundError, "nowhere is no folder"),
        ({"path": ""}, FileNotFoundError, "an empty path"),
        ({"path": 3}, TypeError, "expected a path"),
    ],
)
def test_what_cannot_be_read_is_explained(tmp_path, keywords, error, message):
    write(tmp_path / "t", {"a": [1]})
    with pytest.raises(error, match=message):
        delta_table(**{"path": tmp_path / "t", **keywords})


def test_a_folder_of_parquet_files_is_no_delta_table(tmp_path):
    with pytest.raises(ValueError, match=r"no folder _delta_log. .* sn.scan_parquet"):
        delta_table(tmp_path)


def test_without_deltalake_the_install_line_is_given(tmp_path, monkeypatch):
    write(tmp_path / "t", {"a": [1]})
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(ImportError, match=r'pip install "sklearnish\[delta\]"'):
        scan_delta(tmp_path / "t")


@pytest.mark.parametrize("name", ["a b", "a#b?c", "ü", "100%"])
def test_any_folder_will_do(tmp_path, name):
    write(tmp_path / "t", {"a": [1], "k": ["x/y %20"]}, partition_by=["k"])
    (tmp_path / "t").rename(tmp_path / name)
    source = delta_table(tmp_path / name)
    assert rows_of(source) == [{"a": 1, "k": "x/y %20"}]
    (file,) = (tmp_path / name).rglob("*.parquet")
    assert Path(source.path).stat().st_mode == file.stat().st_mode


def test_a_folder_that_deltalake_takes_for_another_is_refused(tmp_path):
    for name, value in (("a b", 1), ("a%20b", 2)):
        write(tmp_path / "t", {"a": [value]})
        (tmp_path / "t").rename(tmp_path / name)
    with pytest.raises(ValueError, match=r"a%20b cannot be read: deltalake would look for .*a b"):
        delta_table(tmp_path / "a%20b")


def test_a_url_gives_its_secrets_to_no_name_and_no_copy(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "t", {"a": [1]})
    source = delta_table(f"file://{tmp_path}/t?sig=hunter2", storage_options={})
    assert rows_of(source) == [{"a": 1}]
    assert source.name == f"file://{tmp_path}/t (version 0)"
    for path in (tmp_path / "cache").iterdir():
        assert path.name.startswith("t-")
        assert b"hunter2" not in path.read_bytes()
