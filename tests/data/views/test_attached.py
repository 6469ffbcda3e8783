import numpy as np
import pandas as pd
import pytest
import torch

from sklearnish.data import scan_parquet
from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._views.attached import hold_labels, with_codes

FRAME = pd.DataFrame(
    {"a": range(6), "b": range(6, 0, -1), "label": ["dog", "cat", "emu"] * 2, "w": [0.5, 1] * 3}
)


@pytest.fixture
def path(tmp_path):
    FRAME.to_parquet(tmp_path / "f.parquet", row_group_size=2)
    return tmp_path / "f.parquet"


@pytest.mark.parametrize("target", ["label", "b", ["a", "b"], None])
def test_columns_become_arrays_that_read_the_same(path, target):
    ds = scan_parquet(path, target=target, weight="w", columns=["a"])[::-1]
    held = hold_labels(ds)
    assert held._target.names == held._weight.names == ()
    for before, after in zip(ds.read(range(6)), held.read(range(6)), strict=True):
        assert (before is after is None) or torch.equal(before, after)
    rest = held.without_attached().read([0])
    assert rest.y is rest.weight is None


def test_rows_of_arrays_keep_their_labels():
    ds = as_dataset(np.zeros((3, 2)), y=[1, 2, 3])
    assert hold_labels(ds) is ds


def test_codes_take_the_place_of_labels(path):
    view = with_codes(scan_parquet(path, target="label", columns=["a"]), np.arange(6))[1:]
    assert view.read([0, 4]).y.tolist() == [1, 5]
    assert view._target.own is None  # the labels of a file stay the same
