import numpy as np
import pytest
import torch

from sklearnish.data._tensors.batch import (
    Batch,
    concat,
    copied,
    empty_like,
    n_rows,
    narrow,
    put,
    to_device,
)

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


@pytest.mark.parametrize(
    "batch", [FULL, DICT, Batch(X[:, :0], y)], ids=["full", "dict", "no features"]
)
def test_put_brings_rows_of_every_field_to_their_places(batch):
    whole = empty_like(batch, 6)
    put(whole, np.array([5, 0, 3]), narrow(batch, 0, 3))
    put(whole, np.array([1, 2, 4]), narrow(batch, 3, 6))
    for i, place in enumerate([5, 0, 3, 1, 2, 4]):
        same(narrow(whole, place, place + 1), narrow(batch, i, i + 1))


def test_a_copy_shares_nothing():
    assert copied(FULL).X.data_ptr() != FULL.X.data_ptr()
    same(copied(FULL), FULL)


@pytest.mark.parametrize("batch", [FULL, DICT], ids=["full", "dict"])
def test_to_device_moves_every_field(batch):
    moved = to_device(batch, torch.device("meta"))
    tensors = [*(moved.X.values() if isinstance(moved.X, dict) else [moved.X]), *moved[1:]]
    assert {t.device.type for t in tensors if t is not None} == {"meta"}
    assert to_device(FULL, torch.device("cpu")).X is X
