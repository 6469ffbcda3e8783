"""What others see of an estimator while it is trained, and after that has failed."""

import gc
import pickle
import threading
import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from sklearnish import TorchClassifier, TorchRegressor
from sklearnish.estimators._fitting import drafts
from tests.estimators.common import classification

X, Y = classification(60)


class Noisy(nn.Sequential):
    """Learns otherwise in eval mode, and keeps what it computed last."""

    def __init__(self, in_features, out_features):
        norm, drop = nn.BatchNorm1d(in_features), nn.Dropout(0.5)
        super().__init__(norm, drop, nn.Linear(in_features, out_features))
        self.steps, self.last = [], None

    def forward(self, X):
        if self.training:
            for step in STEPS:
                step()
        self.last = super().forward(X)
        return self.last


STEPS: list = []


def fitted(**params):
    options = {"max_epochs": 1, "batch_size": 16, "random_state": 0} | params
    return TorchClassifier(Noisy, **options).fit(X, Y)


def weights(clf):
    state = clf.module_.state_dict().values()
    return torch.cat([value.flatten().double() for value in state])


@pytest.fixture
def at_each_step():
    yield STEPS.append
    STEPS.clear()


@pytest.mark.parametrize("train", ["partial_fit", "fit"])
def test_predict_beside_training_changes_nothing_and_has_the_old_model(train, at_each_step):
    def trained(beside):
        clf = fitted(warm_start=True)
        old, seen = clf.predict_proba(X), []
        if beside:
            at_each_step(lambda: seen.append(np.array_equal(clf.predict_proba(X), old)))
        getattr(clf, train)(X, Y)
        assert all(seen)
        assert len(seen) == 4 * beside
        assert not np.array_equal(clf.predict_proba(X), old)
        return weights(clf)

    assert torch.equal(trained(False), trained(True))


def attributes(clf):
    names = [n for n in vars(clf) if n.endswith("_") or n.startswith("_")]
    return {n: getattr(clf, n) for n in names}


BAD = X.copy()
BAD[3, 2] = np.nan
FRAME = pd.DataFrame(X).add_prefix("x")
FAILING = {
    "NaN": ("fit", BAD, Y, "NaN"),
    "NaN in partial_fit": ("partial_fit", BAD, Y, "NaN"),
    "one class": ("fit", FRAME.iloc[:, :4], np.zeros(60), "class"),
    "no labels": ("fit", FRAME.iloc[:, :4], None, "y"),
    "lengths": ("fit", X[:, :4], Y[1:], "inconsistent"),
    "new label": ("partial_fit", X, Y + 7, "7"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_fit_that_fails_leaves_the_old_model_and_all_that_belongs_to_it(kind):
    clf, (method, rows, labels, message) = fitted(), FAILING[kind]
    before, answers = attributes(clf), clf.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        getattr(clf, method)(rows, labels)
    assert attributes(clf) == before
    assert np.array_equal(clf.predict_proba(X), answers)


def test_training_that_fails_half_way_leaves_the_old_model(at_each_step):
    clf = fitted(warm_start=True)
    before, answers = attributes(clf), clf.predict_proba(X)

    def diverge():
        raise RuntimeError("no more")

    at_each_step(diverge)
    for train in (clf.partial_fit, clf.fit, clf.set_params(warm_start=False).fit):
        with pytest.raises(RuntimeError, match="no more"):
            train(X, Y)
        assert attributes(clf) == before
        assert np.array_equal(clf.predict_proba(X), answers)


def test_ctrl_c_in_the_first_epoch_of_a_refit_leaves_the_old_model(at_each_step):
    clf = fitted()
    before = attributes(clf)

    def interrupt():
        raise KeyboardInterrupt

    at_each_step(interrupt)
    for train in (clf.partial_fit, clf.fit):
        with pytest.raises(KeyboardInterrupt):
            train(X, Y)
        assert attributes(clf) == before


def test_a_refit_forgets_what_belonged_to_the_old_model():
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    reg = TorchRegressor(max_epochs=1, random_state=0).fit(frame, Y)
    assert list(reg.feature_names_in_) == list(frame)
    reg.fit(X[:, :3], Y)
    assert not hasattr(reg, "feature_names_in_")
    assert reg.n_features_in_ == 3


def test_threads_train_one_estimator_one_after_the_other():
    clf, both = fitted(), []
    for _ in range(2):
        both.append(threading.Thread(target=clf.partial_fit, args=(X, Y)))
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    alone = fitted().partial_fit(X, Y).partial_fit(X, Y)
    assert clf.n_iter_ == 3
    assert torch.equal(weights(clf), weights(alone))


def test_partial_fit_of_a_copy_is_that_of_the_net_itself():
    for optimizer in ("adam", "adamw", torch.optim.Adamax):
        through_a_pickle = pickle.loads(pickle.dumps(fitted(optimizer=optimizer, max_epochs=2)))
        clf = fitted(optimizer=optimizer, max_epochs=2)
        net = clf.net_
        assert clf.partial_fit(X, Y).net_ is not net
        assert torch.equal(weights(clf), weights(through_a_pickle.partial_fit(X, Y)))


class Locked(Noisy):
    """Cannot be copied."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.lock = threading.Lock()


def test_a_module_that_cannot_be_copied_is_told():
    clf = TorchClassifier(Locked, max_epochs=1, random_state=0).fit(X, Y)
    with pytest.raises(TypeError, match=r"Locked.*cannot be copied.*define __deepcopy__"):
        clf.partial_fit(X, Y)


def test_no_lock_outlives_its_estimator():
    clf = fitted()
    assert clf in drafts._training
    alive = weakref.ref(clf)
    del clf
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("change", [{"device": "cuda:99"}, {"module": nn.Linear(10, 7)}])
def test_a_failed_fit_leaves_no_mixed_estimator(change):
    X, y = classification()
    clf = TorchClassifier(max_epochs=1).fit(X, y)
    before = clf.classes_, clf.predict(X)
    with pytest.raises(ValueError, match=r"not available|not a device|returned shape"):
        clf.set_params(**change).fit(X, np.where(y == 0, 5, y))
    if hasattr(clf, "module_"):  # the old one, whole
        assert np.array_equal(clf.classes_, before[0])
        assert np.array_equal(clf.predict(X), before[1])


def test_a_module_that_failed_is_not_there():
    X, y = classification()
    clf = TorchClassifier(max_epochs=1).fit(X, y)
    old = clf.module_
    with pytest.raises(ValueError, match="returned shape"):
        clf.set_params(module=nn.Linear(10, 7)).fit(X, y)
    assert clf.module_ is old
