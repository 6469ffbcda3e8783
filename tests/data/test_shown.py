import numpy as np
import pandas as pd
import pytest
import torch

from sklearnish import as_dataset
from sklearnish.data._shown import shown


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("price", "'price'"),
        (3, "3"),
        (None, "None"),
        (np.zeros((30, 2)), "ndarray of shape (30, 2)"),
        (torch.zeros(3), "Tensor of shape (3,)"),
        (pd.DataFrame({"a": [1]}), "DataFrame of shape (1, 1)"),
    ],
)
def test_what_is_shown(value, wanted):
    assert shown(value) == wanted


@pytest.mark.parametrize("value", ["secret" * 1000, ["secret"] * 1000, {"a": "secret" * 1000}])
def test_long_ones_are_cut(value):
    assert len(shown(value)) < 200


@pytest.mark.parametrize(
    "call",
    [
        lambda ds, X: ds.map(X),
        lambda ds, X: list(ds.batches(augment=X)),
        lambda ds, X: ds[X],
        lambda ds, X: ds[:, X],
    ],
)
def test_no_error_shows_the_data(call):
    X = np.full((40, 3), 123.456)
    with pytest.raises(Exception, match=r"ndarray of shape \(40, 3\)") as caught:
        call(as_dataset(X), X)
    assert "123.456" not in str(caught.value)
