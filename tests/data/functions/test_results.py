import pytest
import torch

from sklearnish.data._functions.results import check_real


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16])
def test_real_numbers_of_any_type_pass(dtype):
    check_real(torch.ones(2, 3, dtype=dtype), "f")
    check_real({"a": torch.ones(2, dtype=dtype)}, "f")


def test_complex_numbers_are_refused_with_the_ways_out():
    X = torch.ones(2, 3) * 1j
    for given in (X, {"a": torch.ones(2), "b": X}):
        with pytest.raises(ValueError, match=r"complex ones from f .*complex64.*view_as_real"):
            check_real(given, "f")
