import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss

from sklearnish.modules import QuantileLoss


def test_it_is_the_pinball_loss_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    outputs, y = torch.randn(50, 2, generator=generator), torch.randn(50, generator=generator)
    losses = QuantileLoss(np.array([0.1, 0.8]), reduction="none")(outputs, y)
    assert losses.shape == (50, 2)
    for i, share in enumerate((0.1, 0.8)):
        expected = mean_pinball_loss(y, outputs[:, i], alpha=share)
        assert losses[:, i].mean().item() == pytest.approx(expected, rel=1e-5)
    mean, total = QuantileLoss([0.1, 0.8])(outputs, y), QuantileLoss([0.1, 0.8], "sum")(outputs, y)
    torch.testing.assert_close(mean, losses.mean())
    torch.testing.assert_close(total, losses.sum())


@pytest.mark.gpu
def test_a_gpu_is_not_waited_for():
    y_pred, y = torch.zeros(4, 2, device="cuda"), torch.ones(4, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = QuantileLoss([0.1, 0.9])(y_pred, y)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert found.cpu() == 0.5
