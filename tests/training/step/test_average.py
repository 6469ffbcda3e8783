import copy

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

import sklearnish as sn
from sklearnish.training._step.average import WeightAverage
from tests.estimators.common import classification, regression


def test_an_average_follows_the_weights_and_changes_places_with_them():
    weight = torch.nn.Parameter(torch.zeros(2))
    average = WeightAverage([weight], 0.5)
    expected = 0.0
    for step in range(1, 6):
        with torch.no_grad():
            weight.fill_(step)
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    average.exchange()
    torch.testing.assert_close(weight.detach(), torch.full((2,), expected))
    average.exchange()
    assert weight.tolist() == [5, 5]
    average.start()
    average.exchange()
    assert weight.tolist() == [5, 5]


class Watch(Callback):
    """Notes the weights after each step, and at the end of each epoch."""

    def on_train_begin(self, net, **kwargs):
        self.steps, self.epochs = [], []

    def on_batch_end(self, net, training, **kwargs):
        if training:
            self.steps.append(copy.deepcopy(net.module_.layers[0].weight.detach()))

    def on_epoch_end(self, net, **kwargs):
        self.epochs.append(copy.deepcopy(net.module_.layers[0].weight.detach()))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_averages_are_validated_and_kept_and_training_goes_on_from_the_weights(early_stopping):
    X, y = regression()
    params = {"max_epochs": 3, "random_state": 0, "early_stopping": early_stopping}
    plain, watch = (
        sn.TorchRegressor(callbacks=[Watch()], average_weights=decay, **params).fit(X, y)
        for decay in (None, 0.9)
    )
    steps = watch.net_.callbacks_[0][1].steps
    for a, b in zip(steps, plain.net_.callbacks_[0][1].steps, strict=True):
        assert torch.equal(a, b)
    average = WeightAverage([torch.nn.Parameter(steps[0].clone())], 0.9)
    start = sn.TorchRegressor(max_epochs=1, lr=1e-30, random_state=0, **_val(early_stopping))
    average.values[0].copy_(start.fit(X, y).module_.layers[0].weight.detach())
    for step in steps:
        average.weights[0].copy_(step)
        average.update()
    epochs = watch.net_.callbacks_[0][1].epochs
    torch.testing.assert_close(average.values[0], epochs[-1])
    kept = watch.module_.layers[0].weight
    assert torch.equal(kept, epochs[watch.net_.best_epoch_ - 1])


def _val(early_stopping):
    return {"early_stopping": early_stopping}


def test_it_goes_on_from_averages(tmp_path):
    X, y = classification()
    clf = sn.TorchClassifier(average_weights=0.9, max_epochs=2, random_state=0).fit(X, y)
    sn.save(clf, tmp_path / "model.sn")
    models = clf, sn.load(tmp_path / "model.sn"), copy.deepcopy(clf)
    proba = [model.partial_fit(X, y).predict_proba(X) for model in models]
    np.testing.assert_array_equal(proba[0], proba[1])
    np.testing.assert_array_equal(proba[0], proba[2])
