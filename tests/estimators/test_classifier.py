import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from skorch.callbacks import EpochScoring
from torch import nn

from sklearnish import TorchClassifier, as_dataset
from sklearnish.estimators._fitting.labels import weigh_classes
from tests.estimators.common import TwoLayers, classification


@pytest.mark.parametrize(
    "labels",
    [np.array(["no", "yes"]), np.array([-1, 1]), np.array([3, 70]), np.array([False, True])],
)
def test_binary_labels(labels):
    X, codes = classification(classes=2)
    y = labels[codes]
    clf = TorchClassifier(max_epochs=20, random_state=0).fit(X, y)
    assert clf.classes_.tolist() == labels.tolist()
    assert clf.score(X, y) > 0.85
    assert clf.predict(X).dtype == y.dtype
    assert clf.predict_proba(X).shape == (300, 2)
    assert np.array_equal(clf.decision_function(X) > 0, clf.predict(X) == labels[1])


def test_labels_with_gaps_of_a_dataset():
    X, codes = classification()
    y = np.array(["a", "x", "z"])[codes]
    ds = as_dataset(X, y)
    clf = TorchClassifier(max_epochs=20, random_state=0).fit(ds)
    assert clf.score(ds) == clf.score(X, y) > 0.8
    assert np.array_equal(clf.decision_function(X).argmax(1), clf.predict_proba(X).argmax(1))


def test_multilabel():
    X, _ = classification()
    Y = (X[:, :4] > 0).astype(int)
    clf = TorchClassifier(max_epochs=60, random_state=0, lr=0.01).fit(X, Y)
    assert isinstance(clf.net_.criterion_, nn.BCEWithLogitsLoss)
    assert clf.predict(X).shape == clf.predict_proba(X).shape == (300, 4)
    assert clf.score(X, Y) > 0.9
    with pytest.raises(ValueError, match="fit saw 4 columns of labels"):
        clf.partial_fit(X, Y[:, 0])


class OneLogit(nn.Module):
    def __init__(self, in_features, flat=False):
        super().__init__()
        self.layer, self.flat = nn.Linear(in_features, 1), flat

    def forward(self, X):
        return self.layer(X)[:, 0] if self.flat else self.layer(X)


@pytest.mark.parametrize("flat", [False, True])
def test_one_output_for_two_classes(flat):
    X, y = classification(classes=2)
    clf = TorchClassifier(OneLogit, module_params={"flat": flat}, max_epochs=30, lr=0.05)
    clf.fit(X, y)
    assert clf.score(X, y) > 0.75
    assert clf.predict_proba(X).sum(1) == pytest.approx(1)
    assert np.array_equal(clf.decision_function(X) > 0, clf.predict(X) == 1)


def test_binary_cross_entropy_asks_for_one_output():
    X, y = classification(classes=2)
    clf = TorchClassifier(criterion=nn.BCEWithLogitsLoss, max_epochs=20, random_state=0).fit(X, y)
    assert clf.module_.layers[-1].out_features == 1
    assert clf.score(X, y) > 0.85


class LogSoftmax(TwoLayers):
    def forward(self, X):
        return super().forward(X).log_softmax(1)


def test_log_probabilities():
    X, y = classification()
    clf = TorchClassifier(LogSoftmax, criterion=nn.NLLLoss, max_epochs=2).fit(X, y)
    assert clf.predict_proba(X).sum(1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("module", [None, TwoLayers])
@pytest.mark.parametrize(
    ("criterion", "wanted"),
    [
        (nn.NLLLoss, "takes log-probabilities.*CrossEntropyLoss.*ends in log_softmax"),
        (nn.BCELoss(), "takes probabilities.*BCEWithLogitsLoss.*ends in a sigmoid"),
    ],
)
def test_logits_are_refused_by_losses_of_probabilities(module, criterion, wanted):
    X, y = classification(classes=2)
    with pytest.raises(ValueError, match=wanted):
        TorchClassifier(module, criterion=criterion, random_state=0).fit(100 * X, y)


def test_small_logits_look_like_probabilities_but_are_none():
    X, y = classification(classes=2)
    with pytest.raises(ValueError, match="takes probabilities"):
        TorchClassifier(criterion=nn.BCELoss, random_state=0).fit(0 * X, y)


class SquaredLoss(nn.MSELoss):
    """A user's own, of classes as numbers."""

    def forward(self, outputs, y):
        return super().forward(outputs, nn.functional.one_hot(y, 3).to(outputs.dtype))


def test_losses_of_numbers_are_refused_but_not_those_derived_from_them():
    X, y = classification()
    for criterion in (nn.MSELoss, nn.HuberLoss()):
        with pytest.raises(ValueError, match=r"loss of numbers.*CrossEntropyLoss"):
            TorchClassifier(criterion=criterion).fit(X, y)
    assert TorchClassifier(criterion=SquaredLoss, max_epochs=1).fit(X, y).n_iter_ == 1


def softmax_inside(in_features, out_features):
    class Inside(TwoLayers):
        def forward(self, X):
            return super().forward(X).softmax(1)

    return Inside(in_features, out_features)


def softmax_layer(in_features, out_features):
    return nn.Sequential(nn.Linear(in_features, out_features), nn.Softmax(1))


@pytest.mark.parametrize("module", [softmax_inside, softmax_layer])
def test_a_softmax_at_the_end_is_reported(module):
    X, y = classification()
    with pytest.warns(UserWarning, match="ends in a softmax, which CrossEntropyLoss applies"):
        TorchClassifier(module, max_epochs=1).fit(X, y)


def test_a_sigmoid_at_the_end_is_reported():
    X, y = classification(classes=2)
    module = nn.Sequential(nn.Linear(10, 1), nn.Sigmoid())
    with pytest.warns(UserWarning, match="ends in a sigmoid, which BCEWithLogitsLoss applies"):
        TorchClassifier(module, max_epochs=1).fit(X, y)


def test_class_weights():
    X, y = classification(classes=2)
    rare = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:15]])
    X, y = X[rare], y[rare]
    recall = {}
    for weight in (None, "balanced", {1: 50.0}):
        clf = TorchClassifier(class_weight=weight, max_epochs=10, random_state=0).fit(X, y)
        recall[str(weight)] = clf.predict(X).mean()
    assert recall["balanced"] > recall["None"]
    assert recall["{1: 50.0}"] > recall["balanced"]
    with pytest.raises(ValueError, match=r"class_weight names \['spam'\]"):
        TorchClassifier(class_weight={"spam": 1}).fit(X, y)
    with pytest.raises(ValueError, match="for labels in columns"):
        TorchClassifier(class_weight="balanced").fit(X, np.stack([y, y | 1], 1))


