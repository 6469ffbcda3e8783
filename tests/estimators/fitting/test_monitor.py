from functools import partial

import numpy as np
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    log_loss,
    make_scorer,
    mean_pinball_loss,
    mean_squared_error,
)

import sklearnish as sn
from sklearnish.estimators._fitting.monitor import name_of
from tests.estimators.common import classification, regression

PARAMS = {"max_epochs": 6, "early_stopping": True, "num_workers": 0, "random_state": 0}


def share_right(y_true, y_pred):
    return np.mean(y_true == y_pred)


def lowest_first(y_true, y_pred):
    """Best after the first epoch, whatever it is given."""
    lowest_first.calls += 1
    return -lowest_first.calls


def test_a_function_of_labels_and_predictions():
    X, y = classification()
    y = np.array(["a", "b", "c"])[y]
    found = sn.TorchClassifier(monitor=share_right, **PARAMS).fit(X, y)
    named = sn.TorchClassifier(monitor="accuracy", **PARAMS).fit(X, y)
    scores = [
        [e[f"valid_{n}"] for e in model.history_]
        for model, n in ((found, "share_right"), (named, "accuracy"))
    ]
    assert scores[0] == scores[1]
    np.testing.assert_array_equal(found.predict_proba(X), named.predict_proba(X))


def test_more_is_better_and_the_best_weights_are_restored():
    X, y = regression()
    lowest_first.calls = 0
    params = PARAMS | {"patience": 2}
    found = sn.TorchRegressor(monitor=lowest_first, **params).fit(X, y)
    assert [e["valid_lowest_first"] for e in found.history_] == [-1, -2, -3]
    once = sn.TorchRegressor(**PARAMS | {"max_epochs": 1}).fit(X, y)
    np.testing.assert_array_equal(found.predict(X), once.predict(X))


def test_a_scorer_of_losses_and_probabilities():
    X, y = classification()
    scorer = make_scorer(log_loss, response_method="predict_proba", greater_is_better=False)
    found = sn.TorchClassifier(monitor=scorer, **PARAMS).fit(X, y)
    named = sn.TorchClassifier(monitor="neg_log_loss", **PARAMS).fit(X, y)
    assert found.history_[-1]["valid_log_loss"] == named.history_[-1]["valid_neg_log_loss"] < 0


def test_weights_of_rows_are_handed_on_or_refused():
    X, y = classification()
    weight = np.linspace(0.5, 2, len(y))
    found = sn.TorchClassifier(monitor=balanced_accuracy_score, **PARAMS)
    found.fit(X, y, sample_weight=weight)
    assert 0 <= found.history_[0]["valid_balanced_accuracy_score"] <= 1
    with pytest.raises(ValueError, match="monitor=share_right takes no sample_weight"):
        sn.TorchClassifier(monitor=share_right, **PARAMS).fit(X, y, sample_weight=weight)


def test_names():
    assert name_of(partial(mean_pinball_loss, alpha=0.1)) == "mean_pinball_loss"
    assert name_of(lambda y_true, y_pred: 0.0) == "score"
    assert name_of("r2") == "r2"

    def loss(y_true, y_pred):
        """Would take the place of valid_loss."""

    assert name_of(loss) == "score"


def one(y_true):
    return 0.0


def three(estimator, X, y):
    return 0.0


@pytest.mark.parametrize("monitor", [len, one, three])
def test_what_takes_no_labels_and_predictions_is_refused(monitor):
    X, y = classification()
    with pytest.raises(ValueError, match=r"cannot be called as monitor\(y_true, y_pred\)"):
        sn.TorchClassifier(monitor=monitor).fit(X, y)


@pytest.mark.parametrize("metric", [mean_pinball_loss, partial(mean_squared_error), log_loss])
def test_an_error_of_which_less_is_better_is_refused(metric):
    X, y = regression()
    with pytest.raises(ValueError, match=r"Pass make_scorer\(\w+, greater_is_better=False\)"):
        sn.TorchRegressor(monitor=metric, **PARAMS).fit(X, y)
    lower = make_scorer(mean_squared_error, greater_is_better=False)
    found = sn.TorchRegressor(monitor=lower, **PARAMS).fit(X, y)
    assert all(e["valid_mean_squared_error"] < 0 for e in found.history_)


def test_errors_of_a_function_are_its_own():
    X, y = classification()
    with pytest.raises(TypeError, match="monitor=score returned a list; wanted one number"):
        sn.TorchClassifier(monitor=lambda a, b: [1, 2], **PARAMS).fit(X, y)

    def broken(y_true, y_pred):
        raise ValueError("of mine")

    with pytest.raises(ValueError, match="of mine") as caught:
        sn.TorchClassifier(monitor=broken, **PARAMS).fit(X, y)
    assert caught.value.__notes__ == ["raised by monitor=broken"]


def test_checkpoints_tell_functions_apart(tmp_path):
    X, y = classification()
    params = PARAMS | {"checkpoint_dir": tmp_path, "max_epochs": 2}
    first = sn.TorchClassifier(monitor=share_right, **params).fit(X, y)
    again = sn.TorchClassifier(monitor=share_right, **params).fit(X, y)
    assert again.history_ == first.history_
    other = sn.TorchClassifier(monitor=balanced_accuracy_score, **params).fit(X, y)
    assert "valid_balanced_accuracy_score" in other.history_[0]
    assert len(list(tmp_path.iterdir())) == 2
