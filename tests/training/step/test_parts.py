"""Parts that are frozen, and parts that learn at rates of their own."""

import numpy as np
import pytest
import torch
from torch import nn

import sklearnish as sn
from tests.estimators.common import classification


class TwoParts(nn.Module):
    """Features with a normalisation and dropout, and a head."""

    def __init__(self, out_features):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
        self.head = nn.Linear(8, out_features)

    def forward(self, X):
        return self.head(self.features(X).relu())


X, Y = classification(120)


def fitted(module=None, **params):
    params = {"max_epochs": 2, "random_state": 0, "device": "cpu", **params}
    return sn.TorchClassifier(TwoParts if module is None else module, **params).fit(X, Y)


def fresh():
    torch.manual_seed(0)
    return TwoParts(3)


def changed(clf, before):
    after = clf.module_.state_dict()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


HEAD = {"head.weight", "head.bias"}


@pytest.mark.parametrize("freeze", ["features", ["features.0", "features.1"], ["feat*"]])
def test_frozen_parts_keep_weights_and_statistics(freeze):
    module = fresh()
    clf = fitted(module, freeze=freeze)
    assert changed(clf, module.state_dict()) == HEAD
    assert all(weight.requires_grad for weight in clf.module_.parameters())


def test_weights_may_be_frozen_alone():
    module = fresh()
    untouched = set(module.state_dict()) - changed(
        fitted(module, freeze="*.bias"), module.state_dict()
    )
    assert untouched == {"features.0.bias", "features.1.bias", "head.bias"}


def test_a_pattern_of_all_weights_of_a_layer_keeps_its_statistics():
    module = fresh()
    clf = fitted(module, freeze=["features.0.*", "features.1.*"])
    assert changed(clf, module.state_dict()) == HEAD


class Tied(nn.Module):
    """A decoder that shares the weight of the encoder."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(10, 10, bias=False), nn.Linear(10, 10, bias=False)
        self.decoder.weight = self.encoder.weight
        self.head = nn.Linear(10, 3)

    def forward(self, X):
        return self.head(self.decoder(self.encoder(X).relu()))


def test_a_shared_weight_has_the_names_of_all_its_parts():
    torch.manual_seed(0)
    module = Tied()
    for names in ("encoder", "decoder"):
        assert changed(fitted(module, freeze=names), module.state_dict()) == HEAD
    clf = fitted(module, lr_factors={"decoder": 10}, optimizer="sgd", lr=0.01)
    rates = {id(w): g["lr"] for g in clf.net_.optimizer_.param_groups for w in g["params"]}
    assert rates[id(clf.module_.encoder.weight)] == pytest.approx(0.1)
    assert rates[id(clf.module_.head.weight)] == pytest.approx(0.01)


def test_dropout_in_frozen_parts_drops_nothing():
    modes = set()

    class Seen(nn.Dropout):
        def forward(self, X):
            modes.add(self.training)
            return X

    module = fresh()
    module.features[2] = Seen()
    fitted(module, freeze="features")
    assert modes == {False}


def test_what_was_frozen_thaws_in_the_next_fit():
    clf = fitted(fresh(), freeze="features", warm_start=True)
    before = {name: value.clone() for name, value in clf.module_.state_dict().items()}
    assert changed(clf.set_params(freeze=None).fit(X, Y), before) == set(before)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "muon"])
def test_rates_are_multiplied(optimizer):
    one, ten = (fitted(lr_factors=f, optimizer=optimizer, lr=0.01) for f in (None, {"head": 10}))
    rates = [{group["lr"] for group in clf.net_.optimizer_.param_groups} for clf in (one, ten)]
    expected = sorted(rates[0] | {10 * rate for rate in rates[0]})
    assert sorted(rates[1]) == pytest.approx(expected)
    of_head = [
        group["lr"]
        for group in ten.net_.optimizer_.param_groups
        if any(weight is ten.module_.head.bias for weight in group["params"])
    ]
    assert of_head == pytest.approx([10 * min(rates[0])])


def test_the_first_name_counts_and_schedules_keep_the_factor():
    clf = fitted(
        lr_factors={"head.bias": 2, "head": 3}, optimizer="sgd", lr=1e-3, lr_schedule="cosine"
    )
    groups = clf.net_.optimizer_.param_groups
    assert [group["initial_lr"] for group in groups] == pytest.approx([1e-3, 3e-3, 2e-3])
    assert clf.history_[-1]["lr"] < 1e-3


@pytest.mark.slow
def test_compiling_changes_nothing():
    plain, compiled = (fitted(freeze="features", compile=c) for c in (False, True))
    torch.testing.assert_close(plain.module_.state_dict(), compiled.module_.state_dict())


def test_saved_and_trained_further(tmp_path):
    clf = fitted(freeze="features", lr_factors={"head.weight": 5}, optimizer="sgd")
    sn.save(clf, tmp_path / "m.sn")
    back = sn.load(tmp_path / "m.sn", trusted=["tests.training.step.test_parts.TwoParts"])
    for one in (clf, back):
        one.partial_fit(X, Y)
    np.testing.assert_array_equal(clf.predict_proba(X), back.predict_proba(X))
    assert len(back.net_.optimizer_.param_groups) == 2


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (
            {"freeze": "feature"},
            ValueError,
            r"freeze names 'feature'.*Its parts are 'features', 'h",
        ),
        ({"freeze": [1]}, TypeError, r"freeze=\[1\] must be a name.*or a list of names"),
        ({"freeze": ""}, ValueError, "freeze names ''"),
        ({"lr_factors": {"body": 2}}, ValueError, "lr_factors names 'body'"),
        ({"lr_factors": {"head": 0}}, ValueError, "use freeze"),
        (
            {"lr_factors": {"head": 2}, "optimizer_params": {"param_groups": []}},
            ValueError,
            "Use one of them",
        ),
        ({"freeze": ["features", "head"]}, RuntimeError, "are all parameters frozen"),
    ],
)
def test_mistakes_are_named(params, error, message):
    with pytest.raises(error, match=message):
        fitted(**params)
