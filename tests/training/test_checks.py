"""What can be known about a module before it is trained, or when its first step fails."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklearnish import TorchClassifier, TorchRegressor
from sklearnish.training import FunctionLoss
from sklearnish.training._checks import check_apart, check_row_mean
from sklearnish.training._step.loss import BatchLoss
from tests.estimators.common import classification, regression


class Decided(nn.Linear):
    def forward(self, X):
        return super().forward(X).argmax(1)


class Cast(Decided):
    def forward(self, X):
        return super().forward(X).float()


class Ungraded(nn.Linear):
    @torch.no_grad()
    def forward(self, X):
        return super().forward(X)


@pytest.mark.parametrize("estimator", [TorchClassifier, TorchRegressor])
def test_a_module_that_decides_itself_is_refused(estimator):
    with pytest.raises(ValueError, match=r"Decided returned numbers of type torch.int64.*logits"):
        estimator(Decided).fit(*classification(20, classes=2))


@pytest.mark.parametrize("module", [Cast, Ungraded])
def test_outputs_without_gradients_are_told(module):
    message = rf"outputs of module {module.__name__} have no gradients.*torch.no_grad\(\).*argmax"
    with pytest.raises(RuntimeError, match=message):
        TorchRegressor(module).fit(*classification(20, classes=2))


def test_a_module_that_does_not_fit_the_rows():
    X, y = classification(classes=2)
    message = r"Linear fails on rows of shape \(10,\): .*shapes cannot be multiplied.*in_features"
    with pytest.raises(RuntimeError, match=message) as caught:
        TorchClassifier(nn.Linear(7, 2)).fit(X, y)
    assert isinstance(caught.value.__cause__, RuntimeError)


class MeanOfRows(nn.Linear):
    def forward(self, X):
        return super().forward(X).mean(0)


@pytest.mark.parametrize("n_rows", [2, 300])
def test_a_mean_over_as_many_rows_as_outputs(n_rows):
    X, _ = classification(classes=2)
    with pytest.raises(ValueError, match=r"returned shape \(2,\) for 3 rows"):
        TorchClassifier(MeanOfRows).fit(X[:n_rows], np.arange(n_rows) % 2)


# Modules that squeeze


class Squeezed(nn.Linear):
    """Returns (n,) of one output, a scalar of one row, and (k,) of one row of several outputs."""

    def forward(self, X):
        return super().forward(X).squeeze()


def ready(estimator, module, **params):
    return estimator(module, max_epochs=2, batch_size=1, lr=0.01, random_state=0, **params)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (-1, 2)])
def test_a_regressor_of_a_module_that_squeezes(shape):
    X, y = regression(20, targets=abs(shape[-1]))
    y, valid = y.reshape(shape), {"X_val": X[:1], "y_val": y.reshape(shape)[:1]}
    found = ready(TorchRegressor, Squeezed).fit(X, y, **valid)
    expected = ready(TorchRegressor, nn.Linear).fit(X, y, **valid)
    for n_rows in (1, 2, 4097):
        rows = np.resize(X, (n_rows, 10))
        assert found.predict(rows).shape == (n_rows, *y.shape[1:])
        np.testing.assert_array_equal(found.predict(rows), expected.predict(rows))
    assert found.history_[-1]["valid_loss"] == expected.history_[-1]["valid_loss"]


@pytest.mark.parametrize(("classes", "width"), [(2, 1), (2, 2), (3, 3)])
def test_a_classifier_of_a_module_that_squeezes(classes, width):
    X, y = classification(20, classes=classes)
    start = nn.Linear(10, width).state_dict()
    outcomes = []
    for module in (Squeezed(10, width), nn.Linear(10, width)):
        module.load_state_dict(start)
        clf = ready(TorchClassifier, module).fit(X, y, X_val=X[:1], y_val=y[:1])
        outcomes.append([clf.predict_proba(X[:n_rows]) for n_rows in (1, 3)])
    for squeezed, plain in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(squeezed, plain)


def test_labels_in_columns_of_a_module_that_squeezes():
    X, y = classification(20)
    y = np.stack([y > 0, y > 1], 1).astype(int)
    clf = ready(TorchClassifier, Squeezed).fit(X, y, X_val=X[:1], y_val=y[:1])
    assert clf.predict_proba(X[:1]).shape == clf.predict(X[:1]).shape == (1, 2)


@pytest.mark.parametrize(
    ("criterion", "text"),
    [
        (nn.MSELoss(reduction="sum"), "adds the losses of rows up. Use reduction='mean'"),
        (nn.CrossEntropyLoss(weight=torch.ones(2)), "weighs classes itself.*class_weight="),
        (nn.NLLLoss(ignore_index=0), "ignores rows"),
        (FunctionLoss(partial(F.cross_entropy, weight=torch.ones(2))), "weighs classes itself"),
        (FunctionLoss(partial(F.mse_loss, reduction="sum")), "adds the losses of rows up"),
    ],
)
def test_losses_that_are_no_mean_over_rows_are_refused(criterion, text):
    with pytest.raises(ValueError, match=text):
        check_row_mean(criterion)


@pytest.mark.parametrize(
    "criterion",
    [
        nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)),
        nn.HuberLoss(),
        FunctionLoss(F.l1_loss),
        FunctionLoss(lambda y_pred, y: (y_pred - y).abs().mean()),
    ],
)
def test_means_over_rows_are_taken(criterion):
    check_row_mean(criterion)


def judge(criterion, n=30):
    """Let a criterion be judged on outputs and classes, as they are at the begin of a fit."""
    g = torch.Generator().manual_seed(0)
    y_pred, y = torch.randn(n, 3, generator=g) / 10, torch.arange(n) % 3
    check_apart(BatchLoss(criterion), y_pred, y)


def of_hard_rows(y_pred, y):
    losses = F.cross_entropy(y_pred, y, reduction="none")
    return losses.topk(len(y) // 2).values.mean()


@pytest.mark.parametrize("n", [4, 5, 30, 1000])
@pytest.mark.parametrize(
    "function",
    [
        lambda y_pred, y: F.cross_entropy(y_pred, y, reduction="sum"),
        lambda y_pred, y: F.cross_entropy(y_pred, y, weight=torch.tensor([1.0, 1.1, 1.2])),
        lambda y_pred, y: F.mse_loss(y_pred, F.one_hot(y, 3).float()).sqrt(),
        lambda y_pred, y: F.cross_entropy(y_pred / y_pred.std(), y),
        of_hard_rows,
    ],
)
def test_functions_that_are_no_mean_over_rows_are_refused(function, n):
    with pytest.raises(ValueError, match="is no mean over them"):
        judge(FunctionLoss(function), n)


class Counts(nn.Module):
    """Is a mean over rows, and notes how often it was called."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, y_pred, y):
        self.calls += 1
        return F.cross_entropy(y_pred, y)


def test_functions_that_are_means_over_rows_are_taken():
    judge(counts := Counts())
    assert counts.calls == 0
    judge(FunctionLoss(lambda y_pred, y: F.cross_entropy(y_pred, y, label_smoothing=0.1)), 4)
    judge(FunctionLoss(lambda y_pred, y: F.cross_entropy(y_pred, y, reduction="none")))
    judge(FunctionLoss(lambda y_pred, y: F.cross_entropy(y_pred, y) + torch.rand(())))
    judge(FunctionLoss(lambda y_pred, y: y_pred.sum() * torch.nan))
    judge(nn.MultiMarginLoss(weight=torch.tensor([1.0, 2.0, 3.0])))


def test_judging_draws_no_numbers():
    before = torch.get_rng_state()
    judge(FunctionLoss(lambda y_pred, y: F.cross_entropy(y_pred, y) + torch.rand(())))
    assert torch.equal(torch.get_rng_state(), before)
