import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearnish.data import scan_parquet
from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._dataset import Dataset
from sklearnish.data._views.view import View
from tests.data.every_kind import FRAME, KINDS, NAMES, N, X, dataset, everything, noisy


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


def test_a_column_that_is_no_number_is_given_as_it_is(tmp_path):
    frame = pd.DataFrame({"a": [1, 2, 3], "text": ["x", None, "z"]})
    frame.to_parquet(tmp_path / "t.parquet")
    for ds in (as_dataset(frame), scan_parquet(tmp_path / "t.parquet")):
        assert ds[[2, 1], "text"].tolist() == ds[[2, 1], 1].tolist() == ["z", None]
        assert ds[1:, "a"].tolist() == [2, 3]


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


CHANGES = [
    lambda v: v[::2],
    lambda v: v[[3, 1]],
    lambda v: v[:, [1, 0]],
    lambda v: v.with_target(np.zeros(N)),
    lambda v: v.with_weight(None),
    lambda v: v.without_target(),
    lambda v: v.without_attached(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_view_makes_is_of_its_class(ds, change):
    assert type(change(ds)) is Dataset
    view = View(ds.source, range(N), ds._inputs)
    assert type(change(view)) is View
    assert torch.equal(everything(view[5:]).X, torch.from_numpy(X[5:]))


def test_weights_that_are_no_numbers_are_refused(ds):
    with pytest.raises(ValueError, match=r"could not convert string to float.*heavy"):
        ds.with_weight(["heavy"] * N)
    assert everything(ds.with_weight(np.array([2] * N, dtype=object))).weight.tolist() == [2.0] * N
