"""Inputs far from zero, for how little they vary."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import sklearnish as sn
from sklearnish import TorchClassifier, scan_parquet
from tests.estimators.common import TwoLayers, classification

N = 300
NEAR = np.random.default_rng(0).normal(size=(N, 3))
X = NEAR + np.array([1.7e12, 0, 1e8])
Y = (NEAR[:, 0] + NEAR[:, 2] > 0).astype(int)
FRAME = pd.DataFrame(X, columns=["time", "x", "id"])
PARAMS = {"max_epochs": 30, "batch_size": 32, "lr": 0.01, "random_state": 0}


def parquet(folder):
    FRAME.assign(y=Y).to_parquet(folder / "t.parquet", row_group_size=60)
    return sn.scan_parquet(folder / "t.parquet", target="y")


def csv(folder):
    FRAME.assign(y=Y).to_csv(folder / "t.csv", index=False)
    return sn.scan_csv(folder / "t.csv", target="y")


def npy(folder):
    np.save(folder / "X.npy", X)
    return sn.scan_npy(folder / "X.npy").with_target(Y)


def frame(folder):
    return sn.as_dataset(FRAME, Y)


def array(folder):
    return sn.as_dataset(X, Y)


@pytest.fixture(scope="module")
def clf():
    return TorchClassifier(**PARAMS).fit(X, Y)


@pytest.mark.parametrize("store", [array, frame, npy, parquet, csv])
def test_the_default_module_keeps_them(store, tmp_path):
    ds = store(tmp_path)
    clf = TorchClassifier(**PARAMS, num_workers=0).fit(ds)
    assert clf.score(ds) > 0.9
    assert clf.net_.module_.layers[0].weight.dtype == torch.float32
    some = np.arange(N)[::-7]
    np.testing.assert_allclose(
        clf.predict_proba(ds[some]), clf.predict_proba(ds)[some], rtol=1e-5, atol=1e-6
    )


def test_it_does_so_after_saving_and_in_what_goes_on(clf, tmp_path):
    sn.save(clf, tmp_path / "m.sn")
    again = sn.load(tmp_path / "m.sn")
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    again.partial_fit(X, Y)
    assert again.score(X, Y) > 0.9
    again.set_params(warm_start=True, max_epochs=1).fit(X, Y, X_val=X, y_val=Y)
    assert again.score(X, Y) > 0.9


def test_a_checkpoint_keeps_them(clf, tmp_path):
    for _ in range(2):
        done = TorchClassifier(**PARAMS, checkpoint_dir=tmp_path).fit(X, Y)
        np.testing.assert_array_equal(done.predict_proba(X), clf.predict_proba(X))


def test_weights_and_several_targets_are_float32_with_them():
    weight = np.random.default_rng(0).random(N) + 0.5
    reg = sn.TorchRegressor(max_epochs=20, batch_size=32, lr=0.01, random_state=0)
    reg.fit(X, NEAR[:, :2], sample_weight=weight)
    assert reg.score(X, NEAR[:, :2]) > 0.9


def test_ordinary_rows_are_read_in_float32():
    clf = TorchClassifier(max_epochs=1).fit(NEAR, Y)
    assert not clf.module_.wide


@pytest.mark.parametrize("store", [array, frame, npy, parquet, csv])
@pytest.mark.parametrize("function", [None, torch.clone])
def test_a_module_of_the_user_is_warned_of(store, function, tmp_path):
    ds = store(tmp_path)
    names = "0, 2" if ds._inputs.names is None else "'time', 'id'"
    with pytest.warns(UserWarning, match=f"loses much of column {names} of"):
        TorchClassifier(TwoLayers, max_epochs=1).fit(ds if function is None else ds.map(function))
    TorchClassifier(TwoLayers, max_epochs=1, precision="float64").fit(ds)


def test_what_functions_are_given_is_warned_of(tmp_path):
    """Also where float32 makes one number of a whole column, so that it looks constant."""
    for ds in (parquet(tmp_path).map(torch.clone), frame(tmp_path).map_batches(torch.clone)):
        with pytest.warns(UserWarning, match="loses much of column 'time', 'id' of"):
            TorchClassifier(max_epochs=1).fit(ds)
    with pytest.warns(UserWarning, match="loses much of column 'time', 'id' of"):
        TorchClassifier(max_epochs=1, augment=torch.clone).fit(FRAME, Y)
    made = sn.as_dataset(NEAR, Y).map_batches(lambda X: X + torch.tensor([0, 3e7, 0]))
    with pytest.warns(UserWarning, match="loses much of column 1 of"):
        TorchClassifier(max_epochs=1).fit(made)


def test_a_scaler_as_a_function_of_rows_is_given_all_digits(tmp_path):
    ds = parquet(tmp_path)
    scaler = StandardScaler().fit(ds)
    np.testing.assert_allclose(scaler.mean_, X.mean(0), rtol=1e-14)
    scaled = ds.with_dtype(torch.float64).map_batches(scaler.transform)
    for module in (None, TwoLayers):
        clf = TorchClassifier(module, **PARAMS | {"max_epochs": 10}).fit(scaled)
        assert clf.score(scaled) > 0.9
        assert next(clf.module_.parameters()).dtype == torch.float32
    same = ds.with_dtype(torch.float64).map_batches(torch.clone)
    for module in (None, TwoLayers):
        with pytest.warns(UserWarning, match="loses much of column 'time', 'id' of"):
            TorchClassifier(module, max_epochs=1).fit(same)


def test_a_cache_trains_the_same_model(tmp_path):
    ds = parquet(tmp_path)
    clf, again = (TorchClassifier(**PARAMS).fit(d) for d in (ds, ds.cache(tmp_path / "cache")))
    assert clf.score(ds) > 0.9
    np.testing.assert_array_equal(again.predict_proba(ds), clf.predict_proba(ds))


@pytest.mark.parametrize("store", [array, frame, parquet])
def test_a_scaler_in_a_pipeline_is_given_what_is_stored(store, tmp_path):
    """One row has no spread, and is scaled all the same."""
    ds = store(tmp_path)
    pipeline = make_pipeline(StandardScaler(), TorchClassifier(**PARAMS | {"max_epochs": 5}))
    expected = pipeline.fit(X, Y).predict_proba(X)
    assert pipeline.score(X, Y) > 0.9
    pipeline.fit(ds, ds.target)
    np.testing.assert_array_equal(pipeline.predict_proba(ds), expected)
    np.testing.assert_allclose(pipeline.predict_proba(ds[[7]]), expected[[7]], atol=1e-6)
    sn.predict_to(pipeline, tmp_path / "p.npy", ds, method="predict_proba")
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), expected, atol=1e-6)


def test_inputs_of_a_dict_are_warned_of():
    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, near, far):
            return self.layer(near) + self.layer(far)

    with pytest.warns(UserWarning, match="loses much of column 'far' of"):
        TorchClassifier(Module, max_epochs=1).fit({"near": NEAR, "far": X}, Y)


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


BOTH = {"near": NEAR, "far": NEAR}


class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)

    def forward(self, near, far, bias=0.0):
        return self.layer(near) + self.layer(far) + bias


@pytest.mark.parametrize(
    "call",
    [
        lambda clf, X: clf.predict(X),
        lambda clf, X: clf.score(X, Y),
        lambda clf, X: clf.score(sn.as_dataset(X, Y)),
        lambda clf, X: clf.predict_to("x.npy", X),
        lambda clf, X: clf.partial_fit(X, Y),
        lambda clf, X: clf.fit(X, Y),
        lambda clf, X: clf.fit(BOTH, Y, X_val=X, y_val=Y),
    ],
)
def test_inputs_of_other_names_are_refused_by_their_names(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clf = TorchClassifier(Two, max_epochs=1).fit(BOTH, Y)
    assert clf.predict(BOTH | {"bias": np.zeros((N, 1))}).shape == (N,)
    with pytest.raises(ValueError, match=r"'near', and forward of Two takes .*It lacks 'far'"):
        call(clf, {"near": NEAR})
    with pytest.raises(ValueError, match="It does not take 'fra'"):
        call(clf, BOTH | {"fra": NEAR})
