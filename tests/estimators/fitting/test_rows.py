"""Weights, and rows that cannot be used: on_bad_rows="skip" fits without them and lists them."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

import sklearnish as sn
from sklearnish import TorchClassifier, TorchRegressor, as_dataset
from tests.data.test_bad_rows import damaged_group, pictures  # noqa: F401 - fixtures
from tests.estimators.common import TwoLayers, classification, regression


def test_weights():
    X, y = classification()
    with pytest.raises(ValueError, match="at least one non-zero"):
        TorchClassifier().fit(X, y, sample_weight=np.zeros(len(y)))
    with pytest.raises(ValueError, match="Negative"):
        TorchClassifier().fit(X, y, sample_weight=-np.ones(len(y)))


@pytest.mark.parametrize(
    "clf",
    [
        TorchClassifier(class_weight={0: 3.0, 1: 2.0}),
        sn.MLPClassifier((4,)),
        sn.TabularClassifier(width=8, n_members=2),
    ],
    ids=lambda clf: type(clf).__name__,
)
def test_labels_of_weight_zero_are_classes_that_train_nothing(clf, tmp_path):
    X, y = classification(90)
    frame = pd.DataFrame(X).add_prefix("x")
    frame.assign(y=y).to_parquet(tmp_path / "rows.parquet", row_group_size=40)
    files = sn.scan_parquet(tmp_path / "rows.parquet", target="y")
    weight = np.where(y == 0, 0.0, 1.0)
    clf.set_params(random_state=0)
    wanted = clone(clf).partial_fit(frame[y > 0], y[y > 0], classes=[0, 1, 2]).predict_proba(frame)
    for rows, labels in ((frame, y), (files, None)):
        found = clone(clf).partial_fit(rows, labels, sample_weight=weight)
        assert found.classes_.tolist() == [0, 1, 2]
        np.testing.assert_allclose(found.predict_proba(frame), wanted, rtol=1e-4)
        found.partial_fit(rows, labels)  # now with rows of all classes
    with pytest.raises(ValueError, match="not among the classes"):
        found.partial_fit(frame, np.where(y == 0, 7, y), sample_weight=weight)


@pytest.mark.parametrize(
    "options",
    [
        {"class_weight": "balanced", "early_stopping": True, "monitor": "accuracy"},
        {"sampler": "balanced", "early_stopping": True},
        {"sampler": "weighted"},
    ],
    ids=str,
)
def test_a_class_of_weight_zero_is_neither_drawn_nor_weighed_nor_held_out(options):
    X, y = classification()
    keep = y > 0
    clf = TorchClassifier(max_epochs=2, batch_size=50, random_state=0, **options)
    clf.fit(X, y, sample_weight=keep * 1.0)
    rows = [epoch.rows for epoch in clf.pipeline_report_.epochs]
    alone = clone(clf).fit(X[keep], y[keep], sample_weight=np.ones(keep.sum()))
    assert clf.classes_.tolist() == [0, 1, 2]
    assert rows == [epoch.rows for epoch in alone.pipeline_report_.epochs]
    probabilities = clf.predict_proba(X)
    assert np.isfinite(probabilities).all()
    assert (probabilities[keep].argmax(1) > 0).all()
    assert clf.score(X, y, sample_weight=keep * 1.0) > 0.6


def test_targets_of_weight_zero_are_checked():
    X, y = classification(30)
    missing, weight = y.astype(float), np.ones(30)
    missing[7], weight[7] = np.nan, 0.0
    for estimator in (TorchClassifier(), TorchRegressor()):
        with pytest.raises(ValueError, match="y contains NaN: the target of row 7 of"):
            estimator.fit(X, missing, sample_weight=weight)


def test_images_of_weight_zero():
    images = np.random.default_rng(0).integers(0, 255, (30, 1, 8, 8), np.uint8)
    y = np.array(["ant", "bee", "cow"] * 10)
    clf = sn.ImageClassifier(width=4, max_epochs=1, batch_size=16, random_state=0)
    clf.fit(images, y, sample_weight=(y != "bee") * 1.0)
    assert clf.classes_.tolist() == ["ant", "bee", "cow"]
    assert clf.pipeline_report_.epochs[0].rows == 20


def test_weights_of_a_dataset_are_used():
    X, y = regression()
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
    make = lambda: TorchRegressor(max_epochs=2, random_state=0)  # noqa: E731
    given = make().fit(X, y, sample_weight=weight).predict(X)
    assert np.array_equal(make().fit(as_dataset(X, y, sample_weight=weight)).predict(X), given)
    assert not np.array_equal(make().fit(X, y).predict(X), given)


@pytest.mark.parametrize("monitor", ["loss", "accuracy"])
def test_a_class_of_weight_zero_is_left_out(monitor):
    X, y = classification()
    clf = TorchClassifier(class_weight={0: 0.0}, batch_size=1, max_epochs=1, monitor=monitor)
    clf.fit(X[:40], y[:40], X_val=X, y_val=y)
    assert np.isfinite(clf.loss_)
    assert clf.pipeline_report_.epochs[0].rows == (y[:40] != 0).sum()


def test_tiny_weights_are_as_good_as_others():
    X, y = regression()
    params = {"max_epochs": 2, "random_state": 0}
    plain = TorchRegressor(**params).fit(X, y, sample_weight=np.ones(300))
    tiny = TorchRegressor(**params).fit(X, y, sample_weight=np.full(300, 1e-50))
    np.testing.assert_array_equal(tiny.predict(X), plain.predict(X))


X, Y = classification(200)
BAD = [5, 60, 61, 199]


def spoilt():
    rows = X.copy()
    rows[BAD, 2] = np.nan
    return rows


def good():
    return np.delete(X, BAD, axis=0), np.delete(Y, BAD)


def params(**more):
    return {"max_epochs": 2, "random_state": 0, "early_stopping": True, **more}


@pytest.mark.parametrize(
    "make",
    [np.asarray, pd.DataFrame, sn.as_dataset, torch.from_numpy, np.ndarray.tolist],
    ids=["array", "frame", "Dataset", "tensor", "list"],
)
def test_the_fit_is_that_of_the_good_rows(make):
    clf = sn.TorchClassifier(**params(on_bad_rows="skip"))
    with pytest.warns(UserWarning, match="4 rows are left out") as caught:
        clf.fit(make(spoilt()), Y, sample_weight=np.ones(200))
    assert len(caught) == 1
    rows, labels = good()
    wanted = sn.TorchClassifier(**params()).fit(rows, labels, sample_weight=np.ones(196))
    np.testing.assert_array_equal(clf.predict_proba(rows), wanted.predict_proba(rows))
    report = clf.pipeline_report_
    assert report.n_skipped == 4
    assert len(report.skipped) == 3  # neighbours together
    assert [int(name.split()[1]) for name in report.skipped] == [5, 60, 199]
    assert "row 60 of" in str(report)


def test_rows_of_weight_zero_are_not_looked_at():
    weight = np.ones(200)
    weight[[2, 60]] = 0.0
    clf = sn.TorchClassifier(**params(on_bad_rows="skip"))
    with pytest.warns(UserWarning, match="3 rows are left out"):
        clf.fit(spoilt(), Y, sample_weight=weight)
    assert [int(name.split()[1]) for name in clf.pipeline_report_.skipped] == [5, 61, 199]
    left = np.delete(np.arange(200), [2, *BAD])
    wanted = sn.TorchClassifier(**params()).fit(X[left], Y[left], sample_weight=weight[left])
    np.testing.assert_array_equal(clf.predict_proba(X), wanted.predict_proba(X))


def test_a_class_of_bad_rows_alone_is_none():
    labels = Y.copy()
    labels[60] = 7
    clf = sn.TorchClassifier(**params(on_bad_rows="skip"))
    with pytest.warns(UserWarning, match="4 rows are left out"):
        clf.fit(spoilt(), labels)
    assert clf.classes_.tolist() == np.unique(good()[1]).tolist()
    only = np.zeros(200, int)
    only[60] = 1
    with pytest.raises(ValueError, match="needs at least 2 classes"):
        clf.fit(spoilt(), only)


def test_by_default_they_are_an_error_and_predictions_never_skip():
    with pytest.raises(ValueError, match="NaN"):
        sn.TorchClassifier(**params()).fit(sn.as_dataset(spoilt()), Y)
    clf = sn.TorchClassifier(**params(on_bad_rows="skip")).fit(X, Y)
    assert (clf.pipeline_report_.n_skipped, clf.pipeline_report_.skipped) == (0, ())
    for rows in (spoilt(), spoilt().tolist(), sn.as_dataset(spoilt())):
        with pytest.raises(ValueError, match="NaN"):
            clf.predict(rows)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_damaged_files(pictures, damaged_group, num_workers):  # noqa: F811
    for ds, count in ((pictures, 2), (damaged_group, 25)):
        module = {"module": torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))}
        options = module if ds is pictures else {}
        clf = sn.TorchClassifier(num_workers=num_workers, **params(max_epochs=1), **options)
        with pytest.raises(ValueError, match="cannot be"):
            clf.fit(ds)
        clf.set_params(on_bad_rows="skip")
        with pytest.warns(UserWarning, match=f"{count} rows are left out"):
            clf.fit(ds)
        assert clf.pipeline_report_.n_skipped == count
        assert np.isfinite(clf.loss_)


def test_validation_rows_and_partial_fit():
    clf = sn.TorchClassifier(**params(on_bad_rows="skip"))
    with pytest.warns(UserWarning, match="8 rows are left out"):
        clf.fit(spoilt(), Y, X_val=sn.as_dataset(spoilt()), y_val=Y)
    with pytest.warns(UserWarning, match="4 rows are left out"):
        clf.partial_fit(spoilt(), Y)
    assert clf.n_iter_ == 3


def test_nothing_left_is_an_error():
    with pytest.raises(ValueError, match=r"All 200 rows .* are damaged, NaN or infinite"):
        sn.TorchClassifier(on_bad_rows="skip").fit(np.full_like(X, np.nan), Y)


def test_a_regressor():
    with pytest.warns(UserWarning, match="4 rows are left out"):
        sn.TorchRegressor(**params(on_bad_rows="skip")).fit(spoilt(), X[:, 0])


def test_validation_is_weighed_whatever_the_sampler():
    X, y = regression()
    weight = np.linspace(0.01, 1, 300)
    valid = {"X_val": X, "y_val": y, "sample_weight_val": weight}
    reg = TorchRegressor(sampler="weighted", max_epochs=1, random_state=0)
    reg.fit(X, y, sample_weight=weight, **valid)
    expected = np.average((reg.predict(X).astype(float) - y) ** 2, weights=weight)
    assert reg.history_[-1]["valid_loss"] == pytest.approx(expected, rel=1e-3)


def test_balanced_drawing_leaves_class_weights_to_validation():
    X, y = classification()
    losses = {}
    for sampler in ("shuffle", "balanced"):
        for class_weight in (None, {0: 9.0}):
            clf = TorchClassifier(TwoLayers, sampler=sampler, random_state=0)
            clf.set_params(class_weight=class_weight, lr=1e-12, max_epochs=1).fit(
                X, y, X_val=X, y_val=y
            )
            losses[sampler, bool(class_weight)] = clf.history_[0]
    valid = {key: record["valid_loss"] for key, record in losses.items()}
    train = {key: record["train_loss"] for key, record in losses.items()}
    assert valid["balanced", True] == pytest.approx(valid["shuffle", True], rel=1e-4)
    assert valid["balanced", True] != pytest.approx(valid["balanced", False], rel=1e-4)
    assert train["balanced", True] == pytest.approx(train["balanced", False], rel=1e-6)


def test_rows_drawn_by_weight_are_not_weighted_again():
    X, y = regression()
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
    reg = TorchRegressor(max_epochs=1, sampler="weighted").fit(X, y, sample_weight=weight)
    assert not reg.net_.weighted