def test_balanced_weights_are_those_of_scikit_learn():
    y = np.array([0, 0, 0, 1, 2, 2])
    classes = np.unique(y)
    ours = weigh_classes("balanced", classes, y, np.ones(6))
    np.testing.assert_allclose(ours, compute_class_weight("balanced", classes=classes, y=y))


def test_partial_fit_is_told_all_classes():
    X, y = classification()
    first = y < 2
    clf = TorchClassifier(random_state=0).partial_fit(X[first], y[first], classes=[0, 1, 2])
    for _ in range(20):
        clf.partial_fit(X, y)
    assert clf.score(X, y) > 0.8
    with pytest.raises(ValueError, match="not the same as in the first call"):
        clf.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"labels \[5\] that are not among the classes"):
        clf.partial_fit(X[:1], [5])
    with pytest.raises(ValueError, match="needs all labels at once"):
        TorchClassifier(class_weight="balanced").partial_fit(X, y)


def test_unseen_validation_labels():
    X, y = classification()
    with pytest.raises(ValueError, match="not among the classes"):
        TorchClassifier().fit(X[y < 2], y[y < 2], X_val=X, y_val=y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(300, int), "at least 2 classes in y, got one class"),
        (np.linspace(0, 1, 300), "Unknown label type: continuous"),
        (
            np.arange(600).reshape(300, 2) % 5,
            "several columns of more than two labels; wanted one label per row",
        ),
        (None, "requires y to be passed"),
        (np.where(np.arange(300) == 5, np.nan, 1.0), "Input y contains NaN"),
    ],
)
def test_labels_that_cannot_be_used(y, message):
    with pytest.raises(ValueError, match=message):
        TorchClassifier().fit(classification()[0], y)


@pytest.mark.parametrize("labels", [[1, "a"], ["a", 1], [1.5, "a"]])
def test_labels_of_several_types_are_refused(labels):
    X, y = classification()
    kinds = f"{type(min(labels, key=str)).__name__} and str"
    with pytest.raises(TypeError, match=rf"y has labels of several types, {kinds}; wanted text al"):
        TorchClassifier().fit(X, np.array(labels * 150, dtype=object))
    clf = TorchClassifier(max_epochs=1).fit(X, y)
    with pytest.raises(TypeError, match="y has labels of several types"):
        clf.score(X, np.array(labels * 150, dtype=object))


def test_float64_probabilities():
    X, y = classification()
    assert TorchClassifier(max_epochs=1).fit(X, y).predict_proba(X).dtype == np.float32
    clf = TorchClassifier(max_epochs=1, precision="float64").fit(X, y)
    assert clf.predict_proba(X).dtype == np.float64
    assert clf.module_.layers[0].weight.dtype == torch.float64


def test_scoring_callbacks_of_skorch():
    X, y = classification()
    scoring = EpochScoring("accuracy", lower_is_better=False, name="valid_acc")
    clf = TorchClassifier(callbacks=[scoring], max_epochs=3, random_state=0)
    clf.fit(X, y, X_val=X, y_val=y)
    assert clf.history_[-1]["valid_acc"] == pytest.approx(clf.score(X, y))


def test_labels_that_look_like_classes_warn():
    X, y = classification(30)
    with pytest.warns(UserWarning, match=r"exactly one 1 in its 3 columns.*y.argmax\(axis=1\)"):
        TorchClassifier(max_epochs=1).fit(X, np.eye(3)[y])
    TorchClassifier(max_epochs=1).fit(X, np.stack([y > 0, y > 1], 1).astype(int))


def test_a_first_part_of_one_class_says_how_to_name_them_all():
    X, _ = classification(10)
    y = np.zeros(10, int)
    with pytest.raises(ValueError, match=r"got one class: \[0\]\. .*partial_fit\(X, y, classes="):
        TorchClassifier().partial_fit(X, y)
    assert TorchClassifier().partial_fit(X, y, classes=[0, 1]).n_iter_ == 1
    with pytest.raises(ValueError, match=r"got one class: \[0\]\.$"):
        TorchClassifier().fit(X, y)
