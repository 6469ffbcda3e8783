"""What used to be wrong silently, or right only by luck."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.metrics import accuracy_score, log_loss
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sklearnish import TorchClassifier, TorchRegressor, as_dataset, scan_parquet
from tests.estimators.common import TwoLayers, classification, regression

# Targets


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


def test_no_rows():
    X, y = classification()
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        TorchClassifier().fit(as_dataset(X, y)[:0])


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


# Weights


@pytest.mark.parametrize("monitor", ["loss", "accuracy"])
def test_a_class_of_weight_zero_is_left_out(monitor):
    X, y = classification()
    clf = TorchClassifier(class_weight={0: 0.0}, batch_size=1, max_epochs=1, monitor=monitor)
    clf.fit(X[:40], y[:40], X_val=X, y_val=y)
    assert np.isfinite(clf.loss_)
    assert clf.pipeline_report_.epochs[0].rows == (y[:40] != 0).sum()


@pytest.mark.parametrize("weight", [-1.0, np.inf, np.nan])
def test_class_weights_must_be_weights(weight):
    X, y = classification()
    with pytest.raises(ValueError, match="must be finite and not negative"):
        TorchClassifier(class_weight={0: weight}).fit(X, y)


def test_tiny_weights_are_as_good_as_others():
    X, y = regression()
    params = {"max_epochs": 2, "random_state": 0}
    plain = TorchRegressor(**params).fit(X, y, sample_weight=np.ones(300))
    tiny = TorchRegressor(**params).fit(X, y, sample_weight=np.full(300, 1e-50))
    np.testing.assert_array_equal(tiny.predict(X), plain.predict(X))


def test_scores_are_weighted_by_the_user_alone():
    X, y = classification(classes=2)
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
    clf = TorchClassifier(class_weight={0: 100.0}, monitor="accuracy", max_epochs=2)
    clf.fit(X, y, X_val=X, y_val=y, sample_weight_val=weight)
    expected = accuracy_score(y, clf.predict(X), sample_weight=weight)
    assert clf.history_[-1]["valid_accuracy"] == pytest.approx(expected)


def test_balanced_drawing_leaves_the_validation_loss_weighted():
    X, y = classification(classes=2)
    clf = TorchClassifier(class_weight={0: 5.0}, sampler="balanced", max_epochs=1)
    clf.fit(X, y, X_val=X, y_val=y)
    expected = log_loss(y, clf.predict_proba(X), sample_weight=np.where(y == 0, 5.0, 1.0))
    assert clf.history_[-1]["valid_loss"] == pytest.approx(expected, rel=1e-4)


def test_a_monitor_without_weights_is_refused_before_training():
    X, y = regression()
    reg = TorchRegressor(monitor="neg_max_error")
    with pytest.raises(ValueError, match="'neg_max_error' takes no sample_weight"):
        reg.fit(X, y, X_val=X, y_val=y, sample_weight_val=np.ones(300))


# Parameters


def test_partial_fit_stops_at_nothing():
    X, y = classification()
    clf = TorchClassifier(early_stopping=True).partial_fit(X, y).partial_fit(X, y)
    assert clf.n_iter_ == 2


@pytest.mark.parametrize("change", [{"device": "cuda:99"}, {"module": nn.Linear(10, 7)}])
def test_a_failed_fit_leaves_no_mixed_estimator(change):
    X, y = classification()
    clf = TorchClassifier(max_epochs=1).fit(X, y)
    before = clf.classes_, clf.predict(X)
    with pytest.raises(ValueError, match=r"not available|returned shape"):
        clf.set_params(**change).fit(X, np.where(y == 0, 5, y))
    if hasattr(clf, "module_"):  # the old one, whole
        assert np.array_equal(clf.classes_, before[0])
        assert np.array_equal(clf.predict(X), before[1])


def test_a_module_that_failed_is_not_there():
    X, y = classification()
    clf = TorchClassifier(max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="returned shape"):
        clf.set_params(module=nn.Linear(10, 7)).fit(X, y)
    assert not hasattr(clf, "module_")


def test_what_makes_no_sense_is_refused():
    X, y = regression()
    with pytest.raises(ValueError, match="need X_val"):
        TorchRegressor().fit(X, y, y_val=y)
    with pytest.raises(ValueError, match="a regressor has none"):
        TorchRegressor(sampler="balanced").fit(X, y)
    with pytest.raises(ValueError, match=r"LBFGS is not supported.*closure"):
        TorchRegressor(optimizer=torch.optim.LBFGS).fit(X, y)


@pytest.mark.parametrize("make", [TorchClassifier, TorchRegressor])
def test_a_sampler_sees_the_targets_of_the_user(make):
    X, codes = classification()
    labels = np.array(["no", "maybe", "yes"]) if make is TorchClassifier else np.arange(3) * 50.0
    seen = []

    def sampler(ds, rng):
        seen.append(ds.target)
        return rng.permutation(len(ds))

    make(sampler=sampler, max_epochs=1).fit(X, labels[codes])
    assert np.array_equal(seen[0], labels[codes])


# Modules and criteria


def test_a_module_is_tried_on_real_rows(tmp_path):
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"x": np.arange(40) % 10, "y": np.arange(40) % 2}).to_parquet(path)

    class Lookup(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(10, 2)

        def forward(self, X):
            return self.table(X[:, 0].long())

    ds = scan_parquet(path, target="y")
    assert TorchClassifier(Lookup(), max_epochs=1).fit(ds).n_iter_ == 1


class Probability(TwoLayers):
    def forward(self, X):
        return super().forward(X).sigmoid()


class OwnLoss(nn.BCELoss):
    """A user's subclass."""


