"""Windows over a series hold the rows they should, from wherever these are read."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, TimeSeriesSplit

import sklearnish as sn

N = 200


def _frame(n=N):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 2)).astype(np.float32), columns=["a", "b"])
    return frame.assign(t=np.arange(n), store=np.repeat(["x", "y", "z", "x2"], n // 4))


def _same(frame):
    return frame


@pytest.fixture(scope="module", params=["frame", "array", "parquet", "csv", "npy", "mapped"])
def series(request, tmp_path_factory):
    """The same series, stored in several ways; the target of a row is its number."""
    folder, frame = tmp_path_factory.mktemp("series"), _frame()
    roles = {"target": "t", "columns": ["a", "b"]}
    X = frame[["a", "b"]].to_numpy()
    if request.param == "frame":
        return sn.as_dataset(frame[["a", "b"]], y=frame.t)
    if request.param == "array":
        return sn.as_dataset(X, y=frame.t)
    if request.param == "csv":
        frame.to_csv(folder / "t.csv", index=False)
        return sn.scan_csv(folder / "t.csv", **roles)
    if request.param == "npy":
        np.save(folder / "X.npy", X)
        return sn.scan_npy(folder / "X.npy", target=np.arange(N))
    frame.to_parquet(folder / "t.parquet", row_group_size=17)
    ds = sn.scan_parquet(folder / "t.parquet", **roles)
    return ds.map_frames(_same) if request.param == "mapped" else ds


def _expected(length, starts):
    X = _frame()[["a", "b"]].to_numpy()
    return np.stack([X[s : s + length] for s in starts])


@pytest.mark.parametrize(("length", "horizon", "stride"), [(5, 1, 1), (24, 7, 3), (1, 0, 2)])
def test_windows_and_their_targets(series, length, horizon, stride):
    ds = series.windows(length, horizon, stride)
    starts = np.arange(0, N - length - horizon + 1, stride)
    assert ds.shape == (len(starts), length, 2)
    np.testing.assert_allclose(np.asarray(ds), _expected(length, starts), rtol=1e-6)
    assert ds.target.tolist() == (starts + length - 1 + horizon).tolist()


def test_windows_in_any_order_and_several_times(series):
    rows = np.random.default_rng(0).integers(0, 150, 300)
    ds = series.windows(30)[rows]
    np.testing.assert_allclose(np.asarray(ds), _expected(30, rows), rtol=1e-6)
    assert ds.target.tolist() == (rows + 30).tolist()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_are_the_same_whoever_reads(series, num_workers):
    ds = series.windows(10, horizon=2)
    stream = list(ds.batches(64, shuffle=True, num_workers=num_workers, random_state=1))
    y = torch.cat([y for _, y in stream]).numpy()
    assert sorted(y) == list(range(11, N))
    X = torch.cat([X for X, _ in stream]).numpy()
    np.testing.assert_allclose(X, _expected(10, y - 11), rtol=1e-6)


def test_a_part_of_the_series(series):
    ds = series[50:90].windows(8)
    assert len(ds) == 32
    np.testing.assert_allclose(np.asarray(ds), _expected(8, range(50, 82)), rtol=1e-6)
    assert ds.target.tolist() == list(range(58, 90))


def test_several_steps_are_several_targets():
    ds = sn.as_dataset(np.arange(10.0)[:, None], y=np.arange(10.0)).windows(3, range(1, 4))
    assert ds.target.tolist() == [[s + 3, s + 4, s + 5] for s in range(5)]
    last = ds.without_target()
    assert last.target is None
    assert len(sn.as_dataset(np.arange(10.0)[:, None]).windows(3)) == 8


def test_a_row_of_numbers_becomes_a_table_of_lags():
    ds = sn.as_dataset(np.arange(6.0), y=np.arange(6.0)).windows(3)
    assert ds.shape == (3, 3)
    assert np.asarray(ds).tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_targets_of_text_and_weights():
    X, y = np.zeros((6, 1)), np.array(list("ababab"))
    ds = sn.as_dataset(X, y=y, sample_weight=np.arange(6.0)).windows(2, [1, 2])
    assert ds.target.tolist() == [["a", "b"], ["b", "a"], ["a", "b"]]
    assert ds.weight.tolist() == [2.5, 3.5, 4.5]
    assert sn.as_dataset(X, y=y).windows(2).classes.tolist() == ["a", "b"]


def test_no_window_spans_two_series(tmp_path):
    frame = _frame()
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=30)
    ds = sn.scan_parquet(tmp_path / "t.parquet", target="t").windows(20, groups="store")
    assert len(ds) == 4 * 30
    stores = ds.column("store")
    assert (stores == np.repeat(["x", "y", "z", "x2"], 30)).all()
    assert (frame.store.to_numpy()[ds.target] == stores).all()
    assert ds.column("t").tolist() == (ds.target - 1).tolist()
    for train, test in GroupKFold(2).split(ds, groups=stores):
        assert not {*ds[train].column("store")} & {*ds[test].column("store")}
    mixed = pd.concat([frame, frame[:5]])
    with pytest.raises(ValueError, match="series 'x' in column 'store' are not next to each"):
        sn.as_dataset(mixed[["a", "store"]]).windows(2, groups="store")


@pytest.mark.parametrize(
    "groups",
    [
        ["a", "a", None, None, "b", "b"],
        [1.0, 1.0, np.nan, np.nan, 2.0, 2.0],
        pd.array([1, 1, None, None, 2, 2], "Int64"),
        pd.array([True, True, None, None, False, False], "boolean"),
        pd.to_datetime(["2024-01-01"] * 2 + [None] * 2 + ["2024-01-02"] * 2),
    ],
)
def test_a_row_of_no_series_is_named(groups, tmp_path):
    frame = pd.DataFrame({"a": np.arange(6.0), "store": groups})
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=2)
    for ds in (sn.as_dataset(frame), sn.scan_parquet(tmp_path / "t.parquet")):
        ds = ds.select(["a"])
        for view, row in ((ds, 2), (ds[3:], 3)):
            with pytest.raises(ValueError, match=f"column 'store' is missing in row {row} of"):
                view.windows(2, groups="store")
        assert len(ds[:2].windows(2, groups="store")) == len(ds[4:].windows(2, groups="store")) == 1


_SMALL = st.integers(1, 6)


@given(st.integers(30, 60), _SMALL, st.integers(0, 5), _SMALL)
@settings(max_examples=60, deadline=None)
def test_with_its_gap_a_fold_shares_no_row_with_its_test_fold(n, length, horizon, stride):
    X = np.arange(float(n))
    ds = sn.as_dataset(X[:, None], y=X).windows(length, horizon, stride)
    rows = [{*range(s, s + length), s + length - 1 + horizon} for s in range(0, n, stride)]
    if len(ds) < 2 * ds.gap + 4:
        return
    for train, test in TimeSeriesSplit(2, test_size=1, gap=ds.gap).split(ds):
        used = set().union(*(rows[i] for i in train))
        assert not used & set().union(*(rows[i] for i in test))
        assert used == {*ds[train].read(range(len(train))).X.flatten().tolist(), *ds[train].target}
    if ds.gap:
        span = length + horizon
        assert (ds.gap * stride) < span <= (ds.gap + 1) * stride


def test_a_file_is_read_once_in_an_epoch_in_its_order(tmp_path):
    _frame(2000).to_parquet(tmp_path / "t.parquet", row_group_size=100)
    ds = sn.scan_parquet(tmp_path / "t.parquet", target="t", columns=["a"]).windows(10)
    stored = ds.source.inner[0]
    before = stored.blocks_read
    for _ in ds.batches(256, num_workers=0):
        pass
    assert 20 <= stored.blocks_read - before <= 22
    assert len(ds.source.blocks) == 21


def test_row_groups_too_large_for_a_shuffle_are_copied(tmp_path):
    _frame(4000).to_parquet(tmp_path / "t.parquet")
    ds = sn.scan_parquet(tmp_path / "t.parquet", target="t", columns=["a", "b"]).windows(100)
    stream = list(ds.batches(64, shuffle=True, shuffle_memory="1MB", num_workers=0))
    y = torch.cat([y for _, y in stream])
    assert sorted(y.tolist()) == list(range(100, 4000))
    first = _frame(4000)["a"].to_numpy()[(y - 100).numpy()]
    np.testing.assert_allclose(torch.cat([X for X, _ in stream])[:, 0, 0], first)


def test_functions_of_windows(series):
    ds = series.windows(6).map_batches(lambda X: X.mean(1)).map(lambda x: x * 2)
    np.testing.assert_allclose(
        np.asarray(ds), 2 * _expected(6, range(N - 6)).mean(1), rtol=1e-4, atol=1e-6
    )


def test_windows_travel_and_are_cached(series, tmp_path):
    ds = series.windows(6, stride=2)
    there = pickle.loads(pickle.dumps(ds.source))
    for name in ("n_rows", "length", "gap", "schema", "name"):
        assert getattr(there, name) == getattr(ds.source, name)
    written = ds.cache(tmp_path / "cache")
    np.testing.assert_array_equal(np.asarray(written), np.asarray(ds).astype(np.float32))
    assert len(ds.cache(tmp_path / "cache")) == len(ds)
    with pytest.raises(FileExistsError, match="other rows"):
        series.windows(6).cache(tmp_path / "cache")


def test_numbers_far_from_zero_are_not_rounded_twice():
    X = 1e9 + np.arange(20.0)
    ds = sn.as_dataset(X[:, None]).windows(3)
    assert np.asarray(ds)[:, 0, 0].tolist() == X[:18].tolist()
    assert ds.with_dtype(torch.float64)[4][1, 0] == X[5]


def test_what_is_no_series():
    X = np.arange(20.0).reshape(10, 2)
    ds = sn.as_dataset(X, y=X[:, 0])
    for view in (ds[::2], ds[::-1], ds[[0, 2, 1]], ds[[1, 1, 2]]):
        with pytest.raises(ValueError, match=r"Make windows of all rows first"):
            view.windows(2)
    for view in (ds.windows(2), ds.map(lambda x: x)):
        with pytest.raises(ValueError, match="windows comes once, and before map"):
            view.windows(2)
    with pytest.raises(ValueError, match="it takes 11 rows, and ndarray"):
        ds.windows(10)
    with pytest.raises(ValueError, match=r"length must be an integer of at least 1, got 2\.5"):
        ds.windows(2.5)
    with pytest.raises(ValueError, match="stride must be an integer of at least 1, got 0"):
        ds.windows(2, stride=0)
    for horizon in (-1, [], [1, None]):
        with pytest.raises(ValueError, match="horizon must be an integer of at least 0"):
            ds.windows(2, horizon)
    with pytest.raises(ValueError, match="Features must be numbers"):
        sn.as_dataset(_frame()).windows(2)
    with pytest.raises(ValueError, match="no arrays of numbers"):
        sn.as_dataset({"a": X}).windows(2)
    assert ds.gap == 0


def test_an_error_names_the_row_of_the_series(tmp_path):
    frame = _frame()
    frame.loc[70, "b"] = np.nan
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=30)
    ds = sn.scan_parquet(tmp_path / "t.parquet", target="t", columns=["a", "b"]).windows(12)
    reg = sn.TorchRegressor(max_epochs=1, random_state=0)
    with pytest.raises(ValueError, match=r"NaN: column 'b', row 70 of .*t\.parquet\. Fill gaps of"):
        reg.fit(ds)
    with pytest.warns(UserWarning, match="12 rows are left out.* window of 12 rows from row 59"):
        reg.set_params(on_bad_rows="skip").fit(ds)
