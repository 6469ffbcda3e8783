"""Copies of the target among the features are told."""

import warnings

import numpy as np
import pandas as pd
import pytest

import sklearnish as sn

N = 300
RNG = np.random.default_rng(0)
LABELS = RNG.choice(["good", "bad", "worse"], N)
Y = RNG.normal(size=N) * 100
X = pd.DataFrame({"a": RNG.normal(size=N), "b": RNG.choice(["x", "y"], N)})
BRIEF = {"n_members": 2, "width": 8, "max_steps": 5, "random_state": 0}


def _told(X, y, kind="classifier", **params):
    model = {"classifier": sn.TabularClassifier, "regressor": sn.TabularRegressor}[kind]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model(**BRIEF | params).fit(X, y)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    "leak",
    [
        LABELS,
        pd.Categorical(LABELS),
        np.char.add(LABELS, RNG.integers(0, 3, N).astype(str)),
        np.unique(LABELS, return_inverse=True)[1],
        np.where(LABELS == "bad", np.nan, np.unique(LABELS, return_inverse=True)[1]),
    ],
    ids=["text", "category", "finer", "number", "missing"],
)
def test_a_column_that_tells_the_class_is_named(leak, tmp_path):
    data = X.assign(leak=leak)
    (told,) = _told(data, LABELS)
    assert told.startswith("Column 'leak' alone tells the target in all 269 rows")
    assert not _told(data, LABELS, kinds={"leak": "drop"})
    data.assign(y=LABELS).to_parquet(tmp_path / "t.parquet")
    ds = sn.scan_parquet(tmp_path / "t.parquet", target="y")
    assert _told(ds, None, shuffle_memory=256, num_workers=0) == [told]


def test_a_column_that_is_the_number_is_named():
    (told,) = _told(X.assign(leak=Y.astype(np.float32)), Y, "regressor")
    assert "'leak'" in told
    assert not _told(X.assign(near=Y + RNG.normal(size=N)), Y, "regressor")


def test_what_may_be_an_accident_is_not():
    assert not _told(X.assign(own=RNG.permutation(N)), LABELS)  # each value once
    assert not _told(X.assign(leak=LABELS)[:50], LABELS[:50])  # 45 rows of training
    almost = np.where(np.arange(N) < 10, "good", LABELS)
    assert not _told(X.assign(almost=almost), LABELS)
    rare = np.where(np.arange(N) < 4, "bad", "good")
    odd = np.where(np.arange(N) < 4, np.arange(N).astype(str), "same")
    assert not _told(X.assign(odd=odd), rare)
