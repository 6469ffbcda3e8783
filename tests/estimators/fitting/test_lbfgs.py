import numpy as np
import pytest
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning

import sklearnish as sn
from tests.estimators.common import classification, regression

pytestmark = pytest.mark.filterwarnings("ignore:lbfgs failed")
X, y = classification(80)
X64 = X.astype(np.float64)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_it_finds_the_weights_of_scikit_learn(activation):
    params = {"hidden_layer_sizes": (5,), "activation": activation, "solver": "lbfgs"}
    params |= {"alpha": 1.0, "random_state": 0}
    ours = sn.MLPClassifier(**params).fit(X64, y)
    theirs = neural_network.MLPClassifier(**params).fit(X64, y)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=0.02)
    assert ours.score(X64, y) == pytest.approx(theirs.score(X64, y), abs=0.02)
    assert isinstance(ours.n_iter_, int)
    assert ours.t_ == theirs.t_ == 0


def test_weights_of_rows_and_several_targets():
    targets = regression(80, targets=2)[1] / 1000
    weight = np.linspace(1, 30, 80)
    params = {"hidden_layer_sizes": (5,), "solver": "lbfgs", "max_iter": 15, "random_state": 0}
    with pytest.warns(ConvergenceWarning, match=r"lbfgs failed to converge .* max_iter=15"):
        ours = sn.MLPRegressor(**params).fit(X64, targets, weight)
    with pytest.warns(ConvergenceWarning):
        theirs = neural_network.MLPRegressor(**params).fit(X64, targets, weight)
    np.testing.assert_allclose(ours.predict(X64), theirs.predict(X64), rtol=1e-4)
    assert ours.n_iter_ == 15


def test_it_goes_on_from_the_last_fit():
    mlp = sn.MLPClassifier((5,), solver="lbfgs", max_iter=5, warm_start=True, random_state=0)
    losses = []
    for _ in range(3):
        with pytest.warns(ConvergenceWarning):
            losses.append(mlp.fit(X, y).loss_)
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[2]


def test_it_has_no_records_of_epochs_and_no_partial_fit():
    mlp = sn.MLPClassifier((5,), solver="lbfgs", alpha=1.0, random_state=0)
    assert not hasattr(mlp, "partial_fit")
    mlp.fit(X, y)
    for name in ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"):
        assert not hasattr(mlp, name)
    assert "L-BFGS" in str(mlp.pipeline_report_)


def test_early_stopping_holds_nothing_out():
    mlp = sn.MLPClassifier((5,), solver="lbfgs", alpha=1.0, random_state=0)
    expected = mlp.fit(X, y).predict_proba(X)
    stopped = mlp.set_params(early_stopping=True).fit(X, y)
    np.testing.assert_array_equal(stopped.predict_proba(X), expected)


@pytest.mark.parametrize(
    ("params", "more", "message"),
    [
        ({"callbacks": [], "checkpoint_dir": "there"}, {}, "has no epochs"),
        ({"augment": np.negative}, {}, "so augment cannot be used with it"),
        ({}, {"X_val": X, "y_val": y}, "evaluated after each epoch"),
    ],
)
def test_what_needs_epochs_is_refused(params, more, message):
    mlp = sn.MLPClassifier(solver="lbfgs", random_state=0, **params)
    with pytest.raises(ValueError, match=message):
        mlp.fit(X, y, **more)


def test_rows_of_files_are_refused(tmp_path):
    np.save(tmp_path / "X.npy", X)
    ds = sn.scan_npy(tmp_path / "X.npy")
    with pytest.raises(ValueError, match="needs all rows in memory"):
        sn.MLPClassifier(solver="lbfgs").fit(ds, y)
