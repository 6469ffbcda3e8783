import pytest
import torch
from torch import nn

from sklearnish.data import Batch
from sklearnish.modules import HalfSquaredError, PlainMLP
from sklearnish.training._step.descent import Descent
from sklearnish.training._step.step import Step

CPU = torch.device("cpu")


def step_of(module, precision="float32", n_outputs=1):
    descent = Descent(torch.optim.SGD(module.parameters(), lr=0.1))
    options = {"units": 1.0, "precision": precision, "device": CPU, "n_outputs": n_outputs}
    return Step(module, nn.MSELoss(), descent, **options)


def rows(n=6):
    X = torch.arange(4.0 * n).reshape(n, 4) / n
    return Batch(X, X.sum(1))


def test_training_gives_the_gradients_and_validation_none():
    module = nn.Linear(4, 1)
    step, batch = step_of(module), rows()
    validated = step.validate(batch)
    assert module.weight.grad is None
    trained = step.train(batch)
    loss = nn.functional.mse_loss(module(batch.X)[:, 0], batch.y)
    torch.testing.assert_close(module.weight.grad, torch.autograd.grad(loss, module.weight)[0])
    for found in (trained, validated):
        assert found["loss"].item() == pytest.approx(loss.item())
        assert not found["loss"].requires_grad
        assert found["size"] == 6


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_outputs_of_half_precision_are_float32(precision):
    module = nn.Linear(4, 2)
    outputs = step_of(module, precision).infer(rows().X)
    assert outputs.dtype == torch.float32
    torch.testing.assert_close(outputs, module(rows().X), rtol=0.02, atol=0.02)


def test_images_are_cast_to_the_weights():
    module = nn.Linear(4, 1)
    X = torch.arange(8, dtype=torch.uint8).reshape(2, 4)
    assert torch.equal(step_of(module).infer(X), module(X.float()))


class Squeezed(nn.Linear):
    """Takes axes of one away, that of the rows included."""

    def forward(self, X):
        return super().forward(X).squeeze()


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("n", [1, 2])
def test_the_axis_of_the_rows_stays(n, n_outputs):
    module = Squeezed(4, n_outputs)
    assert len(step_of(module, n_outputs=n_outputs).infer(rows(n).X)) == n


@pytest.mark.parametrize("weighted", [False, True])
def test_a_gradient_that_is_written_out_is_that_of_autograd(weighted):
    torch.manual_seed(0)
    module = PlainMLP(4, 1, (3,), alpha=0.5)
    batch = Batch(*rows()[:2], torch.linspace(0.1, 1, 6) if weighted else None)
    descent = Descent(torch.optim.SGD(module.parameters(), lr=0.1))
    options = {"units": 1.0, "precision": "float32", "device": CPU, "n_outputs": 1}
    found = Step(module, HalfSquaredError(), descent, **options).train(batch)
    weight = batch.weight if weighted else torch.ones(6)
    squares = (module(batch.X)[:, 0] - batch.y).square() / 2
    loss = (squares @ weight) / weight.sum() + module.penalty(weight.sum())
    assert found["loss"].item() == pytest.approx(loss.item())
    assert float(found["size"]) == pytest.approx(weight.sum().item())
    torch.testing.assert_close(module.packed.grad, torch.autograd.grad(loss, module.packed)[0])


def test_another_criterion_takes_autograd():
    module = PlainMLP(4, 1, (3,))
    step_of(module).train(rows())
    assert module.packed.grad is not None


def test_units_lie_where_the_step_computes():
    module = nn.Linear(4, 2)
    descent = Descent(torch.optim.SGD(module.parameters(), lr=0.1))
    options = {"units": torch.ones(2), "precision": "float32", "n_outputs": 2}
    step = Step(module, nn.MSELoss(), descent, device=torch.device("meta"), **options)
    assert step.loss.units.device.type == "meta"
