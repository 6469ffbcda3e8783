import numpy as np
import pandas as pd
import pytest
from sklearn import neural_network
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import BaggingClassifier
from sklearn.metrics import accuracy_score

import sklearnish as sn
from tests.estimators.common import classification

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = classification(150)
TEXT = np.array(["low", "middle", "top"], dtype=object)


@pytest.mark.parametrize("kind", ["binary", "text", "several"])
def test_probabilities_and_losses_are_those_of_scikit_learn(kind):
    rows, labels = X.astype(np.float64), {"binary": y > 0, "text": TEXT[y]}.get(kind)
    if kind == "several":
        rows, labels = make_multilabel_classification(60, 5, random_state=0)
    params = {"max_iter": 10, "random_state": 0}
    ours = sn.MLPClassifier(**params).fit(rows, labels)
    theirs = neural_network.MLPClassifier(**params).fit(rows, labels)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(ours.predict_proba(rows), theirs.predict_proba(rows), atol=1e-3)
    np.testing.assert_array_equal(ours.predict(rows), theirs.predict(rows))
    assert ours.out_activation_ == theirs.out_activation_
    assert ours.n_outputs_ == theirs.n_outputs_
    assert ours.score(rows, labels) == accuracy_score(labels, theirs.predict(rows))


def test_logarithms_of_probabilities():
    clf = sn.MLPClassifier(max_iter=3, random_state=0).fit(X, y)
    np.testing.assert_array_equal(clf.predict_log_proba(X), np.log(clf.predict_proba(X)))


def test_a_warm_start_wants_the_same_classes():
    clf = sn.MLPClassifier(max_iter=1, warm_start=True, random_state=0).fit(X, y)
    for other in (y > 0, y + 1):
        with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same"):
            clf.fit(X, other)
    clf.fit(X, y)


def test_classes_may_come_later():
    clf = sn.MLPClassifier(random_state=0).partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    clf.partial_fit(X, y)
    assert clf.predict_proba(X).shape == (150, 3)
    with pytest.raises(ValueError, match="classes"):
        clf.partial_fit(X, y, classes=[0, 1])


def test_one_class_is_learned_as_scikit_learn_does(tmp_path):
    params = {"hidden_layer_sizes": (5,), "max_iter": 5, "random_state": 0, "shuffle": False}
    rows, labels = X.astype(np.float64), np.full(150, "only")
    ours = sn.MLPClassifier(**params).fit(rows, labels)
    theirs = neural_network.MLPClassifier(**params).fit(rows, labels)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-4)
    # theirs has a second column, for a class that it does not name
    np.testing.assert_allclose(ours.predict_proba(rows), theirs.predict_proba(rows)[:, :1], 1e-3)
    assert ours.predict(rows).tolist() == labels.tolist()
    assert ours.score(rows, labels) == 1.0
    assert (ours.n_outputs_, ours.out_activation_) == (1, "logistic")
    for method, name in (("predict_proba", "probability_only"), ("decision_function", "decision")):
        ours.predict_to(tmp_path / "found.parquet", rows, method=method)
        assert list(pd.read_parquet(tmp_path / "found.parquet")) == [name]


def test_bags_of_rows_without_rare_classes_know_all():
    rare = np.zeros(150, int)
    rare[0] = 1
    clf = sn.MLPClassifier((4,), max_iter=2, random_state=0)
    bag = BaggingClassifier(clf, 3, random_state=0, max_samples=0.2).fit(X, rare)
    drawn = [rare[rows].max() for rows in bag.estimators_samples_]
    assert 0 in drawn
    assert [len(clf.classes_) for clf in bag.estimators_] == [2, 2, 2]
    assert bag.predict_proba(X).shape == (150, 2)
