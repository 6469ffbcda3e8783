"""Targets: those that cannot be learned say what to do; labels are checked as by scikit-learn."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets

from sklearnish import TorchClassifier, TorchRegressor, as_dataset, scan_csv, scan_parquet
from sklearnish.estimators._fitting.labels import check_labels, check_no_missing
from tests.estimators.common import classification, regression

LABELS = {
    "int64": np.arange(100) % 7 - 3,
    "int8": (np.arange(100) % 7).astype(np.int8),
    "big endian": (np.arange(100) % 7).astype(">i4"),
    "bool": np.arange(100) % 2 == 0,
    "float": np.arange(100) % 3 * 1.0,
    "text": np.array(["b", "a", "c"])[np.arange(99) % 3],
    "objects": np.array(["b", "a", "c"], dtype=object)[np.arange(99) % 3],
    "indicator": np.eye(4, dtype=int)[np.arange(100) % 4],
    "strided": np.repeat(np.arange(50), 4)[::2],
}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_the_distinct_ones_are_those_of_numpy(y):
    found, multilabel, distinct = check_labels(y)
    assert np.array_equal(found, y)
    assert multilabel is (y.ndim == 2)
    assert np.array_equal(distinct, np.unique(y))
    assert distinct.dtype == y.dtype


@pytest.mark.parametrize(
    "y",
    [
        np.linspace(0, 1, 100),
        np.arange(100) % 10 + 0.5,
        np.arange(100),
        np.arange(300) // 2,
        np.arange(300) // 3,
        np.full((100, 2, 2), 1),
    ],
    ids=["continuous", "few fractions", "all differ", "half differ", "a third", "three axes"],
)
def test_refused_and_warned_of_as_by_scikit_learn(y):
    assert _told(lambda: check_labels(y)) == _told(lambda: check_classification_targets(y))


def _told(check):
    """Collect the warnings of a check and the beginning of its error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check()
        except ValueError as error:
            return "Unknown label type" in str(error)
    return [str(one.message) for one in caught]


def test_an_indicator_of_other_values_than_0_and_1_is_refused():
    X, _ = classification()
    Y = np.where(X[:, :3] > 0, 1, -1)
    with pytest.raises(ValueError, match=r"labels \[-1, 1\].*0/1 indicator.*\(y == 1\)"):
        TorchClassifier().fit(X, Y)
    assert TorchClassifier(max_epochs=1).fit(X, Y > 0).multilabel_


@pytest.mark.parametrize("labels", [["a", None, "b"], [0.0, np.nan, 1.0]])
def test_a_missing_label_is_named_by_file_and_row(tmp_path, labels):
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"x": range(30), "y": labels * 10}).to_parquet(path)
    ds = scan_parquet(path, target="y")
    with pytest.raises(ValueError, match=r"Input y contains NaN.*row 1 of .*rows\.parquet"):
        TorchClassifier().fit(ds)
    with pytest.raises(ValueError, match=r"Input y contains NaN.*row 4 of .*rows\.parquet"):
        TorchClassifier().fit(ds[2:])


def test_a_target_that_requires_grad():
    X, y = regression()
    target = torch.tensor(y, requires_grad=True)
    assert np.isfinite(TorchRegressor(max_epochs=1).fit(X, target).loss_)


def test_the_name_of_a_column_is_no_target():
    X, y = classification()
    ds = as_dataset(pd.DataFrame(X).assign(label=y))
    for refused in (
        lambda: TorchClassifier().fit(ds, "label"),
        lambda: TorchClassifier().fit(X, y, X_val=X, y_val="label"),
        lambda: ds.with_target("label"),
    ):
        with pytest.raises(TypeError, match=r"y='label' is one string.*scan with target='label'"):
            refused()


@pytest.mark.parametrize("weight", [-1.0, np.inf, np.nan])
def test_class_weights_must_be_weights(weight):
    X, y = classification()
    with pytest.raises(ValueError, match="must be finite and not negative"):
        TorchClassifier(class_weight={0: weight}).fit(X, y)


WITHOUT = "requires y to be passed, but the target y is None.*"


DAYS = np.datetime64("2024-01-01") + np.arange(20)


@pytest.fixture(scope="module")
def rows():
    return classification(20, classes=2)


@pytest.fixture
def clf():
    return TorchClassifier(max_epochs=1, random_state=0)


class Unlabelled(torch.utils.data.Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, i):
        return torch.tensor([float(i), 1.0])


def test_each_cause_of_missing_targets_has_its_cure(clf, rows):
    X, y = rows
    ds = as_dataset(X, y)
    whole = make_pipeline(StandardScaler(), clf)
    beside = r"as in fit\(X, y\).*pass the target too, fit\(ds, ds.target\)"
    own = r"The Dataset of .* has no target.*fit\(ds, y\)"
    calls = [
        (lambda: clf.fit(X), beside),
        (lambda: clf.partial_fit(X), beside),
        (lambda: whole.fit(ds), beside),
        (lambda: cross_val_score(whole, ds, cv=2, error_score="raise"), beside),
        (lambda: clf.fit(as_dataset(X)), own),
        (lambda: clf.fit(Unlabelled()), r"Let its __getitem__ return \(x, y\)"),
        (lambda: clf.fit(ds).score(X), beside),
        (lambda: clf.fit(ds).score(as_dataset(X)), own),
    ]
    for call, cure in calls:
        with pytest.raises(ValueError, match=WITHOUT + cure):
            call()
    assert whole.fit(ds, ds.target).score(ds, ds.target) > 0


