"""Batches and epochs where they are left to the number of rows."""

import numpy as np
import pytest
from sklearn.datasets import load_iris, load_wine
from sklearn.model_selection import GridSearchCV, cross_val_score
from torch.optim.lr_scheduler import StepLR

import sklearnish as sn
from sklearnish import TorchClassifier, TorchRegressor
from sklearnish.estimators._fitting.sizes import (
    choose_batch_size,
    choose_max_epochs,
    choose_schedule,
)
from tests.estimators.common import classification

X, Y = classification(40)


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "max_epochs"),
    [
        (1, 64, 50),
        (20_000, 64, 50),
        (25_000, 64, 40),
        (25_001, 128, 39),
        (50_000, 128, 20),
        (50_001, 256, 19),
        (100_000, 256, 10),
        (10**9, 256, 10),
    ],
)
def test_the_rule(n_rows, batch_size, max_epochs):
    assert choose_batch_size("auto", n_rows) == batch_size
    assert choose_max_epochs("auto", n_rows) == max_epochs


def test_numbers_are_taken_as_they_are():
    assert choose_batch_size(7, 10**6) == 7
    assert choose_max_epochs(3, 10**6) == 3


def test_what_was_chosen_is_kept():
    clf = TorchClassifier().fit(X, Y)
    assert (clf.batch_size_, clf.max_epochs_, clf.n_iter_) == (64, 50, 50)
    assert (clf.batch_size, clf.max_epochs) == ("auto", "auto")
    clf.set_params(batch_size=20, max_epochs=2).fit(X, Y)
    assert (clf.batch_size_, clf.max_epochs_, clf.n_iter_) == (20, 2, 2)


@pytest.mark.parametrize(
    ("params", "n_rows", "schedule"),
    [
        ({}, 999, None),
        ({}, 1000, "cosine"),
        ({"max_epochs": 50}, 1000, None),
        ({"early_stopping": True}, 1000, None),
        ({"lr_schedule": None}, 1000, None),
        ({"lr_schedule": "onecycle", "max_epochs": 5}, 10, "onecycle"),
        ({"lr_schedule": StepLR}, 10, StepLR),
    ],
)
def test_the_rate_falls_where_the_length_is_left_open(params, n_rows, schedule):
    assert choose_schedule(TorchClassifier(**params), n_rows) == schedule


def test_many_rows_end_with_short_steps():
    X, y = classification(1000)
    reg = TorchRegressor(module_params={"hidden": 4}, batch_size=1000).fit(X, y)
    rates = [epoch["lr"] for epoch in reg.history_]
    assert rates[0] == 1e-3
    assert rates[-1] < 1e-5
    assert TorchRegressor(max_epochs=2).fit(X, y).history_[-1]["lr"] == 1e-3


def test_auto_is_the_same_fit_as_its_numbers():
    auto = TorchClassifier(random_state=0).fit(X, Y)
    numbers = TorchClassifier(batch_size=64, max_epochs=50, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(auto.predict_proba(X), numbers.predict_proba(X))


def test_partial_fit_chooses_for_the_rows_of_each_call():
    reg = TorchRegressor().partial_fit(X, Y)
    assert (reg.batch_size_, reg.n_iter_, hasattr(reg, "max_epochs_")) == (64, 1, False)
    assert reg.set_params(batch_size=8).partial_fit(X, Y).batch_size_ == 8
    assert reg.net_.batch_size == 8


def test_a_checkpoint_of_auto_is_that_of_its_numbers(tmp_path):
    params = {"checkpoint_dir": tmp_path, "random_state": 0}
    TorchClassifier(**params).fit(X, Y)
    TorchClassifier(batch_size=64, max_epochs=50, **params).fit(X, Y)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_saved_estimator_keeps_both(tmp_path):
    clf = TorchClassifier(max_epochs=2).fit(X, Y)
    sn.save(clf, tmp_path / "model.sn")
    again = sn.load(tmp_path / "model.sn")
    assert (again.batch_size, again.batch_size_, again.max_epochs_) == ("auto", 64, 2)


def test_a_search_may_compare_numbers_with_auto():
    clf = TorchClassifier(max_epochs=1)
    search = GridSearchCV(clf, {"batch_size": ["auto", 8]}, cv=2).fit(X, Y)
    assert search.best_estimator_.batch_size_ in (64, 8)


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", "large"), ("batch_size", 0), ("max_epochs", "many")]
)
def test_other_words_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        TorchClassifier(**{name: value}).fit(X, Y)


@pytest.mark.parametrize(("load", "least"), [(load_iris, 0.93), (load_wine, 0.95)])
def test_small_tables_are_learned(load, least):
    X, y = load(return_X_y=True)
    assert cross_val_score(TorchClassifier(random_state=0), X, y, cv=2).mean() >= least
