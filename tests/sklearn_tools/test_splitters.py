"""scikit-learn's splitters, train_test_split, resample and shuffle over every kind of Dataset."""

import numpy as np
import pytest
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    LeavePGroupsOut,
    PredefinedSplit,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
    cross_val_score,
    train_test_split,
)
from sklearn.utils import resample, safe_mask, shuffle

from sklearnish.data import Dataset

SPLITTERS = [
    KFold(3),
    KFold(3, shuffle=True, random_state=0),
    StratifiedKFold(3),
    RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0),
    GroupKFold(3),
    StratifiedGroupKFold(3),
    LeaveOneGroupOut(),
    LeavePGroupsOut(9),
    TimeSeriesSplit(3),
    ShuffleSplit(2, random_state=0),
    StratifiedShuffleSplit(2, random_state=0),
    GroupShuffleSplit(2, random_state=0),
    PredefinedSplit(np.arange(120) % 3),
]


def names(value):
    return type(value).__name__


def groups_for(cv, table):
    """Return groups where a splitter asks for them; others warn."""
    return table.groups if "Group" in type(cv).__name__ else None


@pytest.mark.parametrize("cv", SPLITTERS, ids=names)
def test_folds_hold_the_rows_they_name(ds, table, cv):
    groups = groups_for(cv, table)
    folds = list(cv.split(ds, ds.target, groups))
    plain = list(cv.split(table.X, table.label, groups))
    assert len(folds) == len(plain) > 0
    for (train, test), expected in zip(folds, plain, strict=True):
        np.testing.assert_array_equal(train, expected[0])
        np.testing.assert_array_equal(np.asarray(ds[test]), table.X[expected[1]])
        np.testing.assert_array_equal(ds[test].target, table.label[expected[1]])


@pytest.mark.parametrize(
    "cv",
    [StratifiedKFold(3), GroupKFold(3), TimeSeriesSplit(3), ShuffleSplit(2, random_state=0)],
    ids=names,
)
@pytest.mark.parametrize("kind", ["array", "parquet", "torch"])
def test_scores_of_each_splitter(make, table, clf, cv, kind):
    ds = make(kind)
    options = {"cv": cv, "groups": groups_for(cv, table)}
    scores = cross_val_score(clf, ds, ds.target, **options)
    plain = cross_val_score(clf, table.X, table.label, **options)
    np.testing.assert_array_equal(scores, plain)


def test_train_test_split_stratified(ds, table, clf):
    options = {"test_size": 0.25, "stratify": ds.target, "random_state": 0}
    train, test, y_train, y_test = train_test_split(ds, ds.target, **options)
    X_train, X_test, *_ = train_test_split(table.X, table.label, **options)
    assert isinstance(train, Dataset)
    np.testing.assert_array_equal(np.asarray(test), X_test)
    np.testing.assert_array_equal(train.target, y_train)
    np.testing.assert_array_equal(test.target, y_test)
    assert clf.fit(train).score(test) == clf.fit(X_train, y_train).score(X_test, y_test)


def test_train_test_split_of_the_dataset_alone(ds):
    train, test = train_test_split(ds, shuffle=False, test_size=0.5)
    assert len(train) == len(test) == 60
    np.testing.assert_array_equal(np.r_[train.target, test.target], ds.target)


def test_split_of_a_split(parquet, table):
    rest, _ = train_test_split(parquet, test_size=0.5, random_state=0)
    _, small = train_test_split(rest, test_size=10, random_state=1)
    rows = np.arange(120)
    rest, _ = train_test_split(rows, test_size=0.5, random_state=0)
    _, rows = train_test_split(rest, test_size=10, random_state=1)
    np.testing.assert_array_equal(np.asarray(small), table.X[rows])


def test_resample(ds, table):
    drawn, y = resample(ds, ds.target, n_samples=50, random_state=0)
    X, _ = resample(table.X, table.label, n_samples=50, random_state=0)
    np.testing.assert_array_equal(np.asarray(drawn), X)
    np.testing.assert_array_equal(drawn.target, y)
    assert len(np.unique(drawn.rows)) < 50


def test_resample_by_class(ds, table):
    options = {"replace": False, "n_samples": 40, "stratify": ds.target, "random_state": 0}
    drawn = resample(ds, **options)
    np.testing.assert_array_equal(np.asarray(drawn), resample(table.X, **options))


def test_shuffle(ds, table, clf):
    mixed, y = shuffle(ds, ds.target, random_state=0)
    X, labels = shuffle(table.X, table.label, random_state=0)
    np.testing.assert_array_equal(np.asarray(mixed), X)
    assert clf.fit(mixed, y).score(mixed) == clf.fit(X, labels).score(X, labels)


def test_masks(ds, table):
    mask = table.value > 1
    np.testing.assert_array_equal(np.asarray(ds[safe_mask(ds, mask)]), table.X[mask])