@pytest.mark.parametrize("kind", ["datetime64", "Series", "time zone", "objects"])
@pytest.mark.parametrize("what", ["dates", "durations"])
def test_dates_are_no_numbers(rows, kind, what):
    y = DAYS if what == "dates" else DAYS - DAYS[0]
    if kind != "datetime64":
        y = pd.Series(y)
    if kind == "time zone" and what == "dates":
        y = y.dt.tz_localize("UTC")
    if kind == "objects":
        y = y.astype(object)
    reg = TorchRegressor(max_epochs=1).fit(*rows)
    for call in (reg.score, TorchRegressor().fit, reg.partial_fit):
        with pytest.raises(ValueError, match=rf'y holds {what}.*np.timedelta64\(1, "D"\)'):
            call(rows[0], y)
    if kind == "objects":
        return
    days = (y - y.min()) / np.timedelta64(1, "D") if what == "dates" else y / np.timedelta64(1, "D")
    assert reg.fit(rows[0], np.asarray(days, float)).loss_ > 0  # the cure


def test_dates_as_labels(clf, rows):
    X, y = rows
    labels = DAYS[y]
    assert set(clf.fit(X, labels).predict(X)) <= set(labels)
    zoned = pd.Series(labels).dt.tz_localize("UTC")
    with pytest.raises(ValueError, match=r"y holds dates.*y.astype\(str\)"):
        clf.fit(X, zoned)
    assert clf.fit(X, zoned.astype(str)).score(X, zoned.astype(str)) > 0
    with pytest.raises(ValueError, match=r"the target of row 3 of .* is missing, and 1 in all"):
        clf.fit(X, pd.Series(labels).where(np.arange(20) != 3))


def test_a_missing_date_among_objects_is_no_class(clf, rows):
    labels = pd.Series(DAYS[rows[1]]).astype(object)
    labels[3] = pd.NaT
    with pytest.raises(ValueError, match=r"the target of row 3 is missing, and 1 in all"):
        clf.fit(rows[0], labels)


@pytest.mark.parametrize("dtype", [str, object, "string"])
def test_words_are_no_numbers(rows, dtype):
    words = pd.Series(["low", "high"] * 10).astype(dtype)
    with pytest.raises(ValueError, match=r"y holds text, and TorchRegressor.*TorchClassifier"):
        TorchRegressor(max_epochs=1).fit(rows[0], words)
    numbers = pd.Series(["1.5", "2"] * 10).astype(dtype)
    assert TorchRegressor(max_epochs=1).fit(rows[0], numbers).loss_ > 0


@pytest.mark.parametrize("kind", ["datetime64[s]", "timedelta64[s]"])
def test_a_missing_time_is_missing(kind):
    y = np.array([1, 2, "NaT", "NaT"], dtype=kind)
    with pytest.raises(ValueError, match=r"target of row 2 of .* is missing, and 2 in all"):
        check_no_missing(y, as_dataset(np.zeros((4, 1))))
    check_no_missing(y[:2], as_dataset(np.zeros((2, 1))))


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("word", ["None", "NA", "null"])
def test_a_label_that_csv_takes_for_missing_is_named(tmp_path, monkeypatch, word, given):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "rows.csv"
    path.write_text("a,y\n" + f"1,Mild\n2,{word}\n3,Severe\n" * 9)
    ds = scan_csv(path, target="y")
    advice = rf"'{word}' in 'y', which scan_csv reads as missing.*keep_default_na=False"
    with pytest.raises(ValueError, match=rf"target of data row 1 .* and 9 in all.*{advice}"):
        TorchClassifier(max_epochs=1).fit(ds, *[ds.target] * given)
    kept = scan_csv(path, target="y", keep_default_na=False, na_values=[""])
    clf = TorchClassifier(max_epochs=1).fit(kept)
    assert clf.classes_.tolist() == sorted(["Mild", word, "Severe"])


def test_a_label_that_is_not_there_gets_no_such_advice(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "rows.csv"
    path.write_text("a,y\n" + "1,Mild\n2,\n3,Severe\n" * 9)
    with pytest.raises(ValueError, match=r"is missing, and 9 in all\. Leave such rows out"):
        TorchClassifier(max_epochs=1).fit(scan_csv(path, target="y"))
    with pytest.raises(ValueError, match=r"is missing, and 1 in all\. Leave such rows out"):
        TorchClassifier(max_epochs=1).fit(pd.DataFrame({"a": [1, 2, 3]}), ["x", None, "y"])
