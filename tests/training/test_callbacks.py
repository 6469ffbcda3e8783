"""skorch's callbacks: those that work, what they are shown, and those that are refused."""

import numpy as np
import pytest
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EpochScoring,
    Freezer,
    InputShapeSetter,
    PassthroughScoring,
    PrintLog,
)

from sklearnish import TorchClassifier, TorchRegressor
from tests.estimators.common import TwoLayers, classification, regression


@pytest.fixture(scope="module")
def labelled():
    return classification(60)


def fitted(*callbacks, labelled, **params):
    X, y = labelled
    params = {"max_epochs": 2, "batch_size": 16, "random_state": 0, **params}
    clf = TorchClassifier(callbacks=list(callbacks), **params)
    return clf.fit(X, y, X_val=X[:33], y_val=y[:33])


@pytest.mark.parametrize("on_train", [False, True])
def test_scores_of_batches_are_passed_through(labelled, on_train):
    name = "train_loss" if on_train else "valid_loss"
    passing = PassthroughScoring(name, on_train=on_train)
    alone = fitted(labelled=labelled).history_
    found = fitted(passing, labelled=labelled).history_
    assert [e[name] for e in found] == pytest.approx([e[name] for e in alone], rel=1e-5)
    assert passing.best_score_ == pytest.approx(min(e[name] for e in alone), rel=1e-5)


class Batches(Callback):
    def on_epoch_end(self, net, **kwargs):
        self.sizes_ = net.history[-1, "batches", :, "train_batch_size"]
        self.losses_ = net.history[-1, "batches", :, "valid_loss"]


def test_the_history_has_all_batches(labelled):
    batches = Batches()
    fitted(batches, labelled=labelled)
    assert batches.sizes_ == [16, 16, 16, 12]
    assert len(batches.losses_) == 1


@pytest.mark.parametrize("on_train", [False, True])
def test_scores_without_the_cache_are_those_with_it(labelled, on_train):
    name = "acc"
    params = {"scoring": "accuracy", "lower_is_better": False, "on_train": on_train, "name": name}
    plain = fitted(EpochScoring(**params, use_caching=False), labelled=labelled, lr=1e-9)
    cached = fitted(EpochScoring(**params), labelled=labelled, lr=1e-9)
    assert plain.history_[-1][name] == cached.history_[-1][name]


def test_scores_without_the_cache_of_numbers():
    X, y = regression(60)
    scoring = [
        EpochScoring("r2", on_train=True, use_caching=False, name="train_r2"),
        EpochScoring("r2", use_caching=False, name="valid_r2"),
    ]
    reg = TorchRegressor(max_epochs=5, lr=0.05, callbacks=scoring, random_state=0)
    reg.fit(X, y, X_val=X, y_val=y)
    expected = reg.score(X, y)
    assert reg.history_[-1]["train_r2"] == pytest.approx(expected, abs=1e-4)
    assert reg.history_[-1]["valid_r2"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "callback",
    [EpochScoring("accuracy"), BatchScoring("accuracy"), PassthroughScoring("valid_loss")],
)
def test_scores_of_rows_that_are_not_there_are_refused(labelled, callback):
    clf = TorchClassifier(callbacks=[callback], max_epochs=1)
    with pytest.raises(
        ValueError, match=rf"{type(callback).__name__} scores.*X_val.*on_train=True"
    ):
        clf.fit(*labelled)


def test_training_rows_are_scored_without_others(labelled):
    scoring = EpochScoring("accuracy", on_train=True, name="acc")
    clf = TorchClassifier(callbacks=[scoring], max_epochs=1).fit(*labelled)
    assert 0 <= clf.history_[0]["acc"] <= 1


def test_a_log_that_is_asked_for_is_printed(labelled, capsys):
    fitted(PrintLog(), labelled=labelled)
    header, _, *lines = capsys.readouterr().out.splitlines()
    assert "train_loss" in header
    assert len(lines) == 2


@pytest.mark.parametrize(
    "callback", [InputShapeSetter, InputShapeSetter(), ("a", InputShapeSetter())]
)
def test_the_setter_of_sizes_is_refused(labelled, callback):
    with pytest.raises(ValueError, match=r"InputShapeSetter cannot be used.*`in_features`"):
        TorchClassifier(callbacks=[callback]).fit(*labelled)


def test_parameters_are_frozen(labelled):
    start = fitted(labelled=labelled, module=TwoLayers, max_epochs=1, lr=1e-12).module_
    clf = fitted(Freezer("layers.0*"), labelled=labelled, module=TwoLayers, lr=0.1)
    first, last = clf.module_.layers[0].weight, clf.module_.layers[-1].weight
    np.testing.assert_allclose(first.detach(), start.layers[0].weight.detach(), atol=1e-6)
    assert abs(last - start.layers[-1].weight).max() > 0.01


def test_a_checkpoint_with_the_users_sizes(tmp_path):
    X, y = regression()
    reg = TorchRegressor(
        batch_size=50, max_epochs=3, callbacks=[Checkpoint(dirname=tmp_path, sink=str)]
    ).fit(X, y, X_val=X, y_val=y)
    assert (tmp_path / "params.pt").is_file()
    assert (reg.net_.batch_size, reg.net_.max_epochs) == (50, 3)
    assert not {"batches", "valid_loss_best"} & set(reg.history_[0])
