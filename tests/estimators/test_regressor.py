import numpy as np
import pytest
import torch
from torch import nn

from sklearnish import TorchRegressor, as_dataset
from tests.estimators.common import TwoLayers, regression


@pytest.mark.parametrize("targets", [1, 3])
def test_learns_targets_far_from_zero(targets):
    X, y = regression(targets=targets)
    reg = TorchRegressor(max_epochs=60, batch_size=32, random_state=0).fit(X, y)
    assert reg.score(X, y) > 0.95
    assert reg.score(as_dataset(X, y)) == pytest.approx(reg.score(X, y))
    assert reg.predict(X).shape == y.shape


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize(
    ("criterion", "loss"),
    [
        (nn.MSELoss, lambda e: e**2),
        (nn.L1Loss, abs),
    ],
)
def test_losses_are_in_the_targets_units(targets, criterion, loss):
    X, y = regression(targets=targets)
    reg = TorchRegressor(criterion=criterion, max_epochs=3, random_state=0)
    reg.fit(X, y, X_val=X, y_val=y)
    expected = loss(reg.predict(X).astype(float) - y).mean()
    assert reg.history_[-1]["valid_loss"] == pytest.approx(expected, rel=1e-3)


def test_other_losses_see_the_target_as_it_is():
    X, _ = regression()
    y = np.exp(X[:, 0].clip(-2, 2))
    reg = TorchRegressor(criterion=nn.PoissonNLLLoss, max_epochs=2).fit(X, y)
    assert reg.target_scale_ == 1
    assert TorchRegressor(standardize_target=False, max_epochs=1).fit(X, y).target_mean_ == 0


def test_a_constant_target():
    X, _ = regression()
    reg = TorchRegressor(max_epochs=1).fit(X, np.full(300, 5.0))
    assert np.isfinite(reg.predict(X)).all()


class Flat(TwoLayers):
    def forward(self, X):
        return super().forward(X)[:, 0]


@pytest.mark.parametrize("module", [TwoLayers, Flat])
@pytest.mark.parametrize("column", [False, True])
def test_shapes_are_reconciled(module, column):
    X, y = regression()
    y = y[:, None] if column else y
    reg = TorchRegressor(module, max_epochs=60, batch_size=32, random_state=0).fit(X, y)
    assert reg.predict(X).shape == y.shape
    assert reg.score(X, y) > 0.9


def test_dtypes_of_predictions():
    X, y = regression()
    single = TorchRegressor(max_epochs=1).fit(X, y)
    double = TorchRegressor(max_epochs=1, precision="float64").fit(X, y)
    assert single.predict(X).dtype == np.float32
    assert double.predict(X).dtype == np.float32
    assert double.predict(X.astype(np.float64)).dtype == np.float64
    assert double.module_.layers[0].weight.dtype == torch.float64


def test_targets_must_stay_as_many():
    X, y = regression(targets=2)
    reg = TorchRegressor().partial_fit(X, y)
    with pytest.raises(ValueError, match="number of targets differs"):
        reg.partial_fit(X, y[:, 0])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"] * 300, "y holds text"),
        (np.full(300, np.inf), "Input y contains infinity"),
        (None, "requires y to be passed"),
    ],
)
def test_targets_that_cannot_be_used(y, message):
    with pytest.raises(ValueError, match=message):
        TorchRegressor().fit(regression()[0], y)


class OwnCrossEntropy(nn.BCEWithLogitsLoss):
    """A user's own, of targets between 0 and 1."""


@pytest.mark.parametrize(
    "criterion", [nn.CrossEntropyLoss, nn.NLLLoss(), nn.BCELoss, nn.BCEWithLogitsLoss]
)
def test_losses_of_classes_are_refused(criterion):
    X, y = regression()
    with pytest.raises(ValueError, match=r"loss of classes.*MSELoss.*L1Loss.*HuberLoss"):
        TorchRegressor(criterion=criterion).fit(X, y)


def test_a_users_loss_of_shares_is_taken():
    X, y = regression()
    assert TorchRegressor(criterion=OwnCrossEntropy, max_epochs=1).fit(X, y > 1000).n_iter_ == 1


def unix_times(n=300):
    X = np.random.default_rng(0).normal(size=(n, 3))
    return X, 1.7e12 + 60_000 * X[:, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_targets_far_from_zero_are_answered_in_float64(tmp_path, dtype):
    X, y = unix_times()
    X = X.astype(dtype)
    reg = TorchRegressor(max_epochs=40, batch_size=32, lr=0.01, random_state=0).fit(X, y)
    assert reg.predict(X).dtype == np.float64
    assert reg.score(X, y) > 0.95
    singly = np.concatenate([reg.predict(row[None]) for row in X[:5]])
    np.testing.assert_allclose(singly, reg.predict(X)[:5], rtol=1e-10)
    reg.predict_to(tmp_path / "y.npy", X)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), reg.predict(X))


@pytest.mark.parametrize("size", [1e-44, 1e-60, 1e38])
def test_targets_at_the_limits_of_float32_are_answered_in_float64(size):
    X, _ = unix_times()
    y = X[:, 0] * size / np.abs(X[:, 0]).max()
    reg = TorchRegressor(max_epochs=40, batch_size=32, lr=0.01, random_state=0).fit(X, y)
    assert reg.predict(X).dtype == np.float64
    assert reg.score(X, y) > 0.95
    assert np.isfinite(reg.predict(100 * X)).all()


def test_several_targets_are_scaled_back_in_float64():
    X, y = unix_times()
    Y = np.column_stack([y, X[:, 1]])
    reg = TorchRegressor(max_epochs=40, batch_size=32, lr=0.01, random_state=0).fit(X, Y)
    assert reg.predict(X).dtype == np.float64
    assert reg.score(X, Y) > 0.95


def test_a_target_that_is_not_standardised_keeps_its_precision():
    X, y = regression()
    reg = TorchRegressor(max_epochs=1, standardize_target=False).fit(X, y)
    assert reg.predict(X).dtype == np.float32


def test_targets_beyond_float32_are_refused():
    X, y = regression()
    far = y.astype(np.float64)
    far[7] = -1e39
    reg = TorchRegressor(max_epochs=1)
    message = r"y contains -1e\+39 \(row 7\), which is beyond float32; .* precision='float64'"
    with pytest.raises(ValueError, match=message):
        reg.fit(X, far)
    with pytest.raises(ValueError, match=message):
        reg.fit(X, y, X_val=X, y_val=far)
    with pytest.raises(ValueError, match=message):
        reg.partial_fit(X, far)
    reg.set_params(precision="float64").fit(X, far)
    assert np.isfinite(reg.predict(X)).all()
