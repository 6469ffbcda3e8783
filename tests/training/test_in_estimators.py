"""What training does inside a fit."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from joblib import Parallel, delayed
from skorch.callbacks import Checkpoint
from torch import nn

from sklearnish import TorchClassifier, TorchRegressor, per_batch
from tests.estimators.common import TwoLayers, classification, regression


def test_validation_is_weighed_whatever_the_sampler():
    X, y = regression()
    weight = np.linspace(0.01, 1, 300)
    valid = {"X_val": X, "y_val": y, "sample_weight_val": weight}
    reg = TorchRegressor(sampler="weighted", max_epochs=1, random_state=0)
    reg.fit(X, y, sample_weight=weight, **valid)
    expected = np.average((reg.predict(X).astype(float) - y) ** 2, weights=weight)
    assert reg.history_[-1]["valid_loss"] == pytest.approx(expected, rel=1e-3)


def test_balanced_drawing_leaves_class_weights_to_validation():
    X, y = classification()
    losses = {}
    for sampler in ("shuffle", "balanced"):
        for class_weight in (None, {0: 9.0}):
            clf = TorchClassifier(TwoLayers, sampler=sampler, random_state=0)
            clf.set_params(class_weight=class_weight, lr=1e-12, max_epochs=1).fit(
                X, y, X_val=X, y_val=y
            )
            losses[sampler, bool(class_weight)] = clf.history_[0]
    valid = {key: record["valid_loss"] for key, record in losses.items()}
    train = {key: record["train_loss"] for key, record in losses.items()}
    assert valid["balanced", True] == pytest.approx(valid["shuffle", True], rel=1e-4)
    assert valid["balanced", True] != pytest.approx(valid["balanced", False], rel=1e-4)
    assert train["balanced", True] == pytest.approx(train["balanced", False], rel=1e-6)


def test_partial_fit_keeps_the_rate_of_a_named_schedule():
    X, y = regression()
    for name in ("cosine", "onecycle"):
        reg = TorchRegressor(lr_schedule=name, lr=0.01, max_epochs=2).fit(X, y)
        for _ in range(2):
            reg.partial_fit(X, y)
        assert [e["lr"] for e in reg.history_[2:]] == pytest.approx([0.01, 0.01])


@pytest.mark.parametrize("n_rows", [63, 64, 65, 66, 129])
def test_a_named_schedule_ends_with_the_last_batch(n_rows):
    X, y = regression()
    reg = TorchRegressor(lr_schedule="cosine", batch_size=64, max_epochs=2)
    reg.fit(X[:n_rows], y[:n_rows])
    assert reg.net_.descent_.lr == pytest.approx(0, abs=1e-9)
    assert reg.net_.descent_.schedule.left == 0


def test_fits_in_threads_are_those_of_one_after_another():
    X, y = classification()
    params = {"module": TwoLayers, "module__dropout": 0.5, "max_epochs": 3, "random_state": 0}
    before = torch.get_rng_state()

    def fit():
        clf = TorchClassifier()
        return clf.set_params(**params).fit(X, y).predict_proba(X)

    alone = fit()
    for found in Parallel(4, "threading")(delayed(fit)() for _ in range(4)):
        np.testing.assert_array_equal(found, alone)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_changed_precision():
    X, y = classification()
    clf = TorchClassifier(TwoLayers, max_epochs=1, warm_start=True).fit(X, y)
    clf.set_params(precision="float64").fit(X, y)
    assert clf.predict_proba(X).dtype == np.float64
    assert clf.history_[-1]["epoch"] == 2
    clf.set_params(precision="float32").partial_fit(X, y)
    assert clf.predict_proba(X).dtype == np.float64
    assert clf.n_iter_ == 3


def test_a_losss_own_weights_have_the_precision_of_the_module():
    X, y = classification()
    clf = TorchClassifier(max_epochs=1, precision="float64", criterion=nn.CrossEntropyLoss)
    clf.set_params(criterion__weight=torch.tensor([1.0, 2.0, 3.0])).fit(X, y)
    assert clf.net_.criterion_.weight.dtype == torch.float64


def test_a_function_as_criterion():
    X, y = regression()
    reg = TorchRegressor(criterion=F.l1_loss, max_epochs=2, random_state=0)
    weight = np.linspace(0.01, 1, 300)
    reg.fit(X, y, sample_weight=weight, X_val=X, y_val=y)
    error = np.abs(reg.predict(X).astype(float) - y).mean()
    assert reg.history_[-1]["valid_loss"] == pytest.approx(error, rel=1e-3)


def test_a_checkpoint_with_the_users_sizes(tmp_path):
    X, y = regression()
    reg = TorchRegressor(
        batch_size=50, max_epochs=3, callbacks=[Checkpoint(dirname=tmp_path, sink=str)]
    ).fit(X, y, X_val=X, y_val=y)
    assert (tmp_path / "params.pt").is_file()
    assert (reg.net_.batch_size, reg.net_.max_epochs) == (50, 3)
    assert not {"batches", "valid_loss_best"} & set(reg.history_[0])


def test_a_function_of_batches_that_loses_the_targets():
    X, y = classification()
    augment = per_batch(lambda X, y: (X, None))
    with pytest.raises(ValueError, match=r"A batch came without y.*augment=per_batch"):
        TorchClassifier(augment=augment, max_epochs=1).fit(X, y)


# The trial of a module


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
