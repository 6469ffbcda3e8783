import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from torch.utils.data import DataLoader

from sklearnish.data import _dataset
from sklearnish.data._scan import as_dataset, scan_parquet

N = 24
X = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
NAMES = ["a", "b", "c", "d"]
FRAME = pd.DataFrame(X, columns=NAMES).assign(label=np.arange(N) % 3, w=np.arange(N) / N)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset") / "frame.parquet"
    FRAME.to_parquet(path, row_group_size=5)
    return path


@pytest.fixture(scope="module")
def parquet(path):
    return scan_parquet(path, target="label", weight="w")


@pytest.fixture(scope="module", params=["array", "sparse", "tensor", "frame", "parquet"])
def ds(request, path):
    if request.param == "parquet":
        return scan_parquet(path, target="label", weight="w")
    make = {"array": np.copy, "sparse": sp.csr_array, "tensor": torch.tensor, "frame": FRAME[NAMES]}
    made = make[request.param]
    features = made if request.param == "frame" else made(X)
    return as_dataset(features, FRAME["label"], sample_weight=FRAME["w"])


def everything(view):
    return view.read(np.arange(len(view)))


@st.composite
def row_keys(draw, n):
    mask = st.lists(st.booleans(), min_size=n, max_size=n)
    options = [st.slices(n), mask.map(lambda m: np.array(m, dtype=bool))]
    if n:
        options.append(st.lists(st.integers(-n, n - 1), min_size=1, max_size=2 * n))
    return draw(st.one_of(options))


@settings(max_examples=30)
@given(data=st.data())
def test_views_of_views_index_like_numpy(ds, data):
    view, features, y, w = ds, X, FRAME["label"].to_numpy(), FRAME["w"].to_numpy()
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(row_keys(len(view)))
        view = view[key, ...] if data.draw(st.booleans()) else view[key]
        features, y, w = features[key], y[key], w[key]
    batch = everything(view)
    assert view.shape == features.shape
    np.testing.assert_array_equal(batch.X, features)
    np.testing.assert_array_equal(batch.y, y)
    np.testing.assert_array_equal(view.target, y)
    np.testing.assert_array_equal(view.weight, w)
    np.testing.assert_allclose(batch.weight, w, rtol=1e-6)


@settings(max_examples=30)
@given(data=st.data())
def test_columns_index_like_numpy(ds, data):
    rows, columns = data.draw(row_keys(N)), data.draw(row_keys(4))
    picked = ds[rows, columns]
    expected = X[rows][:, columns]
    assert picked.shape == expected.shape
    if expected.size:
        np.testing.assert_array_equal(np.asarray(picked), expected)
    j = data.draw(st.integers(-4, 3))
    np.testing.assert_array_equal(ds[rows, j], X[rows, j])


@pytest.mark.parametrize("i", [0, 5, -1, np.int64(3)])
def test_a_row_number_gives_the_pair(ds, i):
    x, y = ds[i]
    np.testing.assert_array_equal(x, X[i])
    assert y == FRAME["label"].to_numpy()[i]
    np.testing.assert_array_equal(ds.without_target()[i], X[i])
    assert ds[i, 2] == X[i, 2]


def test_what_does_not_exist_is_refused(ds):
    for key in [N, -N - 1, [0, N], (slice(None), 4), (slice(None), [-5]), np.ones(3, bool)]:
        with pytest.raises(IndexError, match=r"out of range|out of bounds|The mask has"):
            ds[key]


@pytest.mark.parametrize("key", [(1, 2, 3), ((1, 2, 3), [0]), ()], ids=repr)
def test_more_than_rows_and_columns_are_refused(ds, key):
    np.testing.assert_array_equal(np.asarray(ds[np.nonzero(ds.target)]), X[FRAME["label"] != 0])
    with pytest.raises(IndexError, match=r"rows and columns: ds\[rows, columns\]; got \("):
        ds[key]


@pytest.mark.parametrize("columns", [1.5, None])
def test_columns_of_another_kind_are_refused(ds, columns):
    with pytest.raises(IndexError, match=rf"Columns .*picked by .*, not by {columns}\."):
        ds[:, columns]
    with pytest.raises(IndexError, match="picked by"):
        ds[0, columns]


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


def test_columns_are_picked_before_functions(ds):
    with pytest.raises(IndexError, match="before map"):
        ds.map(torch.neg)[:, [0]]


def test_only_the_columns_and_blocks_that_are_needed_are_read(path):
    ds = scan_parquet(path, target="label")
    ds[5:10][:, "a"]
    assert (ds.source.blocks_read, ds.source.rows_read) == (1, 5)
    assert ds.source.bytes_read < 2 * 5 * 4


