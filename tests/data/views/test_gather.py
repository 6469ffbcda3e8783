import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from sklearnish.data import scan_parquet
from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._errors import BadRowsError
from sklearnish.data._functions.functions import per_batch
from sklearnish.data._views.gather import first_readable
from tests.data.labelled import FRAME, N


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


def test_columns_of_an_array_are_picked_before_the_batch():
    X = np.arange(12.0).reshape(3, 4)
    out = as_dataset(X)[:, [3, 1]][:, [1]].read([2, 0]).X
    assert out.tolist() == [[9.0], [1.0]]
    assert out.is_contiguous()


def test_the_first_row_that_is_not_damaged():
    asked = []

    def read(row):
        asked.append(row)
        if row < 20:
            raise BadRowsError(f"block {row // 10}", range(row // 10 * 10, row // 10 * 10 + 10))
        return row

    assert first_readable(30, read) == 20
    assert asked == [0, 10, 20]
    with pytest.raises(BadRowsError, match="block 0"):
        first_readable(20, read)
