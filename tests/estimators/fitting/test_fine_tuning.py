"""What partial_fit takes over of what is frozen, and of rates; what it refuses."""

from functools import partial

import numpy as np
import pytest
from torch.optim.lr_scheduler import StepLR

import sklearnish as sn
from tests.training.step.test_parts import HEAD, X, Y, changed, fitted, fresh


def state_of(clf):
    return {name: value.clone() for name, value in clf.module_.state_dict().items()}


def test_partial_fit_freezes_what_is_asked_for_now():
    clf = fitted(fresh(), freeze="features")
    before = state_of(clf)
    assert changed(clf.partial_fit(X, Y), before) == HEAD
    before = state_of(clf)
    assert changed(clf.set_params(freeze="head").partial_fit(X, Y), before) == set(before) - HEAD
    before = state_of(clf)
    assert changed(clf.set_params(freeze=None).partial_fit(X, Y), before) == set(before)
    with pytest.raises(ValueError, match="freeze names 'feature'"):
        clf.set_params(freeze="feature").partial_fit(X, Y)


@pytest.mark.parametrize("lr_schedule", [None, "cosine"])
def test_partial_fit_goes_on_at_the_rate_of_now(lr_schedule, tmp_path):
    clf = fitted(lr_factors={"head": 3}, optimizer="sgd", lr=0.1, lr_schedule=lr_schedule)
    clf.partial_fit(X, Y).set_params(lr=0.02).partial_fit(X, Y)
    assert [e["lr"] for e in clf.history_[2:]] == pytest.approx([0.1, 0.02])
    rates = [group["lr"] for group in clf.net_.optimizer_.param_groups]
    assert rates == pytest.approx([0.02, 0.06])
    sn.save(clf, tmp_path / "m.sn")
    back = sn.load(tmp_path / "m.sn", trusted=["tests.training.step.test_parts.TwoParts"])
    for one in (clf, back):
        one.partial_fit(X, Y)
        assert one.history_[-1]["lr"] == pytest.approx(0.02)
    np.testing.assert_array_equal(clf.predict_proba(X), back.predict_proba(X))


@pytest.mark.parametrize(
    ("params", "later", "message"),
    [
        ({}, {"lr_factors": {"nope": 3}}, "lr_factors names 'nope'"),
        ({}, {"lr_factors": {"head": 3}}, r"\{'head': 3.0\} differs from \{\} before"),
        ({"lr_factors": {"head": 3}}, {"lr_factors": None}, "keeps the optimizer"),
        ({"optimizer_params": {"lr": 0.1}}, {"lr": 0.2}, "since optimizer_params has 'lr'"),
        ({"lr_schedule": partial(StepLR, step_size=1)}, {"lr": 0.2}, "since lr_schedule goes on"),
    ],
)
def test_what_partial_fit_cannot_change_is_refused(params, later, message):
    clf = fitted(**params).set_params(**later)
    with pytest.raises(ValueError, match=message):
        clf.partial_fit(X, Y)
    clf.set_params(warm_start=True)
    if "nope" not in message:
        clf.fit(X, Y).partial_fit(X, Y)
