import numpy as np
import pytest
from sklearn import neural_network
from sklearn.datasets import make_multilabel_classification
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