@pytest.mark.parametrize("loss", [nn.BCELoss, OwnLoss, OwnLoss()])
def test_probabilities_and_their_logits(loss):
    X, y = classification(classes=2)
    clf = TorchClassifier(Probability, criterion=loss, max_epochs=2).fit(X, y)
    with torch.no_grad():
        p = clf.module_(torch.from_numpy(X)).numpy()[:, 0]
    np.testing.assert_allclose(clf.predict_proba(X)[:, 1], p, rtol=1e-5)
    np.testing.assert_allclose(clf.decision_function(X), np.log(p / (1 - p)), atol=1e-4)


# Rows


def test_rows_of_another_size_are_explained():
    X, y = classification()
    ds = as_dataset(X, y)
    clf = TorchClassifier(max_epochs=1).fit(ds.map_batches(lambda X: X[:, :4]))
    clf.n_features_in_ = 10  # as for images, whose first length is compared alone
    with pytest.raises(ValueError, match=r"shape \(10,\), 10 values, but fit saw 4"):
        clf.predict(ds)
    images = np.zeros((30, 1, 4, 4), np.float32)
    clf = TorchClassifier(max_epochs=1).fit(images, np.arange(30) % 2)
    with pytest.raises(ValueError, match=r"shape \(1, 5, 4\), 20 values, but fit saw 16"):
        clf.predict(np.zeros((3, 1, 5, 4), np.float32))


def test_a_loader_is_refused():
    rows = TensorDataset(torch.zeros(4, 2), torch.arange(4) % 2)
    with pytest.raises(TypeError, match=r"pass its dataset instead, loader\.dataset"):
        TorchClassifier().fit(DataLoader(rows))


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_no_rows(kind):
    X, y = classification()
    clf = TorchClassifier(max_epochs=1).fit(X, y)
    for call in (clf.predict, TorchClassifier().fit, lambda name: clf.predict_to("a.npy", name)):
        with pytest.raises(TypeError, match=r"X is the name of a file, 'd\.csv'.*scan_parquet\("):
            call(kind("d.csv"))
    with pytest.raises(TypeError, match=r"got Dataset\. The file to write comes first"):
        clf.predict_to(as_dataset(X), kind("answers.npy"))


def test_numbers_beyond_float32():
    X, y = classification()
    clf = TorchClassifier(max_epochs=1).fit(X, y)
    X = X.astype(np.float64)
    X[7, 2] = 1e300
    with pytest.raises(ValueError, match=r"contains 1e\+300, which is beyond float32"):
        clf.predict_proba(X)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, sp.csr_array, torch.from_numpy])
def test_fit_on_numbers_beyond_float32(kind):
    X, y = classification()
    X = X.astype(np.float64)
    X[7, 2] = 1e300
    message = r"contains 1e\+300, which is beyond float32: .*2.*row 7 .*precision='float64'"
    with pytest.raises(ValueError, match=message):
        TorchClassifier().fit(kind(X), y)
    clf = TorchClassifier(precision="float64", max_epochs=1).fit(kind(X), y)
    assert np.isfinite(clf.predict_proba(kind(X))).all()


@pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist, sp.csr_array])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_first_value_that_is_not_finite_is_named(kind, value):
    X, y = classification()
    X[[3, 9], [2, 0]] = value
    with pytest.raises(ValueError, match=r"(?s)^Input X contains.*row 3, column 2"):
        TorchClassifier().fit(kind(X), y)


@pytest.mark.parametrize("kind", [np.asarray, as_dataset, torch.from_numpy])
def test_rows_of_another_number_of_dimensions_are_refused(kind):
    X, y = classification()
    clf = TorchClassifier(max_epochs=1).fit(kind(X), y)
    with pytest.raises(ValueError, match="X has 3 dimensions, but TorchClassifier was fitted on X"):
        clf.predict(kind(X[:, :, None]))
    with pytest.raises(ValueError, match="X has 3 dimensions"):
        clf.score(kind(X[:, :, None].astype(np.float64)), y)
    with pytest.raises(ValueError, match="X has 3 dimensions"):
        TorchClassifier().fit(X, y, X_val=kind(X[:, :, None]), y_val=y)


def test_images_of_another_size_are_left_to_the_module():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    clf = TorchClassifier(module, max_epochs=1)
    clf.fit(np.zeros((30, 1, 4, 4), np.float32), np.arange(30) % 2)
    assert clf.predict(np.zeros((3, 1, 7, 5), np.float32)).shape == (3,)
