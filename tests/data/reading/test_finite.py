import numpy as np
import pandas as pd
import pytest
import torch

from sklearnish.data import scan_parquet
from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data._reading.finite import check_finite, read_finite


@pytest.fixture
def ds(tmp_path):
    frame = pd.DataFrame({"a": np.zeros(20), "b": np.zeros(20)})
    frame.iloc[3:, 0] = 1.0
    frame.iloc[13, 1] = np.nan
    for i in range(2):
        frame[10 * i : 10 * i + 10].to_parquet(tmp_path / f"{i}.parquet", row_group_size=4)
    return scan_parquet(tmp_path)


def test_nan_is_named_by_column_row_and_file(ds):
    message = r"Input X contains NaN: column 'b', row 3 of .*1\.parquet\. Impute it"
    with pytest.raises(ValueError, match=message):
        read_finite(ds[::-1], np.arange(20))
    read_finite(ds[:13], np.arange(13))


def test_a_missing_value_of_a_file_is_nan(tmp_path):
    pd.DataFrame({"a": pd.array([1, None], "Int64")}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="NaN: column 'a', row 1 of"):
        read_finite(scan_parquet(tmp_path), [0, 1])


def test_a_feature_that_a_function_made_is_named_by_number(ds):
    wide = ds.map_batches(lambda X: torch.cat([X, X], 1))
    with pytest.raises(ValueError, match="NaN: feature 1, row 3 of"):
        read_finite(wide, np.arange(20))


def logarithm(x):
    return torch.log(x)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_functions_that_may_have_made_it_are_named(ds, num_workers):
    message = r"infinity: .*parquet after logarithm\..* Or check the functions applied"
    with pytest.raises(ValueError, match=message):
        list(prepare_loader(ds[:13], batch_size=4, augment=logarithm, num_workers=num_workers))
    with pytest.raises(ValueError, match=message):
        read_finite(ds[:13].map(logarithm), np.arange(13))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_in_an_image_is_named_by_its_place(value):
    X = np.zeros((4, 2, 3), np.float32)
    X[2, 1, 2] = value
    place = r"infinity: feature \(1, 2\), row 2 of ndarray.*\. Replace it in the arrays before"
    with pytest.raises(ValueError, match=place):
        read_finite(as_dataset(X)[1:], [0, 1])


def test_what_is_said_of_arrays_can_be_done():
    X = np.zeros((4, 2, 3), np.float32)
    X[2, 1, 2] = np.nan
    with pytest.raises(ValueError, match=r"np\.nan_to_num\(array\)") as told:
        read_finite(as_dataset(X), range(4))
    assert "SimpleImputer" not in str(told.value)
    assert read_finite(as_dataset(np.nan_to_num(X)), range(4)).X.shape == X.shape


def test_infinities_of_both_signs_and_a_sum_that_overflows():
    ds = as_dataset([[np.inf, -np.inf]])
    with pytest.raises(ValueError, match="infinity: feature 0"):
        check_finite(ds.read([0]).X, ds, np.arange(1))
    check_finite(torch.full((3, 3), 3e38), ds, np.arange(3))
    check_finite(torch.tensor([[1, 2]]), ds, np.arange(1))


def test_a_dict_is_named_by_its_key():
    X = {"a": torch.zeros(2, 2), "b": torch.tensor([0.0, float("nan")])}
    with pytest.raises(ValueError, match=r"NaN: key 'b', row 1 of .*Replace it in the arrays"):
        check_finite(X, as_dataset(np.zeros((2, 1))), np.arange(2))
