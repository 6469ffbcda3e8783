import numpy as np
import pytest
from sklearn import neural_network

import sklearnish as sn
from tests.estimators.common import classification

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = classification(120)
X = X.astype(np.float64)


@pytest.mark.parametrize(
    "params",
    [
        {"learning_rate": "constant"},
        {"learning_rate": "invscaling", "power_t": 0.3},
        {"learning_rate": "adaptive", "tol": 0.02, "n_iter_no_change": 2},
    ],
)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_learning_rates_and_epochs_are_those_of_scikit_learn(params, momentum):
    params = dict(params)
    params |= {"solver": "sgd", "learning_rate_init": 0.1, "momentum": momentum}
    params |= {"max_iter": 40, "batch_size": 40, "shuffle": False, "random_state": 3}
    ours = sn.MLPClassifier(**params).fit(X, y)
    theirs = neural_network.MLPClassifier(**params).fit(X, y)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-10)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours._no_improvement_count == theirs._no_improvement_count
    lr = ours.net_.optimizer_.param_groups[0]["lr"]
    assert lr == pytest.approx(theirs._optimizer.learning_rate)


def test_a_learning_rate_goes_on_falling_from_fit_to_fit():
    params = {"solver": "sgd", "learning_rate": "invscaling", "max_iter": 2, "warm_start": True}
    mlp = sn.MLPClassifier(**params, random_state=0)
    for n_epochs in (2, 4):
        mlp.fit(X, y)
        lr = mlp.net_.optimizer_.param_groups[0]["lr"]
        assert lr == pytest.approx(1e-3 / (n_epochs * len(X) + 1) ** 0.5)
    mlp.partial_fit(X, y)
    assert mlp.t_ == 5 * len(X)


def test_verbose_prints_each_epoch(capsys):
    sn.MLPClassifier(max_iter=2, verbose=True, random_state=0).fit(X, y)
    out, err = capsys.readouterr()
    assert [line.split(",")[0] for line in out.splitlines()] == ["Iteration 1", "Iteration 2"]
    assert "fit" not in err


def test_parts_go_on_with_the_velocity_of_scikit_learn():
    params = {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1}
    params |= {"shuffle": False, "batch_size": 50, "random_state": 0}
    ours, theirs = sn.MLPClassifier(**params), neural_network.MLPClassifier(**params)
    for _ in range(4):
        ours.partial_fit(X, y, classes=[0, 1, 2])
        theirs.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-10)
