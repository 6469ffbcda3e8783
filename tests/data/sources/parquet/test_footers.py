import base64

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet import encryption

from sklearnish import scan_parquet
from sklearnish.data._sources.parquet.source import ParquetSource


class Keys(encryption.KmsClient):
    def wrap_key(self, key_bytes, master_key_identifier):
        return base64.b64encode(key_bytes)


@pytest.mark.parametrize("plain_footer", [True, False])
def test_encrypted_files_are_refused(tmp_path, plain_footer):
    table = pa.table({"x": [1.0, 2.0], "y": ["a", "b"]})
    factory = encryption.CryptoFactory(lambda config: Keys())
    config = encryption.EncryptionConfiguration(
        footer_key="f", column_keys={"k": ["x"]}, plaintext_footer=plain_footer
    )
    options = factory.file_encryption_properties(encryption.KmsConnectionConfig(), config)
    path = tmp_path / "a.parquet"
    with pq.ParquetWriter(path, table.schema, encryption_properties=options) as writer:
        writer.write_table(table)
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read: .* encrypted. Decrypt it"):
        ParquetSource(path)


def write(folder, **columns):
    for i, values in enumerate(zip(*columns.values(), strict=True)):
        pq.write_table(pa.table(dict(zip(columns, values, strict=True))), folder / f"{i}.parquet")


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (pa.array([1, 2]), pa.array([0.5, None]), "float64"),
        (pa.array([0.5, None]), pa.array([1, 2]), "float64"),
        (pa.array([1, 2], pa.int8()), pa.array([3, 4], pa.int64()), "int64"),
        (pa.array([1, 2], pa.uint8()), pa.array([3, 4], pa.int8()), "int16"),
        (pa.array([1, 2], pa.float32()), pa.array([3.5, 4], pa.float64()), "float64"),
        (pa.array([1, 2], pa.decimal128(3, 1)), pa.array([3, 4], pa.float64()), "float64"),
    ],
)
def test_numbers_of_several_files_are_promoted(tmp_path, one, other, common):
    write(tmp_path, x=[one, other])
    source = ParquetSource(tmp_path)
    assert source.schema["x"].dtype == common
    wanted = [*one.cast(pa.float64()).to_pylist(), *other.cast(pa.float64()).to_pylist()]
    assert source.read(np.arange(4), ["x"])["x"].to_pylist() == wanted


def test_columns_that_are_not_asked_for_may_differ(tmp_path):
    write(tmp_path, a=[[1.0], [2]], note=[["x"], [1]], y=[[0], [1]])
    with pytest.raises(ValueError, match=r"'note' is int64 in .*1\.parquet .* columns=\[\.\.\.\]"):
        scan_parquet(tmp_path, target="y")
    ds = scan_parquet(tmp_path, target="y", columns=["a"])
    assert np.asarray(ds).tolist() == [[1], [2]]
    assert ds.target.tolist() == [0, 1]
    with pytest.raises(ValueError, match="'note' is int64 in"):
        ds.select(["note"])
    with pytest.raises(ValueError, match="'note' is int64 in"):
        scan_parquet(tmp_path, target="note", columns=["a"])


def test_columns_that_are_not_asked_for_may_be_missing(tmp_path):
    pd.DataFrame({"a": [1.0], "b": [1.0]}).to_parquet(tmp_path / "0.parquet")
    pd.DataFrame({"a": [2.0], "c": [1.0]}).to_parquet(tmp_path / "1.parquet")
    ds = scan_parquet(tmp_path, columns=["a"])
    assert np.asarray(ds).tolist() == [[1], [2]]
    for name in "bc":
        with pytest.raises(ValueError, match=f"column '{name}', which"):
            scan_parquet(tmp_path, columns=["a", name])


@pytest.mark.parametrize("dtype", [pa.list_(pa.float32(), 2**17), pa.binary(2**17)])
def test_values_beyond_belief_are_refused(tmp_path, dtype, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_MAX_ROWS_PER_BYTE", "100")
    size = 2**17
    flat = pa.array(np.zeros(20 * size, np.float32))
    column = (
        pa.FixedSizeListArray.from_arrays(flat, size)
        if pa.types.is_fixed_size_list(dtype)
        else pa.array([bytes(size)] * 20, dtype)
    )
    pq.write_table(pa.table({"x": column}), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(ValueError, match=r"values of column 'x' in .*MAX_ROWS_PER_BYTE"):
        ParquetSource(tmp_path / "a.parquet")


def test_a_csv_file_is_told_of_its_reader(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"a\.csv cannot be read as Parquet.*; sn\.scan_csv reads"):
        scan_parquet(path)
