"""Rows written to Parquet are the rows: values, types, roles and order."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sklearnish as sn
from tests.training.full_disk import files_of_at_most


def _floats(width):
    return st.floats(width=width, allow_nan=True)


_UTC = st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2200, 1, 1))
_TYPES = {
    pa.int8(): st.integers(-128, 127),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.bool_(): st.booleans(),
    pa.float16(): _floats(16).map(np.float16),
    pa.float32(): _floats(32),
    pa.float64(): _floats(64),
    pa.string(): st.text(st.characters(codec="utf-8"), max_size=5),
    pa.large_string(): st.text("ab", max_size=3),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from("xyz"),
    pa.timestamp("us", "Europe/Berlin"): _UTC,
    pa.timestamp("ns"): _UTC,
    pa.date32(): st.dates(),
    pa.time64("us"): st.times(),
    pa.duration("ms"): st.integers(0, 10**9).map(lambda ms: dt.timedelta(milliseconds=ms)),
    pa.decimal128(12, 2): st.decimals(0, 10**9, places=2),
    pa.list_(pa.float32(), 2): st.lists(_floats(32), min_size=2, max_size=2),
    pa.binary(): st.binary(max_size=3),
}


@st.composite
def _tables(draw):
    n = draw(st.integers(1, 12))
    columns = {}
    for i, dtype in enumerate(draw(st.lists(st.sampled_from(list(_TYPES)), min_size=1))):
        one = st.one_of(st.none(), _TYPES[dtype])
        values = draw(st.lists(one, min_size=n, max_size=n))
        columns[f"c{i}"] = _array(values, dtype)
    return pa.table(columns | {"label": pa.array(range(n), pa.int16())})


def _array(values, dtype):
    if pa.types.is_dictionary(dtype):
        return pa.array(values, dtype.value_type).dictionary_encode().cast(dtype)
    return pa.array(values, dtype, from_pandas=False)


def _bits(column):
    """Values told apart by NaN and null, as text."""
    return [repr(value) for value in column.to_pylist()]


@given(_tables(), st.booleans(), st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_rows_of_any_types_are_written_as_they_are_stored(tmp_path, table, shuffle, data):
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=3)
    stored = pq.read_table(tmp_path / "in.parquet")
    ds = sn.scan_parquet(tmp_path / "in.parquet", target="label")
    rows = data.draw(st.lists(st.integers(0, len(ds) - 1), min_size=1, max_size=20))
    written = ds[rows].to_parquet(tmp_path / "out.parquet", shuffle=shuffle, rows_per_group=4)
    there = pq.read_table(tmp_path / "out.parquet")
    if shuffle:
        rows = np.array(rows)[np.random.default_rng(0).permutation(len(rows))]
    wanted = stored.take(pa.array(rows, pa.int64()))
    assert there.schema.types == wanted.schema.types
    for name in table.column_names:
        assert _bits(there[name]) == _bits(wanted[name])
    assert written.columns == ds.columns
    assert written.kinds == ds.kinds
    assert written.target.tolist() == list(rows)
    assert np.diff(written.source.blocks).max() <= 4


def test_frames_keep_nan_apart_from_missing_and_categories_with_their_order(tmp_path):
    table = pa.table({"a": pa.array([1.0, math.nan, None]), "b": [math.nan, 1.0, 2.0]})
    sn.as_dataset(table).to_parquet(tmp_path / "t.parquet")
    there = pq.read_table(tmp_path / "t.parquet")
    assert _bits(there["a"]) == ["1.0", "nan", "None"]
    assert _bits(there["b"]) == ["nan", "1.0", "2.0"]
    sizes = pd.Categorical(["l", None, "s"], ["s", "m", "l"], ordered=True)
    frame = pd.DataFrame({"size": sizes, "n": pd.array([1, None, 3], "Int32")})
    sn.as_dataset(frame).to_parquet(tmp_path / "t.parquet")
    there = pd.read_parquet(tmp_path / "t.parquet", dtype_backend="numpy_nullable")
    assert there["size"].tolist()[::2] == ["l", "s"]
    assert there["size"].cat.ordered
    assert there["size"].cat.categories.tolist() == ["s", "m", "l"]
    assert there["n"].dtype == "Int32"


def test_a_matrix_with_labels_and_weights_in_memory(tmp_path):
    X = np.arange(12, dtype=np.float32).reshape(6, 2)
    ds = sn.as_dataset(X, y=["a", "b"] * 3, sample_weight=np.arange(6.0))
    written = ds[[5, 0, 3]].to_parquet(tmp_path / "t.parquet")
    assert pq.read_schema(tmp_path / "t.parquet").names == ["x0", "x1", "target", "weight"]
    np.testing.assert_array_equal(np.asarray(written), X[[5, 0, 3]])
    assert written.target.tolist() == ["b", "a", "b"]
    assert written.weight.tolist() == [5, 0, 3]
    wide = sn.as_dataset(X, y=X).to_parquet(tmp_path / "t.parquet")
    assert wide.target.shape == (6, 2)


@pytest.mark.parametrize("shuffle", [False, True])
def test_labels_beside_files_of_numbers(tmp_path, shuffle):
    np.save(tmp_path / "X.npy", np.arange(20.0).reshape(10, 2))
    np.save(tmp_path / "y.npy", np.arange(10))
    ds = sn.scan_npy(tmp_path / "X.npy", target=tmp_path / "y.npy")[::-1]
    written = ds.to_parquet(tmp_path / "t.parquet", shuffle=shuffle)
    np.testing.assert_array_equal(np.asarray(written)[:, 0], written.target * 2)
    assert (written.target.tolist() == list(range(9, -1, -1))) is not shuffle
    assert sorted(written.target) == list(range(10))


def test_what_functions_of_frames_make(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,y\n" + "1,x,0\n,y,1\n3,,0\n" * 5)
    ds = sn.scan_csv(tmp_path / "t.csv", target="y").map_frames(
        lambda df: df.assign(double=2 * df.a, b=df.b.str.upper())
    )
    written = ds[1:].to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(written.to_pandas(), ds[1:].to_pandas())
    plain = ds.map_frames(lambda df: df[["a", "double"]].to_numpy())
    assert plain.to_parquet(tmp_path / "u.parquet").columns == ("x0", "x1")
    assert sn.scan_parquet(tmp_path / "u.parquet", target="y").target.sum() == 5


def test_columns_of_whole_numbers_stay_whole_where_pandas_makes_floats(tmp_path):
    n = pa.array([None if i == 90_000 else i for i in range(100_000)])
    ds = sn.as_dataset(pa.table({"n": n})).map_frames(lambda df: df)
    ds.to_parquet(tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet")["n"].equals(pa.chunked_array([n]))
    broken = ds.map_frames(lambda df: df.assign(n=df.n.where(df.n < 90_000, 0.5)))
    with pytest.raises(ValueError, match=r"'n' is int64 in the first rows, and double"):
        broken.to_parquet(tmp_path / "u.parquet")
    assert not (tmp_path / "u.parquet").exists()


def test_a_model_learns_the_same_from_the_written_rows(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc"))
    ds = sn.as_dataset(frame, y=(frame.a > 0).map({True: "yes", False: "no"}))
    clf = sn.TorchClassifier(max_epochs=2, random_state=0, num_threads=1, sampler="sequential")
    one = clf.fit(ds).predict_proba(ds)
    other = clf.fit(ds.to_parquet(tmp_path / "t.parquet")).predict_proba(ds)
    np.testing.assert_array_equal(one, other)


def test_row_groups_are_small_enough_to_be_mixed(tmp_path):
    X = np.random.default_rng(0).normal(size=(40_000, 64)).astype(np.float32)
    written = sn.as_dataset(X).to_parquet(tmp_path / "t.parquet")
    assert np.diff(written.source.blocks).max() * 64 * 4 <= 2**22
    assert len(written.source.blocks) == 4


def test_a_file_that_is_read_is_not_written_over(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    ds = sn.as_dataset(frame).to_parquet(path)
    for view in (ds, ds[[1]], ds.map_frames(lambda df: df)):
        with pytest.raises(ValueError, match="files that the rows are read from"):
            view.to_parquet(path)
    assert len(ds.to_parquet(tmp_path / "u.parquet")) == 2
    assert len(sn.as_dataset(frame[:1]).to_parquet(path)) == 1


def test_what_cannot_be_written(tmp_path):
    X = np.ones((4, 3))
    with pytest.raises(ValueError, match=r"ds\.cache\(path\), or use map_frames"):
        sn.as_dataset(X).map(lambda x: x).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"not a table. Write them with ds\.cache"):
        sn.as_dataset(np.ones((4, 3, 2))).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="not a table"):
        sn.as_dataset({"a": torch.ones(4, 2)}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="no rows"):
        sn.as_dataset(X)[:0].to_parquet(tmp_path / "t.parquet")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        sn.as_dataset(X).to_parquet(tmp_path)
    named = pd.DataFrame({"target": [1.0, 2.0]})
    with pytest.raises(ValueError, match="'target', the name that labels"):
        sn.as_dataset(named, y=[0, 1]).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="rows_per_group must be"):
        sn.as_dataset(X).to_parquet(tmp_path / "t.parquet", rows_per_group=0)
    with pytest.raises(ValueError, match="compression must be"):
        sn.as_dataset(X).to_parquet(tmp_path / "t.parquet", compression="best")
    objects = pd.DataFrame({"a": [{1}, "b"]})
    with pytest.raises(ValueError, match="'a' holds Python objects"):
        sn.as_dataset(objects).to_parquet(tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path):
    X = np.random.default_rng(0).normal(size=(10_000, 10))
    with (
        files_of_at_most(100_000),
        pytest.raises(OSError, match=r"t\.parquet could not be written"),
    ):
        sn.as_dataset(X).to_parquet(tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []
