"""scikit-learn's scorers and displays take a lazy X, and show what they show for arrays."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    DetCurveDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
    check_scoring,
    get_scorer,
    make_scorer,
)
from sklearn.model_selection import cross_validate

pytest.importorskip("matplotlib").use("Agg")

CLASSIFICATION = [
    "accuracy",
    "balanced_accuracy",
    "average_precision",
    "f1",
    "neg_brier_score",
    "neg_log_loss",
    "roc_auc",
    "matthews_corrcoef",
]
REGRESSION = ["r2", "neg_mean_squared_error", "neg_median_absolute_error", "neg_max_error"]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def fitted(table, clf):
    return clf.fit(table.X, table.label)


@pytest.fixture
def unnamed(make):
    """Rows that may be given to a model of plain arrays."""
    return make("npy")


def test_scorers_of_classifiers(ds, table, clf):
    plain = clone(clf).fit(table.X, table.label)
    clf.fit(ds)
    for name in CLASSIFICATION:
        scorer = get_scorer(name)
        assert scorer(clf, ds, ds.target) == scorer(plain, table.X, table.label), name


def test_scorers_of_regressors(ds_value, table, reg):
    plain = clone(reg).fit(table.X, table.value)
    reg.fit(ds_value)
    for name in REGRESSION:
        scorer = get_scorer(name)
        assert scorer(reg, ds_value, ds_value.target) == scorer(plain, table.X, table.value), name


def test_a_scorer_of_ones_own(parquet, clf):
    def share_of_ones(y_true, y_pred):
        return float(np.mean(y_pred == 1))

    scorer = make_scorer(share_of_ones)
    clf.fit(parquet)
    assert scorer(clf, parquet, parquet.target) == np.mean(clf.predict(parquet))


def test_a_scorer_that_sees_the_dataset(parquet, clf):
    def scored(estimator, X, y):
        return {"rows": len(X), "same": float(np.array_equal(X.target, y))}

    result = cross_validate(clf, parquet, parquet.target, cv=3, scoring=scored)
    assert result["test_rows"].tolist() == [40, 40, 40]
    assert result["test_same"].tolist() == [1, 1, 1]


def test_passthrough_scorer(ds, clf):
    clf.fit(ds)
    assert check_scoring(clf)(clf, ds, ds.target) == clf.score(ds)


@pytest.mark.parametrize(
    ("display", "attributes"),
    [
        (RocCurveDisplay, ("fpr", "tpr", "roc_auc")),
        (PrecisionRecallDisplay, ("precision", "recall")),
        (DetCurveDisplay, ("fpr", "fnr")),
        (CalibrationDisplay, ("prob_true", "prob_pred")),
        (ConfusionMatrixDisplay, ("confusion_matrix",)),
    ],
)
def test_displays_of_classifiers(unnamed, table, fitted, display, attributes):
    shown = display.from_estimator(fitted, unnamed, unnamed.target)
    plain = display.from_estimator(fitted, table.X, table.label)
    for name in attributes:
        np.testing.assert_array_equal(getattr(shown, name), getattr(plain, name))


def test_roc_display_over_every_kind(ds, clf):
    shown = RocCurveDisplay.from_estimator(clf.fit(ds), ds, ds.target)
    assert shown.roc_auc > 0.9


def test_roc_display_of_a_cross_validation(parquet, clf):
    results = cross_validate(
        clf, parquet, parquet.target, cv=2, return_estimator=True, return_indices=True
    )
    shown = RocCurveDisplay.from_cv_results(results, parquet, parquet.target)
    assert len(shown.roc_auc) == 2


def test_prediction_error_display(make, table, reg):
    ds = make("npy", "value")
    reg.fit(ds)
    shown = PredictionErrorDisplay.from_estimator(reg, ds, ds.target)
    plain = PredictionErrorDisplay.from_estimator(reg, table.X, table.value)
    np.testing.assert_array_equal(shown.y_pred, plain.y_pred)
    np.testing.assert_array_equal(shown.y_true, plain.y_true)
