import numpy as np
import pytest

from sklearnish.data._whole import is_whole


@pytest.mark.parametrize("value", [1, 3, np.int64(1), np.uint8(3), 10**30])
def test_whole_numbers(value):
    assert is_whole(value, 1)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, np.True_, "1", None, [1], np.array([1, 2])])
def test_what_is_none_or_too_small(value):
    assert not is_whole(value, 1)