def test_it_says_what_it_is(parquet):
    assert (len(parquet), parquet.shape, parquet.ndim) == (N, (N, 4), 2)
    assert parquet.dtype == np.float32
    assert parquet.dtypes == dict.fromkeys(NAMES, "float32")
    assert parquet.columns == tuple(NAMES)
    assert not parquet.in_memory
    images = as_dataset(np.zeros((5, 3, 8, 8), np.uint8))
    assert (images.shape, images.ndim, images.dtype) == ((5, 3, 8, 8), 4, np.uint8)
    assert not hasattr(images, "columns")
    assert images.in_memory
    assert images.row_nbytes == 3 * 8 * 8


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


def test_targets_are_attached_per_row_of_the_view(ds):
    view = ds[3:7].with_target(list("wxyz")).with_weight([0, 1, 2, 3])
    np.testing.assert_array_equal(view[[3, 0]].target, ["z", "w"])
    np.testing.assert_array_equal(view[::-1].weight, [3, 2, 1, 0])
    assert view[[3, 0]].with_target(None).target is None
    assert everything(view.with_weight(None)).weight is None
    assert everything(view.with_target([[1.0, 2.0]] * 4)).y.shape == (4, 2)


@pytest.mark.parametrize("y", [[1, 2, 3], 5, None])
def test_a_target_of_another_length_is_refused(ds, y):
    if y is None:
        assert ds.with_target(y).target is None
        return
    with pytest.raises(ValueError, match=r"y has (3 values|a scalar), the Dataset has 24 rows"):
        ds.with_target(y)
    with pytest.raises(ValueError, match=r"weight has (3 values|a scalar)"):
        ds.with_weight(y)


def test_without_target_reads_features_alone(path):
    ds = scan_parquet(path, target="label", weight="w").without_target()
    batch = everything(ds)
    assert batch.y is batch.weight is None
    assert ds.source.bytes_read < N * 5 * 4


def test_a_view_of_a_file_pickles_small(path):
    ds = scan_parquet(path, target="label")
    assert ds.target is not None
    assert len(pickle.dumps(ds)) < 4000
    view = ds[np.random.default_rng(0).integers(0, N, 5000)]
    assert len(pickle.dumps(view)) < 4000 + 8 * 5000
    assert len(pickle.dumps(ds[::2][:8])) < 4000


def test_a_pickle_reads_the_same(ds):
    view = ds[[5, 1, 1, 20]].map(torch.neg).with_dtype(torch.float64)
    again = pickle.loads(pickle.dumps(view))
    for left, right in zip(everything(view), everything(again), strict=True):
        assert torch.equal(left, right)
    np.testing.assert_array_equal(again.target, view.target)
    assert again.shape == view.shape


def test_a_clone_is_itself(ds):
    assert clone(ds) is ds
    with pytest.raises(AttributeError):
        ds._rows = range(3)


def test_arrays_above_the_cap_are_refused_with_the_way_out(ds, monkeypatch):
    monkeypatch.setattr(_dataset, "_ARRAY_CAP", 160)
    with pytest.raises(ValueError, match=r"too many for an array.*for example ds\[:10\]"):
        np.asarray(ds)
    np.testing.assert_array_equal(np.asarray(ds[:10]), X[:10])


def test_numpy_functions_see_arrays(ds):
    np.testing.assert_array_equal(np.hstack([ds, X]), np.hstack([X, X]))
    np.testing.assert_array_equal(np.concatenate((ds[:3], ds[5:]), axis=0), np.delete(X, [3, 4], 0))
    np.testing.assert_array_equal(np.sum(a=ds, axis=0), X.sum(axis=0))
    np.testing.assert_array_equal(np.asarray(ds, dtype=np.float64), X.astype(np.float64))


def double(x):
    return x * 2


def noisy(x, rng):
    return x + torch.from_numpy(rng.normal(size=len(x)))


def test_functions_apply_in_order_whenever_rows_are_read(ds):
    view = ds.map(double).map_batches(lambda B: B[:, :3] + 1)
    assert view.shape == (N, 3)
    assert not view.in_memory
    np.testing.assert_array_equal(view[[7, 2]].read([1, 0]).X, X[[2, 7], :3] * 2 + 1)
    np.testing.assert_array_equal(np.asarray(view), X[:, :3] * 2 + 1)
    assert ds.transforms == ()


def test_random_functions_draw_by_position(ds):
    view = ds.map(noisy)
    whole = everything(view).X
    assert torch.equal(view.read([5, 3]).X, whole[[5, 3]])
    assert not torch.equal(view.read([5, 3], epoch=1).X, whole[[5, 3]])
    assert view.dtype == np.float64


def test_text_labels_come_as_codes(ds):
    labels = np.array(["no", "yes", "maybe"])[FRAME["label"]]
    view = ds.with_target(labels)
    for _, y, *_ in view[::-1].batches(7):
        assert y.dtype == torch.int64
        assert set(y.tolist()) <= {0, 1, 2}
    y = torch.cat([y for _, y, *_ in view.batches(7)])
    np.testing.assert_array_equal(view.classes[y], labels)


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
    [{"device": "gpu"}, {"random_state": "a"}, {"random_state": -1}, {"epochs": 0}],
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
