import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from sklearnish.data._reading import nearest_to_block
from sklearnish.data._scan import as_dataset, scan_parquet
from sklearnish.data._transforms import per_batch

N = 50
FRAME = pd.DataFrame(
    {
        "a": np.arange(N, dtype=np.float32),
        "b": -np.arange(N),
        "label": [f"class {i % 3}" for i in range(N)],
        "w": np.arange(N) / N,
    }
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("reading") / "frame.parquet"
    FRAME.to_parquet(path, row_group_size=7)
    return path


@pytest.fixture(scope="module")
def ds(path):
    return scan_parquet(path, target="label", weight="w")


@settings(max_examples=50)
@given(data=st.data())
def test_rows_of_blocks_come_in_the_order_asked_for(ds, data):
    rows = data.draw(st.lists(st.integers(-N, N - 1), min_size=1, max_size=30))
    view = ds[rows]
    positions = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=30)), dtype=int)
    stored = (np.array(rows) % N)[positions]
    X, y, weight = view.read(positions)
    np.testing.assert_array_equal(X, FRAME[["a", "b"]].to_numpy(np.float32)[stored])
    np.testing.assert_array_equal(view.classes[y], FRAME["label"].to_numpy()[stored])
    np.testing.assert_allclose(weight, FRAME["w"].to_numpy()[stored], rtol=1e-6)
    assert X.is_contiguous()


def rotated(x):
    return x * 1j


@pytest.mark.parametrize("way", ["map", "map_batches", "augment", "per_batch"])
def test_complex_numbers_of_functions_are_refused(way):
    ds = as_dataset(torch.ones(6, 2))
    augment = {"augment": rotated, "per_batch": per_batch(rotated)}.get(way)
    ds = ds if augment else getattr(ds, way)(rotated)
    with pytest.raises(ValueError, match=r"complex ones from rotated \(shape \(\d, 2\) complex64"):
        list(ds.batches(3, augment=augment, num_workers=0))


def test_complex_numbers_between_functions_are_not():
    real = as_dataset(torch.ones(6, 2)).map(rotated).map(torch.abs)
    assert torch.equal(real.read(range(6)).X, torch.ones(6, 2))


def test_complex_numbers_of_a_torch_dataset_are_refused_unless_made_real():
    ds = as_dataset(TensorDataset(torch.ones(6, 2) * 1j))
    with pytest.raises(ValueError, match="complex ones from TensorDataset"):
        ds.read([0])
    assert torch.equal(ds.map(torch.abs).read([0]).X, torch.ones(1, 2))


def test_each_block_is_read_once(path):
    ds = scan_parquet(path, target="label", weight="w")
    np.testing.assert_array_equal(ds.target, FRAME["label"])
    np.testing.assert_array_equal(ds.weight, FRAME["w"])
    ds.source.blocks_read = 0
    ds.read([20, 0, 49, 1, 20, 48, 3])
    assert ds.source.blocks_read == 4


@given(st.slices(N), st.slices(N))
def test_a_column_of_a_view_of_a_view(ds, first, second):
    view = ds[first][second]
    np.testing.assert_array_equal(view.weight, FRAME["w"].to_numpy()[first][second])


def test_the_labels_of_a_file_are_read_once_for_all_views(path):
    ds = scan_parquet(path, target="label")
    for view in (ds, ds[::2], ds[[3, 1]], ds.map(torch.neg)):
        assert len(view.target) == len(view)
    assert ds.source.rows_read == N


def test_several_targets(path):
    ds = scan_parquet(path, target=["b", "w"], columns=["a"])[::-1]
    y = ds.read([0, 5]).y
    np.testing.assert_array_equal(y, ds.target[[0, 5]].astype(np.float32))
    assert ds.target.shape == (N, 2)
    assert ds.target[0, 0] == -(N - 1)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "uint64", ">i4", "float16", "longdouble"]
)
def test_labels_of_any_type_of_number(dtype):
    y = np.array([1, 0, 1]).astype(dtype)
    ds = as_dataset(np.zeros((3, 1)), y=y)
    tensor = ds.read([2, 1]).y
    assert tensor.tolist() == [1, 0]
    assert tensor.is_floating_point() == (y.dtype.kind == "f")


