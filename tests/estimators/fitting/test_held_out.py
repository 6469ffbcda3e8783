"""Rows on which every epoch is evaluated: passed, or held out."""

import numpy as np
import pytest
import sklearn
from sklearn.metrics import accuracy_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearnish import TorchClassifier, TorchRegressor, as_dataset
from sklearnish.estimators._fitting.held_out import hold_out
from tests.estimators.common import classification, regression


@pytest.fixture(scope="module")
def rows():
    X = np.random.default_rng(0).normal(1e5, 1e4, (80, 3))
    return X, X[:, 0] - X[:, 1]


def test_a_pipeline_scales_validation_rows_by_transform_input(rows):
    X, y = rows
    params = {"max_epochs": 2, "random_state": 0}
    scaler = StandardScaler().fit(X[:60])
    scaled = {"X_val": scaler.transform(X[60:]), "y_val": y[60:]}
    expected = TorchRegressor(**params).fit(scaler.transform(X[:60]), y[:60], **scaled)
    with sklearn.config_context(enable_metadata_routing=True):
        reg = TorchRegressor(**params).set_fit_request(X_val=True, y_val=True)
        pipe = make_pipeline(StandardScaler(), reg, transform_input=["X_val"])
        pipe.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    losses = [[e["valid_loss"] for e in model.history_] for model in (pipe[-1], expected)]
    assert losses[0] == losses[1]


def test_validation_rows_that_a_pipeline_left_as_they_are_warn_once(rows):
    X, y = rows
    pipe = make_pipeline(StandardScaler(), TorchRegressor(max_epochs=2, random_state=0))
    message = (
        r"The first validation loss, .* times the training loss.*transform_input=\[\"X_val\"\]"
    )
    with pytest.warns(UserWarning, match=message) as warned:
        pipe.fit(X, y, torchregressor__X_val=X, torchregressor__y_val=y)
    assert len(warned) == 1
    labels = (y > 0).astype(int)
    pipe = make_pipeline(StandardScaler(), TorchClassifier(max_epochs=1, random_state=0))
    with pytest.warns(UserWarning, match=message):
        pipe.fit(X, labels, torchclassifier__X_val=X, torchclassifier__y_val=labels)


def test_validation_rows_need_their_targets(rows):
    X, y = rows
    reg = TorchRegressor(max_epochs=1)
    for X_val in (X, as_dataset(X), X.tolist()):
        with pytest.raises(ValueError, match=r"X_val has no targets: y_val is None.*y_val=y_val"):
            reg.fit(X, y, X_val=X_val)
    assert "valid_loss" in reg.fit(X, y, X_val=as_dataset(X, y)).history_[0]


@pytest.mark.parametrize(
    ("monitor", "advice"),
    [("valid_loss", 'neither "loss", the loss on the validation'), ("acuracy", "'accuracy'")],
)
def test_what_cannot_be_monitored_names_what_can(rows, monitor, advice):
    with pytest.raises(ValueError, match=rf"monitor='{monitor}' is .*{advice}.*get_scorer_names"):
        TorchRegressor(monitor=monitor).fit(*rows)


def test_a_fraction_that_holds_nothing_out_warns(rows):
    X, y = rows
    reg = TorchRegressor(validation_fraction=0.3, max_epochs=1)
    with pytest.warns(
        UserWarning, match=r"validation_fraction=0.3 has no effect.*early_stopping=T"
    ):
        reg.fit(X, y)
    reg.set_params(early_stopping=True).fit(X, y)
    with pytest.warns(UserWarning, match=r"validation_fraction=0.3.*X_val is given"):
        reg.fit(X, y, X_val=X, y_val=y)


def test_balanced_drawing_leaves_the_validation_loss_weighted():
    X, y = classification(classes=2)
    clf = TorchClassifier(class_weight={0: 5.0}, sampler="balanced", max_epochs=1)
    clf.fit(X, y, X_val=X, y_val=y)
    expected = log_loss(y, clf.predict_proba(X), sample_weight=np.where(y == 0, 5.0, 1.0))
    assert clf.history_[-1]["valid_loss"] == pytest.approx(expected, rel=1e-4)


def test_a_monitor_without_weights_is_refused_before_training():
    X, y = regression()
    reg = TorchRegressor(monitor="neg_max_error")
    with pytest.raises(ValueError, match="'neg_max_error' takes no sample_weight"):
        reg.fit(X, y, X_val=X, y_val=y, sample_weight_val=np.ones(300))


def test_scores_are_weighted_by_the_user_alone():
    X, y = classification(classes=2)
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
    clf = TorchClassifier(class_weight={0: 100.0}, monitor="accuracy", max_epochs=2)
    clf.fit(X, y, X_val=X, y_val=y, sample_weight_val=weight)
    expected = accuracy_score(y, clf.predict(X), sample_weight=weight)
    assert clf.history_[-1]["valid_accuracy"] == pytest.approx(expected)


def test_held_out_rows_are_stratified():
    y = np.repeat([0, 1, 2], [200, 90, 10])
    train, held = hold_out(len(y), 0.2, y, seed=0)
    assert sorted([*train, *held]) == list(range(300))
    assert np.bincount(y[held]).tolist() == [40, 18, 2]
    assert len(hold_out(3, 0.1, np.arange(3), seed=0)[1]) == 1


def test_windows_that_are_held_out_share_no_row_with_those_that_train():
    X, seen = np.random.default_rng(0).normal(size=(300, 2)), []
    ds = as_dataset(X, y=X[:, 0]).windows(20, horizon=3)
    reg = TorchRegressor(
        max_epochs=1,
        early_stopping=True,
        sampler=lambda view: seen.append(view.rows) or np.arange(len(view)),
        random_state=0,
    )
    shuffled = np.random.default_rng(0).permutation(len(ds))
    reg.fit(ds[shuffled])
    n_held = round(0.1 * len(ds))
    assert sorted(seen[0]) == list(range(len(ds) - n_held - ds.gap))
    with pytest.raises(ValueError, match=r"all others share rows with them\. Pass X_val"):
        reg.fit(ds[:24])
