import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sklearnish import TorchClassifier, as_dataset, scan_parquet
from sklearnish.data._arrow.table_file import rechunk
from sklearnish.data._reading.finite import check_finite

E = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


def column_of(kind, values=E):
    flat = pa.array(values.ravel())
    if kind == "fixed":
        return pa.FixedSizeListArray.from_arrays(flat, 4)
    if kind == "nested":
        pairs = pa.FixedSizeListArray.from_arrays(flat, 2)
        return pa.FixedSizeListArray.from_arrays(pairs, 2)
    offsets = np.arange(0, len(flat) + 1, 4)
    if kind == "large":
        return pa.LargeListArray.from_arrays(offsets, flat)
    if kind == "list of fixed":
        pairs = pa.FixedSizeListArray.from_arrays(flat, 2)
        return pa.ListArray.from_arrays((offsets // 2).astype(np.int32), pairs)
    return pa.ListArray.from_arrays(offsets.astype(np.int32), flat)


KINDS = ["fixed", "nested", "list", "large", "list of fixed"]


def table_of(kind):
    return pa.table(
        {"a": np.arange(60.0), "e": column_of(kind), "y": np.arange(60) % 2, "b": -np.arange(60.0)}
    )


WANTED = np.column_stack([np.arange(60), E, -np.arange(60)]).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_one_length_are_features(tmp_path, kind):
    path = tmp_path / "a.parquet"
    pq.write_table(table_of(kind), path, row_group_size=17)
    ds = scan_parquet(path, target="y")
    assert (ds.columns, ds.shape, ds.row_nbytes) == (("a", "e", "b"), (60, 6), 24)
    np.testing.assert_array_equal(np.asarray(ds), WANTED)
    order = np.random.default_rng(1).permutation(60)
    for view in (ds[order], pickle.loads(pickle.dumps(ds))[order]):
        np.testing.assert_array_equal(np.asarray(view), WANTED[order])
    np.testing.assert_array_equal(np.asarray(ds.select(["e"])), E)
    np.testing.assert_array_equal(np.asarray(ds[:, ["b", "e"]]), WANTED[:, [5, 1, 2, 3, 4]])
    np.testing.assert_array_equal(np.stack(scan_parquet(path, target="e").target).reshape(60, 4), E)
    batches = list(ds.batches(16, num_workers=0))
    np.testing.assert_array_equal(torch.cat([X for X, _ in batches]), WANTED)
    assert len(ds.head()["e"].iloc[0]) == (2 if kind in ("nested", "list of fixed") else 4)


@pytest.mark.parametrize("kind", ["fixed", "list"])
def test_copies_into_the_cache(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    pq.write_table(table_of(kind), tmp_path / "a.parquet", row_group_size=17)
    ds = scan_parquet(tmp_path / "a.parquet", target="y")
    copy = rechunk(ds.source, ["a", "e"], 16)
    assert copy.schema["e"].shape == (4,)
    assert copy.read(np.array([5, 50]), ["e"])["e"].to_pylist() == E[[5, 50]].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_frames_of_lists(kind):
    for ds in (as_dataset(table_of(kind)), as_dataset(table_of(kind).slice(7))):
        np.testing.assert_array_equal(np.asarray(ds.select(["a", "e", "b"])), WANTED[-len(ds) :])


@pytest.mark.parametrize(
    "make",
    [
        lambda: pd.DataFrame({"a": np.arange(60.0), "e": list(E)}),
        lambda: pd.DataFrame({"a": np.arange(60.0), "e": E.tolist()}),
        lambda: pl.DataFrame({"a": np.arange(60.0), "e": E.tolist()}),
        lambda: pl.DataFrame({"a": np.arange(60.0), "e": E}),
        lambda: pl.DataFrame({"a": np.arange(60.0), "e": E}).to_pandas(),
    ],
)
def test_frames_of_arrays(make):
    frame = make()
    ds = as_dataset(frame)
    assert ds.shape == (60, 5)
    np.testing.assert_array_equal(np.asarray(ds), WANTED[:, :5])
    np.testing.assert_array_equal(np.asarray(ds[[9, 3]]), WANTED[[9, 3], :5])
    model = TorchClassifier(max_epochs=1, random_state=0).fit(frame, np.arange(60) % 2)
    assert model.n_features_in_ == 2  # as many as there are names
    assert model.feature_names_in_.tolist() == ["a", "e"]
    assert model.predict(frame).tolist() == model.predict(as_dataset(frame)).tolist()


def test_another_width_in_predict(tmp_path):
    frame = pd.DataFrame({"e": list(E)})
    model = TorchClassifier(max_epochs=1, random_state=0).fit(frame, np.arange(60) % 2)
    with pytest.raises(ValueError, match="3 values, but fit saw 4 values a row"):
        model.predict(pd.DataFrame({"e": list(E[:, :3])}))


def test_a_missing_list_is_a_row_of_nan(tmp_path):
    values = [[1.0, 2.0], None, [3.0, None]]
    fixed = pa.array(values, pa.list_(pa.float64(), 2))
    pq.write_table(pa.table({"e": fixed}), tmp_path / "a.parquet")
    for ds in (
        scan_parquet(tmp_path / "a.parquet"),
        as_dataset(pa.table({"e": fixed})),
        as_dataset(pa.table({"e": fixed.cast(pa.list_(pa.float64()))})),
    ):
        wanted = [[1, 2], [np.nan, np.nan], [3, np.nan]]
        np.testing.assert_array_equal(np.asarray(ds), wanted)
        with pytest.raises(ValueError, match=r"NaN: .*row 1 of"):
            check_finite(ds.read([0, 1]).X, ds, np.array([0, 1]))


UNEVEN = [[1.0, 2.0]] * 8 + [[3.0]] + [[1.0, 2.0]]


def test_lists_of_several_lengths_are_named(tmp_path):
    frame = pd.DataFrame({"e": UNEVEN})
    frame.to_parquet(tmp_path / "a.parquet")
    for ds, where in (
        (scan_parquet(tmp_path / "a.parquet"), r"a\.parquet"),
        (as_dataset(frame), "DataFrame"),
    ):
        message = rf"'e' has lists of 2 values in row 0 of .*{where} and of 1 in row 8 of"
        with pytest.raises(ValueError, match=message) as told:
            np.asarray(ds)
        assert "ColumnTransformer" not in str(told.value)
        assert ds.head()["e"].iloc[0].tolist() == [1, 2]


def test_lists_whose_mean_length_is_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    pd.DataFrame({"e": [*UNEVEN, [1.0, 2, 3]]}).to_parquet(tmp_path / "a.parquet")
    ds = scan_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"'e' has a list of 1 values in row 8 of .*a\.parquet"):
        np.asarray(ds)
    with pytest.raises(ValueError, match=r"'e' has a list of 1 values in row 8 of .*a\.parquet"):
        rechunk(ds.source, ["e"])
    assert ds.to_pandas()["e"].str.len().tolist() == [2] * 8 + [1, 2, 3]


def test_lists_of_one_number_and_of_text(tmp_path):
    table = pa.table({"one": [[1.0]] * 3, "texts": [["a", "b"]] * 3})
    pq.write_table(table, tmp_path / "a.parquet")
    ds = scan_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="Write the lists of 'one' with their length"):
        np.asarray(ds.select(["one"]))
    with pytest.raises(ValueError, match="'texts'"):
        np.asarray(ds.select(["texts"]))


@pytest.mark.parametrize("kind", KINDS)
def test_carried_lists_keep_their_types(tmp_path, kind):
    path = tmp_path / "a.parquet"
    pq.write_table(table_of(kind), path)
    ds = scan_parquet(path, target="y", columns=["a"])
    model = TorchClassifier(max_epochs=1, random_state=0).fit(ds)
    for rows in (slice(7, 50), slice(50, 7, -1)):
        model.predict_to(tmp_path / "out.parquet", ds[rows], columns=["e"])
        written = pq.read_table(tmp_path / "out.parquet")["e"]
        assert str(written.type) == str(pq.read_schema(path).field("e").type)
        assert np.stack([np.ravel(x) for x in written.to_pylist()]).tolist() == E[rows].tolist()


@pytest.mark.parametrize("group", [2, 3, 7, 100])
@pytest.mark.parametrize("kind", ["list", "large", "list of fixed"])
def test_lists_of_one_length_some_of_which_are_missing(tmp_path, kind, group):
    column = column_of(kind)
    gaps = np.arange(60) % 5 < 2
    gaps[:6] = True
    column = pa.array(
        [None if gap else row for gap, row in zip(gaps, column.to_pylist(), strict=True)],
        column.type,
    )
    pq.write_table(pa.table({"e": column}), tmp_path / "a.parquet", row_group_size=group)
    ds = scan_parquet(tmp_path / "a.parquet")
    assert ds.shape == (60, 4)
    np.testing.assert_array_equal(np.asarray(ds), np.where(gaps[:, None], np.nan, E))


@pytest.mark.parametrize("group", [2, 3, 100])
def test_lists_of_one_length_in_which_numbers_are_missing(tmp_path, group):
    values = np.where(np.arange(240).reshape(60, 4) % 7 == 0, np.nan, E)
    column = pa.array([[None if x != x else x for x in row] for row in values.tolist()])
    pq.write_table(pa.table({"e": column}), tmp_path / "a.parquet", row_group_size=group)
    np.testing.assert_array_equal(
        np.asarray(scan_parquet(tmp_path / "a.parquet"), np.float64), values
    )
