import numpy as np
import pytest
from sklearn import neural_network
from sklearn.exceptions import DataConversionWarning

import sklearnish as sn
from tests.estimators.common import regression

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, targets = regression(100, targets=3)
X, targets = X.astype(np.float64), targets / 1000


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("columns", [0, [0, 1, 2]])
def test_predictions_and_losses_are_those_of_scikit_learn(loss, columns):
    y = targets[:, columns]
    y = np.abs(y) if loss == "poisson" else y
    params = {"loss": loss, "max_iter": 10, "random_state": 0}
    ours = sn.MLPRegressor(**params).fit(X, y)
    theirs = neural_network.MLPRegressor(**params).fit(X, y)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-3)
    assert ours.out_activation_ == theirs.out_activation_
    assert ours.n_outputs_ == theirs.n_outputs_
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-3)


def test_counts_are_not_negative():
    with pytest.raises(ValueError, match=r"loss='poisson' needs targets of at least 0, got -1"):
        sn.MLPRegressor(loss="poisson").fit([[0.0], [1.0]], [-1, 2])


def test_another_loss_does_not_change_what_is_fitted():
    reg = sn.MLPRegressor(loss="poisson", max_iter=2, random_state=0).fit(X, np.abs(targets))
    before = reg.predict(X)
    reg.set_params(loss="squared_error")
    np.testing.assert_array_equal(reg.predict(X), before)


def test_early_stopping_goes_by_r2():
    reg = sn.MLPRegressor(max_iter=3, early_stopping=True, random_state=0).fit(X, targets[:, 0])
    assert len(reg.validation_scores_) == 3
    assert reg.best_validation_score_ == max(reg.validation_scores_)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_column_of_targets_is_a_vector_as_in_scikit_learn(solver):
    y = targets[:, :1]
    params = {"hidden_layer_sizes": (5,), "solver": solver, "max_iter": 3, "random_state": 0}
    with pytest.warns(DataConversionWarning, match=r"shape \(100, 1\)") as caught:
        ours = sn.MLPRegressor(**params).fit(X, y)
    assert caught[0].filename == __file__
    expected = sn.MLPRegressor(**params).fit(X, y.ravel()).predict(X)
    np.testing.assert_array_equal(ours.predict(X), expected)
    assert expected.shape == (100,)
