import pytest
import torch

from sklearnish.modules import InputScaling


@pytest.mark.parametrize("wide", [False, True])
def test_restore_undoes_standardize(wide):
    X = torch.randn(20, 3, dtype=torch.float64) * 5 + (1e9 if wide else 7)
    module = InputScaling(3)
    module.set_input_scaling(X.mean(0), X.std(0), wide=wide)
    Z = module.standardize(X if wide else X.float())
    assert Z.dtype == torch.float32
    assert torch.allclose(Z.mean(0), torch.zeros(3), atol=1e-5)
    back = module.restore(Z)
    assert back.dtype == (torch.float64 if wide else torch.float32)
    torch.testing.assert_close(back.double(), X, rtol=1e-5 if not wide else 0, atol=1e-5)


def test_rows_of_any_shape_are_flattened():
    assert InputScaling(12).standardize(torch.zeros(2, 3, 4, dtype=torch.uint8)).shape == (2, 12)
