"""Looking at fitted models."""

from sklearn.calibration import CalibrationDisplay
from sklearn.inspection import (
    DecisionBoundaryDisplay,
    PartialDependenceDisplay,
    partial_dependence,
    permutation_importance,
)
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    DetCurveDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
)

import sklearnish as sn
from tests.ecosystem.data import clf, reg


def dependence(rows):
    """`partial_dependence`, `PartialDependenceDisplay`"""
    model = clf().fit(rows.X, rows.two)
    found = partial_dependence(model, rows.X, [0], grid_resolution=3, kind="both")
    assert found.average.shape == (1, 3)
    PartialDependenceDisplay.from_estimator(model, rows.X, [0, (0, 1)], grid_resolution=3)


def permutation(rows):
    """`permutation_importance`"""
    X = rows.X[:, :] if hasattr(rows.X, "read") else rows.X
    model = clf(max_epochs=10).fit(X, rows.two)
    found = permutation_importance(model, X, rows.two, n_repeats=2, random_state=0)
    assert found.importances_mean.argmax() == 0


def our_permutation(rows):
    """`sklearnish.inspection.permutation_importance`"""
    model = clf(max_epochs=10).fit(rows.X, rows.two)
    found = sn.inspection.permutation_importance(
        model, rows.X, rows.two, n_repeats=2, random_state=0
    )
    assert found.importances_mean.argmax() == 0


def boundary(rows):
    """`DecisionBoundaryDisplay`"""
    two = rows.X[:, [0, 1]]
    shown = DecisionBoundaryDisplay.from_estimator(clf().fit(two, rows.two), two, grid_resolution=3)
    assert shown.response.shape == (3, 3)


def classification_displays(rows):
    """`ConfusionMatrixDisplay`, `RocCurveDisplay`, `PrecisionRecallDisplay`, `DetCurveDisplay`"""
    model = clf().fit(rows.X, rows.two)
    kinds = ConfusionMatrixDisplay, RocCurveDisplay, PrecisionRecallDisplay, DetCurveDisplay
    for kind in kinds:
        kind.from_estimator(model, rows.X, rows.two)


def calibration_display(rows):
    """`CalibrationDisplay`"""
    model = clf().fit(rows.X, rows.two)
    assert len(CalibrationDisplay.from_estimator(model, rows.X, rows.two).prob_true) > 0


def errors_display(rows):
    """`PredictionErrorDisplay`"""
    model = reg().fit(rows.X, rows.number)
    PredictionErrorDisplay.from_estimator(model, rows.X, rows.number)