def test_text_labels_become_their_number_among_the_classes():
    ds = as_dataset(np.zeros((4, 1)), y=["b", "a", "c", "a"])
    assert ds.read([0, 1, 2, 3]).y.tolist() == [1, 0, 2, 0]


def test_columns_of_an_array_are_picked_before_the_batch():
    X = np.arange(12.0).reshape(3, 4)
    out = as_dataset(X)[:, [3, 1]][:, [1]].read([2, 0]).X
    assert out.tolist() == [[9.0], [1.0]]
    assert out.is_contiguous()


def test_labels_with_nulls_in_some_blocks_keep_one_type(tmp_path):
    n = 300_000
    labels = pd.array(np.arange(n), dtype="Int64")
    labels[n - 1] = pd.NA
    frame = pd.DataFrame({"a": np.zeros(n, np.float32), "label": labels, "w": labels})
    frame.to_parquet(tmp_path / "f.parquet", row_group_size=50_000)
    ds = scan_parquet(tmp_path / "f.parquet", target="label", weight="w", columns=["a"] * 8)
    order = np.random.default_rng(0).permutation(n)
    batch = ds.read(order)
    expected = np.where(order == n - 1, np.nan, order).astype(np.float32)
    np.testing.assert_array_equal(batch.y.numpy(), expected)
    np.testing.assert_array_equal(batch.weight.numpy(), expected)


def test_text_labels_have_one_number_in_all_views(tmp_path):
    frame = pd.DataFrame({"a": range(6), "label": ["cat", "dog", "emu"] * 2})
    frame.to_parquet(tmp_path / "f.parquet")
    in_file = scan_parquet(tmp_path / "f.parquet", target="label")
    attached = as_dataset(np.zeros((6, 1)), y=["cat", "dog", "emu"] * 2)
    for ds in (in_file, attached, pickle.loads(pickle.dumps(attached[[1, 2]])), attached[::-1]):
        for view in (ds, ds[[0, 1]], ds[1:2]):
            for _, y in view.batches(10):
                assert view.classes[y.numpy()].tolist() == view.target.tolist()
                assert view.classes.tolist() == ["cat", "dog", "emu"]


def test_a_missing_text_label_is_named(tmp_path):
    pd.DataFrame({"a": [1, 2], "label": ["x", None]}).to_parquet(tmp_path / "f.parquet")
    ds = scan_parquet(tmp_path / "f.parquet", target="label")
    with pytest.raises(ValueError, match=r"missing in row 1 of .*f\.parquet"):
        next(ds.batches(2))


def test_known_labels_cannot_be_written_to(path):
    target = scan_parquet(path, target="label").target
    with pytest.raises(ValueError, match="read-only"):
        target[0] = 5


@given(st.data())
def test_the_nearest_row_to_the_beginning_of_its_block(data):
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    blocks, n = np.cumsum([0, *sizes]), sum(sizes)
    start, step = data.draw(st.integers(0, n - 1)), data.draw(st.integers(1, 4))
    regular = range(start, n, step)
    picked = data.draw(st.lists(st.integers(0, n - 1), min_size=1, unique=True))
    for rows in (regular, np.array(sorted(picked), np.int32)):
        view = SimpleNamespace(_rows=rows, source=SimpleNamespace(blocks=blocks))
        distances = [row - max(b for b in blocks if b <= row) for row in rows]
        assert distances[nearest_to_block(view)] == min(distances)


def test_in_disorder_the_first_row_is_as_good_as_any():
    source = SimpleNamespace(blocks=np.array([0, 4, 8]))
    for rows in (range(7, -1, -1), np.array([3, 4, 1])):
        assert nearest_to_block(SimpleNamespace(_rows=rows, source=source)) == 0
    unblocked = SimpleNamespace(_rows=range(8), source=SimpleNamespace(blocks=None))
    assert nearest_to_block(unblocked) == 0
