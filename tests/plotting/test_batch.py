import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from sklearn.linear_model import LogisticRegression
from torch import nn

import sklearnish as sn

Display = sn.plotting.BatchDisplay
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 3, 4, 4), dtype=np.uint8)
NAMES = ["cat", "dog"] * 20
FRAME = pd.DataFrame({"town": ["Bern", "Rome"] * 20, "n": np.arange(40)})


def test_images_of_a_dataset():
    display = Display.from_dataset(sn.as_dataset(IMAGES, NAMES), n_rows=5)
    assert len(display.images_) == 5
    assert [text.get_text() for text in display.texts_] == display.labels
    assert set(display.labels) == {"cat", "dog"}
    assert display.images_[0].get_array().shape == (4, 4, 3)
    assert display.table_ is None
    assert not display.ax_.axison


def test_a_table_of_a_dataset():
    _, ax = plt.subplots(figsize=(8, 4))
    display = Display.from_dataset(sn.as_dataset(FRAME, NAMES), n_rows=3, ax=ax)
    assert display.ax_ is ax
    head = [display.table_[0, i].get_text().get_text() for i in range(3)]
    assert head == ["town", "n", "target"]
    assert display.images_ == []
    assert display.plot().figure_ is not ax.figure


def test_the_batch_of_an_estimator_is_the_first_that_it_trains_on():
    batches = []

    class Noting(nn.Module):
        def __init__(self, in_features, out_features):
            super().__init__()
            self.out = nn.Linear(in_features, out_features)

        def forward(self, X):
            if self.training and torch.is_grad_enabled():
                batches.append(X.detach().clone())
            return self.out(X.float().flatten(1))

    def noise(x, rng):
        return x * float(rng.uniform())

    clf = sn.TorchClassifier(Noting, augment=noise, batch_size=16, max_epochs=1, random_state=3)
    before = Display.from_estimator(clf, IMAGES, NAMES, n_rows=9)
    clf.fit(IMAGES, NAMES)
    after = Display.from_estimator(clf, IMAGES, NAMES, n_rows=9)
    trained = next(X for X in batches if len(X) == 16)
    np.testing.assert_array_equal(after.rows, trained[:9].numpy())
    np.testing.assert_array_equal(before.rows, after.rows)


def test_an_estimator_of_tables_shows_the_table():
    display = Display.from_estimator(sn.TabularClassifier(), FRAME, NAMES, n_rows=2)
    assert display.rows.columns.tolist() == ["town", "n"]


def test_a_table_without_names_has_those_of_the_fit():
    rows = FRAME.to_numpy()  # of objects
    display = Display.from_estimator(sn.TabularClassifier(), rows, NAMES, n_rows=40)
    assert display.rows.columns.tolist() == ["x0", "x1"]
    labels = dict(zip(display.rows["x1"], display.labels, strict=True))
    assert labels == dict(enumerate(NAMES))


@pytest.mark.parametrize(
    ("params", "X", "message"),
    [
        ({}, IMAGES.reshape(40, -1), r"takes images: .* rows of shape \(48,\)"),
        ({}, np.zeros((40, 8, 8, 3), np.uint8), "channels first"),
        ({"crop": 9}, IMAGES, "too small for crop=9"),
        ({"crop": -1}, IMAGES, "'crop' parameter of ImageClassifier"),
        ({}, IMAGES[:0], "0 sample"),
        ({}, sn.as_dataset(IMAGES)[:0], "0 sample"),
    ],
)
def test_the_checks_of_fit_come_first(params, X, message):
    clf = sn.ImageClassifier(**params)
    with pytest.raises(ValueError, match=message):
        Display.from_estimator(clf, X, NAMES[: len(X)])
    assert vars(clf) == vars(sn.ImageClassifier(**params))


def test_checks_leave_a_fitted_estimator_as_it_is():
    clf = sn.TorchClassifier(max_epochs=1).fit(FRAME[["n"]], NAMES)
    before = dict(vars(clf))
    Display.from_estimator(clf, IMAGES, NAMES, n_rows=2)
    assert vars(clf) == before


def test_a_transformer_has_no_labels_but_those_given():
    model = sn.TorchTransformer()
    assert Display.from_estimator(model, FRAME[["n"]], n_rows=2).labels is None
    assert len(Display.from_estimator(model, FRAME[["n"]], NAMES, n_rows=2).labels) == 2


def test_what_cannot_be_drawn():
    with pytest.raises(TypeError, match=r"must be a Dataset, not ndarray.*sn\.as_dataset"):
        Display.from_dataset(IMAGES)
    with pytest.raises(TypeError, match=r"LogisticRegression does not train on batches"):
        Display.from_estimator(LogisticRegression(), IMAGES)
    with pytest.raises(ValueError, match="0 sample"):
        Display.from_dataset(sn.as_dataset(IMAGES)[:0])
    figures = plt.get_fignums()
    with pytest.raises(ValueError, match="neither images"):
        Display.from_dataset(sn.as_dataset(np.zeros((9, 2, 3, 4, 5))))
    assert plt.get_fignums() == figures
