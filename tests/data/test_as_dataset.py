import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch

from sklearnish.data import scan_parquet
from sklearnish.data._as_dataset import as_dataset

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4, 5, 6]})


@pytest.mark.parametrize(
    "X",
    [
        [[1.0, 2.0], [3.0, 4.0]],
        np.array([[1, 2], [3, 4]], "int8"),
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        sp.csc_matrix([[1.0, 2.0], [3.0, 4.0]]),
        pd.DataFrame({"a": [1, 3], "b": [2.0, 4.0]}),
        pl.DataFrame({"a": [1, 3], "b": [2.0, 4.0]}),
        pl.DataFrame({"a": [1, 3], "b": [2.0, 4.0]}).to_arrow(),
    ],
    ids=["list", "array", "tensor", "sparse", "pandas", "polars", "arrow"],
)
def test_things_in_memory(X):
    ds = as_dataset(X, y=["no", "yes"], sample_weight=[1, 2])
    assert ds.shape == (2, 2)
    np.testing.assert_array_equal(np.asarray(ds[::-1]), [[3, 4], [1, 2]])
    np.testing.assert_array_equal(ds.target, ["no", "yes"])
    np.testing.assert_array_equal(ds.weight, [1, 2])


def test_a_dataset_is_taken_as_it_is():
    ds = as_dataset(FRAME, [0, 1, 0])
    assert as_dataset(ds) is ds
    assert as_dataset(ds, y=np.arange(3)).target.tolist() == [0, 1, 2]
    assert as_dataset(ds, sample_weight=np.ones(3)).target.tolist() == [0, 1, 0]


def test_a_torch_dataset_brings_its_labels():
    pairs = torch.utils.data.TensorDataset(torch.eye(3), torch.tensor([2, 0, 1]))
    ds = as_dataset(pairs)
    assert ds.target.tolist() == [2, 0, 1]
    x, y = ds[1]
    assert (x.tolist(), int(y)) == ([0, 1, 0], 0)
    assert as_dataset(torch.utils.data.TensorDataset(torch.eye(3))).target is None


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield from range(3)


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        ([], None, ValueError, "0 rows; at least one"),
        (np.zeros((0, 3)), None, ValueError, "0 rows"),
        (FRAME[:0], None, ValueError, "0 rows"),
        ([[1, 2], [3]], None, ValueError, "Rows of different lengths"),
        ([[1, "a"]], None, ValueError, "Expected numbers, got an array of dtype"),
        (np.array([[{}]]), None, ValueError, "array of dtype object"),
        (3.0, None, ValueError, "got one float"),
        ([[1.0], [2.0]], [1, 2, 3], ValueError, "y has 3 values, the Dataset has 2 rows"),
        ([[1.0], [2.0]], 1, ValueError, "y has a scalar, the Dataset has 2 rows"),
        (Stream(), None, TypeError, "[Ii]terable"),
    ],
)
def test_what_cannot_become_a_dataset(X, y, error, message):
    with pytest.raises(error, match=message):
        as_dataset(X, y)


def test_weights_of_another_length():
    with pytest.raises(ValueError, match="weight has 1 values, the Dataset has 2 rows"):
        as_dataset([[1.0], [2.0]], sample_weight=[1])


def test_a_sparse_matrix_by_keys_is_no_dict_of_inputs():
    assert as_dataset(sp.dok_array(np.eye(3))).shape == (3, 3)


def test_a_column_of_text_has_no_weights(tmp_path):
    pd.DataFrame({"a": [1.0, 2.0], "w": ["much", "little"]}).to_parquet(tmp_path / "f.parquet")
    with pytest.raises(ValueError, match=r"weight='w' of .*f\.parquet is text\. Weights must be"):
        scan_parquet(tmp_path / "f.parquet", weight="w")
