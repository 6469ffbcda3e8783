import numpy as np
import pytest
import torch

from sklearnish.data._batch import Batch, concat, index, n_rows, narrow, to_device

X = torch.arange(12.0).reshape(6, 2)
y = torch.arange(6)
FULL = Batch(X, y, y / 6)
DICT = Batch({"a": X, "b": y})


def same(a, b):
    for left, right in zip(a, b, strict=True):
        if isinstance(left, dict):
            assert left.keys() == right.keys()
            assert all(torch.equal(left[k], right[k]) for k in left)
        else:
            assert left is right is None or torch.equal(left, right)


@pytest.mark.parametrize("batch", [FULL, Batch(X), DICT], ids=["full", "only X", "dict"])
def test_what_is_cut_and_joined_is_the_same(batch):
    assert len(batch) == n_rows(batch.X) == 6
    parts = [narrow(batch, a, b) for a, b in [(0, 1), (1, 5), (5, 6)]]
    assert [len(part) for part in parts] == [1, 4, 1]
    same(concat(parts), batch)


def test_cutting_does_not_copy():
    assert narrow(FULL, 2, 4).X.data_ptr() == X[2].data_ptr()
    assert concat([FULL]) is FULL


@pytest.mark.parametrize("batch", [FULL, DICT], ids=["full", "dict"])
def test_index_reorders_every_field(batch):
    order = np.array([5, 0, 0, 3])
    picked = index(batch, order)
    same(index(picked, np.array([1])), narrow(batch, 0, 1))
    first = picked.X["a"] if isinstance(picked.X, dict) else picked.X
    assert torch.equal(first, X[order])


def test_index_of_bfloat16_which_numpy_lacks():
    picked = index(Batch(X.bfloat16()), np.array([3, 1]))
    assert torch.equal(picked.X, X[[3, 1]].bfloat16())


@pytest.mark.parametrize("batch", [FULL, DICT], ids=["full", "dict"])
def test_to_device_moves_every_field(batch):
    moved = to_device(batch, torch.device("meta"))
    tensors = [*(moved.X.values() if isinstance(moved.X, dict) else [moved.X]), *moved[1:]]
    assert {t.device.type for t in tensors if t is not None} == {"meta"}
    assert to_device(FULL, torch.device("cpu")).X is X
