from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sklearnish import TorchClassifier, TorchRegressor, per_batch
from sklearnish.data import Batch
from sklearnish.training import make_criterion
from sklearnish.training._step.loss import BatchLoss
from tests.estimators.common import classification, regression


@pytest.mark.parametrize(
    ("function", "module"),
    [
        (F.mse_loss, nn.MSELoss()),
        (partial(F.huber_loss, delta=0.3), nn.HuberLoss(delta=0.3)),
        (partial(F.mse_loss, reduction="sum"), nn.MSELoss(reduction="sum")),
    ],
)
@pytest.mark.parametrize("weight", [None, torch.arange(8.0)])
def test_a_function_is_a_loss_with_weights_too(function, module, weight):
    y_pred, y = torch.randn(2, 8)
    batch = Batch(y_pred, y, weight)
    found = BatchLoss(make_criterion(function, {}))(y_pred, batch)[0]
    torch.testing.assert_close(found, BatchLoss(module)(y_pred, batch)[0])


def test_a_function_without_reduction_is_a_loss_without_weights():
    criterion = make_criterion(lambda y_pred, y: (y_pred - y).abs().mean(), {})
    assert criterion(torch.zeros(2), torch.ones(2)) == 1
    with pytest.raises(ValueError, match="no `reduction`"):
        BatchLoss(criterion)(torch.zeros(2), Batch(torch.zeros(2), torch.ones(2), torch.ones(2)))


def test_parameters_for_a_function_say_what_to_do():
    with pytest.raises(ValueError, match=r"functools\.partial of a function"):
        make_criterion(F.huber_loss, {"delta": 2})


@pytest.mark.parametrize("weight", [None, torch.arange(4.0)])
@pytest.mark.parametrize(
    ("criterion", "n_outputs", "y", "units"),
    [
        (nn.CrossEntropyLoss(), 3, torch.tensor([0, 2, 1, 1]), 1.0),
        (nn.MSELoss(), 1, torch.randn(4), 2.0),
        (nn.MSELoss(), 2, torch.randn(4, 2), torch.tensor([2.0, 3.0])),
        (nn.BCEWithLogitsLoss(), 2, torch.ones(4, 2), 1.0),
    ],
)
def test_the_loss_of_a_row_is_the_mean_of_its_members(criterion, n_outputs, y, units, weight):
    outputs = torch.randn(4, 5, n_outputs)
    batch = Batch(outputs, y, weight)
    found = BatchLoss(criterion, units, apart=True)(outputs, batch)
    members = [BatchLoss(criterion, units)(outputs[:, i], batch) for i in range(5)]
    torch.testing.assert_close(found[0], torch.stack([loss for loss, *_ in members]).mean())
    reported = torch.stack([reported for _, reported, _ in members])
    torch.testing.assert_close(found[1], reported.mean())
    assert found[2] == members[0][2]


@pytest.mark.parametrize("value", [None, 1.0])
def test_what_is_no_loss_is_refused(value):
    def own(y_pred, y, reduction="mean"):
        return value

    loss = BatchLoss(make_criterion(own, {}))
    for weight in (None, torch.ones(2)):
        with pytest.raises(TypeError, match=rf"criterion own returned {value}; wanted a tensor"):
            loss(torch.zeros(2), Batch(torch.zeros(2), torch.ones(2), weight))


def test_a_batch_without_targets_is_explained():
    with pytest.raises(ValueError, match=r"returned \(X, None\)\. Let it return \(X, y\)"):
        BatchLoss(nn.MSELoss())(torch.zeros(2), Batch(torch.zeros(2)))


def test_a_function_as_criterion():
    X, y = regression()
    reg = TorchRegressor(criterion=F.l1_loss, max_epochs=2, random_state=0)
    weight = np.linspace(0.01, 1, 300)
    reg.fit(X, y, sample_weight=weight, X_val=X, y_val=y)
    error = np.abs(reg.predict(X).astype(float) - y).mean()
    assert reg.history_[-1]["valid_loss"] == pytest.approx(error, rel=1e-3)


def test_a_function_of_batches_that_loses_the_targets():
    X, y = classification()
    augment = per_batch(lambda X, y: (X, None))
    with pytest.raises(ValueError, match=r"A batch came without y.*augment=per_batch"):
        TorchClassifier(augment=augment, max_epochs=1).fit(X, y)
