import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from torch.utils.data import DataLoader

from sklearnish.data import _pandas, scan_npy, scan_parquet
from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._dataset import Dataset
from tests.data.every_kind import FRAME, KINDS, N, X, dataset, everything


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    return dataset("parquet", tmp_path_factory.mktemp("view") / "frame.parquet")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("view") / "frame.parquet"
    FRAME.to_parquet(path, row_group_size=5)
    return path


@pytest.fixture(scope="module", params=KINDS)
def ds(request, tmp_path_factory):
    return dataset(request.param, tmp_path_factory.mktemp("view") / "frame.parquet")


def test_columns_by_name(parquet):
    np.testing.assert_array_equal(parquet[:, "c"], X[:, 2])
    view = parquet[::2, ["d", "a"]]
    assert view.columns == ("d", "a")
    np.testing.assert_array_equal(np.asarray(view), X[::2][:, [3, 0]])
    assert parquet.select(parquet.columns) is parquet
    assert parquet.select(["w", "b"]).columns == ("w", "b")
    with pytest.raises(ValueError, match=r"has no column 'z'. Its columns are 'a'"):
        parquet.select(["a", "z"])
    with pytest.raises(TypeError, match=r"'ab' is one string; pass a list: select\(\['ab'\]\)"):
        parquet.select("ab")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_in_which_numbers_are_delivered(ds, dtype):
    view = ds.with_dtype(dtype)
    batch = everything(view)
    assert batch.X.dtype == batch.weight.dtype == dtype
    assert batch.y.dtype == torch.int64
    assert view.dtype == np.asarray(view).dtype == str(dtype).removeprefix("torch.")
    assert view.with_dtype(dtype) is view
    assert view.row_nbytes == 4 * dtype.itemsize


@pytest.mark.parametrize("dtype", ["float64", np.float64, torch.float16, torch.int64], ids=str)
def test_another_dtype_is_refused(ds, dtype):
    with pytest.raises(ValueError, match=r"must be torch\.float32 or torch\.float64, got .*map_b"):
        ds.with_dtype(dtype)
    assert everything(ds.map_batches(torch.Tensor.half)).X.dtype == torch.float16  # as it says


def test_a_clone_is_itself(ds):
    assert clone(ds) is ds
    with pytest.raises(AttributeError):
        ds._rows = range(3)


def test_arrays_above_the_cap_are_refused_with_the_way_out(ds, monkeypatch):
    monkeypatch.setattr(_pandas, "_ARRAY_CAP", 160)
    with pytest.raises(ValueError, match=r"too many for an array.*such as ds\[:10\]"):
        np.asarray(ds)
    np.testing.assert_array_equal(np.asarray(ds[:10]), X[:10])


def test_numpy_functions_see_arrays(ds):
    np.testing.assert_array_equal(np.hstack([ds, X]), np.hstack([X, X]))
    np.testing.assert_array_equal(np.concatenate((ds[:3], ds[5:]), axis=0), np.delete(X, [3, 4], 0))
    np.testing.assert_array_equal(np.sum(a=ds, axis=0), X.sum(axis=0))
    np.testing.assert_array_equal(np.asarray(ds, dtype=np.float64), X.astype(np.float64))


def double(x):
    return x * 2


def test_functions_apply_in_order_whenever_rows_are_read(ds):
    view = ds.map(double).map_batches(lambda B: B[:, :3] + 1)
    assert view.shape == (N, 3)
    assert not view.in_memory
    np.testing.assert_array_equal(view[[7, 2]].read([1, 0]).X, X[[2, 7], :3] * 2 + 1)
    np.testing.assert_array_equal(np.asarray(view), X[:, :3] * 2 + 1)
    assert ds.transforms == ()


def test_torch_loads_it_as_a_map_style_dataset(ds):
    rows = list(DataLoader(ds, batch_size=5))
    np.testing.assert_array_equal(torch.cat([x for x, _ in rows]), X)
    np.testing.assert_array_equal(torch.cat([y for _, y in rows]), FRAME["label"])
    assert len(list(ds.without_target())) == N


def test_batches_with_and_without_weights(ds):
    batches = list(ds.batches(10, epochs=2))
    assert [len(x) for x, _, _ in batches] == [10, 10, 4] * 2
    np.testing.assert_array_equal(torch.cat([x for x, _, _ in batches]), np.tile(X, (2, 1)))
    ((x, y),) = ds[:3].without_target().batches()
    assert len(x) == 3
    assert y is None


def test_batches_in_random_order(ds):
    first, again, other = (
        torch.cat([y for _, y, _ in ds.batches(5, shuffle=True, random_state=s, epochs=2)])
        for s in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[:N], first[N:])


@pytest.mark.parametrize(
    "wrong",
    [
        *({"device": "gpu"}, {"random_state": "a"}, {"random_state": -1}),
        *({"epochs": epochs} for epochs in ("a", 0, -1, 1.5, True, None)),
    ],
    ids=str,
)
def test_wrong_options_of_batches_are_named_when_asked_for(ds, wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}.* must be|^device='gpu' is not"):
        ds.batches(4, **wrong)


def test_no_rows():
    empty = as_dataset(X)[:0]
    assert empty.shape == (0, 4)
    assert everything(empty).X.shape == (0, 4)
    with pytest.raises(ValueError, match="0 rows; at least one"):
        next(empty.batches())
    assert empty.map(double).shape == (0, 4)
    assert "0 rows" in repr(empty.map(double))


