import numpy as np
import pytest
import torch

from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._sources.arrays import ArraySource
from sklearnish.data._tensors.buffers import empty
from sklearnish.data._views.inputs import Inputs
from tests.data.every_kind import FRAME

ARRAY = ArraySource(np.arange(12.0).reshape(3, 4))
TABLE = as_dataset(FRAME).source
ROWS = np.array([2, 0])


def tensors(inputs, source):
    return inputs.to_tensors(source, source.read(ROWS, inputs.names or ("X",)), ROWS, empty)


@pytest.mark.parametrize(
    ("inputs", "source", "shape", "nbytes"),
    [
        (Inputs(), ARRAY, (4,), 16),
        (Inputs(picked=np.array([1, 3])), ARRAY, (2,), 16),  # the row is read whole
        (Inputs(("a", "w"), asked=torch.float64), TABLE, (2,), 16),
    ],
    ids=["array", "picked", "table"],
)
def test_the_shape_of_a_row_and_what_is_read_of_it(inputs, source, shape, nbytes):
    assert inputs.row_shape(source) == shape
    assert inputs.row_nbytes(source) == nbytes
    assert tensors(inputs, source).shape == (2, *shape)


def test_features_are_found_by_name_or_number():
    assert Inputs(("a", "b", "c")).find([2, 0], (3,)) == ("c", "a")
    assert Inputs(picked=np.array([5, 7, 9])).find([2, 0], (3,)).tolist() == [9, 5]
    with pytest.raises(IndexError, match="one-dimensional"):
        Inputs().find([0], (3, 8, 8))


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.float64])
def test_numbers_come_in_the_type_that_is_asked_for(dtype):
    for inputs, source in ((Inputs(asked=dtype), ARRAY), (Inputs(("a",), asked=dtype), TABLE)):
        assert tensors(inputs, source).dtype == inputs.dtype == (dtype or torch.float32)


def test_a_feature_that_a_copy_has_set_is_one_value():
    X = tensors(Inputs(picked=np.array([3, 0]), constants={0: 7.0, 1: 8.0}), ARRAY)
    assert X.tolist() == [[11.0, 7.0], [3.0, 7.0]]
    assert tensors(Inputs(("b", "a"), constants={"b": 5.0}), TABLE)[:, 0].tolist() == [5.0, 5.0]
    assert tensors(Inputs(), ARRAY).tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
