import pytest
import torch
from torch import nn

from sklearnish.data import Batch
from sklearnish.training import ReconstructionNet


class Scaled(nn.Module):
    """Says what its outputs are to be compared with."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def standardize(self, X):
        return X / 10

    def forward(self, X):
        return self.linear(self.standardize(X))


def net_of(module, criterion):
    net = ReconstructionNet(module, criterion, lr=0.1)
    net.n_outputs_ = 2
    return net.initialize()


X = torch.tensor([[1.0, 2.0], [3.0, -4.0], [0.0, 0.5]])


@pytest.mark.parametrize(("module", "target"), [(nn.Linear(2, 2), X), (Scaled(), X / 10)])
def test_outputs_are_compared_with_rows(module, target):
    net = net_of(module, nn.MSELoss())
    batch = Batch(X, torch.zeros(3, dtype=torch.int64))
    losses = ((module(X) - target) ** 2).mean(1).detach()
    torch.testing.assert_close(net.validation_step(batch)["loss"], losses.mean())
    torch.testing.assert_close(net.train_step(batch)["loss"], losses.mean())


def test_the_loss_of_each_row():
    module = nn.Linear(2, 2)
    rows = net_of(module, nn.L1Loss()).row_losses(X)
    torch.testing.assert_close(rows, (module(X) - X).abs().mean(1).detach())


def test_a_criterion_without_losses_of_rows_gives_each_that_of_all():
    module = nn.Linear(2, 2)

    class Largest(nn.Module):
        def forward(self, y_pred, y):
            return (y_pred - y).abs().max()

    rows = net_of(module, Largest()).row_losses(X)
    assert torch.equal(rows, (module(X) - X).abs().max().detach().expand(3))


def test_images_are_cast_as_for_the_module():
    images = torch.randint(0, 255, (4, 2), dtype=torch.uint8)
    net = net_of(nn.Linear(2, 2), nn.MSELoss())
    assert torch.isfinite(net.row_losses(images)).all()
