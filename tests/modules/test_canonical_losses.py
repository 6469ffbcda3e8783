import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_poisson_deviance, mean_squared_error

from sklearnish.modules import BinaryLogLoss, HalfPoissonDeviance, HalfSquaredError, LogLoss

LOSSES = [BinaryLogLoss, HalfPoissonDeviance, HalfSquaredError, LogLoss]


def batch(kind, n=7, k=3):
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(n, k, generator=rng, dtype=torch.float64)
    y = torch.randint(0, 2, (n, k), generator=rng).double()
    return (z, torch.randint(0, k, (n,), generator=rng)) if kind is LogLoss else (z, y)


def test_they_are_scikit_learns_losses():
    z, y = batch(LogLoss)
    assert LogLoss()(z, y).item() == pytest.approx(log_loss(y, z.softmax(1)))
    z, y = batch(BinaryLogLoss)
    one = BinaryLogLoss()(z[:, 0], y[:, 0]).item()
    assert one == pytest.approx(log_loss(y[:, 0], z[:, 0].sigmoid()))
    assert BinaryLogLoss()(z, y).item() == pytest.approx(
        sum(log_loss(y[:, j], z[:, j].sigmoid()) for j in range(3))
    )
    deviance = mean_poisson_deviance(y[:, 0], z[:, 0].exp()) / 2
    assert HalfPoissonDeviance()(z[:, 0], y[:, 0]).item() == pytest.approx(deviance)
    assert HalfSquaredError()(z, y).item() == pytest.approx(mean_squared_error(y, z) / 2)


@pytest.mark.parametrize("kind", LOSSES)
def test_the_residual_is_the_gradient_of_each_row(kind):
    z, y = batch(kind)
    z.requires_grad_()
    rows = kind("none")(z, y)
    assert rows.shape == (7,)
    scale = 3 if kind is HalfSquaredError else 1  # reports the mean over targets
    expected = torch.autograd.grad(rows.sum() * scale, z)[0]
    torch.testing.assert_close(kind().residual(z.detach(), y), expected)
    torch.testing.assert_close(kind()(z, y), rows.mean())


def test_outputs_far_from_zero_give_finite_losses():
    z, y = torch.tensor([[500.0, -500.0]]), torch.tensor([[0.0, 1.0]])
    assert BinaryLogLoss()(z, y).item() == 1000
    assert LogLoss()(z, torch.tensor([1])).item() == 1000
    assert np.isfinite(HalfSquaredError()(z, y).item())