def test_a_dict_of_tensors_cannot_become_an_array(ds):
    view = ds.map(lambda x: {"left": x[:2], "right": x[2:]})
    assert everything(view).X["right"].shape == (N, 2)
    assert view.shape == (N,)
    with pytest.raises(TypeError, match="dicts of tensors"):
        np.asarray(view)


FAR = pd.DataFrame({"time": 1_700_000_000 + np.arange(5), "id": 2**40 + np.arange(5)})
"""Whole numbers that float32 merges."""


def far(store, folder):
    """Keep them in one of the stores."""
    if store == "frame":
        return as_dataset(FAR)
    if store == "array":
        return as_dataset(FAR.to_numpy())
    if store == "npy":
        np.save(folder / "a.npy", FAR.to_numpy())
        return scan_npy(folder / "a.npy")
    FAR.to_parquet(folder / "a.parquet")
    return scan_parquet(folder / "a.parquet")


STORES = ["frame", "array", "parquet", "npy"]


@pytest.mark.parametrize("dtype", [None, np.float64, np.int64])
@pytest.mark.parametrize("store", STORES)
def test_an_array_holds_what_is_stored(store, dtype, tmp_path):
    ds = far(store, tmp_path)
    array = np.asarray(ds[::-1], dtype=dtype)
    assert array.dtype == (dtype or np.float64)
    np.testing.assert_array_equal(array, FAR.to_numpy()[::-1])
    np.testing.assert_array_equal(np.asarray(ds[[3]]), FAR.to_numpy()[[3]])  # nothing varies
    np.testing.assert_array_equal(ds[:, 1], FAR["id"])
    assert ds.dtype == ds.read([0]).X.numpy().dtype == np.float32


@pytest.mark.parametrize("store", STORES)
def test_rows_of_no_columns_are_counted(store, tmp_path):
    none = far(store, tmp_path).select([])
    assert none.dtypes == {}
    for view in (none, none.cache(tmp_path / "cached")):
        assert view.columns == ()
        assert np.asarray(view).shape == view.to_pandas().shape == view.shape == (5, 0)
        assert np.asarray(view[[3, 0]]).shape == view.head(2).shape == (2, 0)
        assert view[4].shape == (0,)
        for shuffle in (False, True):
            batches = view.batches(2, shuffle=shuffle)
            assert [X.shape for X, _ in batches] == [(2, 0), (3, 0)]


def test_an_array_has_the_type_that_was_chosen():
    exact = pd.DataFrame({"a": np.arange(3, dtype=np.int16), "b": np.ones(3, np.float32)})
    assert np.asarray(as_dataset(exact)).dtype == np.float32
    assert np.asarray(as_dataset(FAR).with_dtype(torch.float32)).dtype == np.float32
    assert np.asarray(as_dataset(FAR), dtype=np.float32).dtype == np.float32
    assert np.asarray(as_dataset(torch.arange(6).reshape(3, 2))).dtype == np.int64


@pytest.mark.parametrize("store", STORES)
def test_what_float32_loses_in_batches_is_said(store, tmp_path):
    ds = far(store, tmp_path)
    names = "'time', 'id'" if hasattr(ds, "columns") else "0, 1"
    told = rf"float32 loses much of column {names} of .*take ds\.with_dtype\(torch\.float64\)"
    with pytest.warns(UserWarning, match=told):
        ds.batches(2)
    X = torch.cat([X for X, _ in ds.with_dtype(torch.float64).batches(2)])
    np.testing.assert_array_equal(X, FAR.to_numpy())
    assert next(ds.with_dtype(torch.float32).batches(5))[0].dtype == torch.float32  # as asked for


def test_what_functions_of_rows_are_not_given_is_said(tmp_path):
    view = as_dataset(FAR).map_batches(torch.clone)
    for use in (np.asarray, lambda ds: ds.cache(tmp_path / "rounded")):
        with pytest.warns(UserWarning, match="column 'time', 'id' of .* hands it to functions"):
            use(view)
    wide = view.with_dtype(torch.float64)
    np.testing.assert_array_equal(np.asarray(wide), FAR)
    np.testing.assert_array_equal(np.asarray(wide.cache(tmp_path / "wide")), FAR)


def test_a_copy_has_columns_of_its_own(ds):
    copy = ds.copy()
    copy[:, 1] = 7
    np.testing.assert_array_equal(copy[3:, 1], np.full(N - 3, 7))
    np.testing.assert_array_equal(np.asarray(ds), X)
    assert isinstance(copy[2:].map(double), Dataset)


def test_its_size_is_what_is_sent_to_other_processes(tmp_path):
    rows = np.zeros((1_000, 8))
    np.save(tmp_path / "rows.npy", rows)
    in_file = sys.getsizeof(scan_npy(tmp_path / "rows.npy"))
    assert in_file < 4_000
    assert rows.nbytes < sys.getsizeof(as_dataset(rows)) < rows.nbytes + 4_000
    assert sys.getsizeof(scan_npy(tmp_path / "rows.npy")[np.arange(1_000) % 7]) < in_file + 8_000


def test_what_cannot_be_sent_has_a_size():
    assert sys.getsizeof(as_dataset(np.zeros((5, 2))).map(lambda row: row)) > 0
