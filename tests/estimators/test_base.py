import pickle
import random
import threading

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EarlyStopping, EpochTimer
from torch import nn

from sklearnish import TorchClassifier, TorchRegressor, as_dataset, scan_parquet
from tests.estimators.common import TwoLayers, classification, regression


def weights(estimator):
    return {k: v.clone() for k, v in estimator.module_.state_dict().items()}


def same(a, b):
    return all(torch.equal(v, b[k]) for k, v in a.items())


# Parameters


def test_nested_parameters_reach_their_places():
    X, y = classification()
    clf = TorchClassifier(TwoLayers, max_epochs=1, optimizer="sgd")
    clf.set_params(module__hidden=7, optimizer__momentum=0.5, criterion__label_smoothing=0.1)
    twin = clone(clf).fit(X, y)
    assert twin.get_params()["module__hidden"] == 7
    assert twin.module_.layers[0].out_features == 7
    assert twin.net_.optimizer_.defaults["momentum"] == 0.5
    assert twin.net_.criterion_.label_smoothing == 0.1


def test_set_params_leaves_a_shared_dict_alone():
    params = {"hidden": 3}
    TorchClassifier(TwoLayers, module_params=params).set_params(module__hidden=4)
    assert params == {"hidden": 3}


def test_nested_parameters_in_a_search_over_a_pipeline():
    X, y = classification()
    pipe = make_pipeline(StandardScaler(), TorchClassifier(TwoLayers, max_epochs=1))
    grid = {"torchclassifier__module__hidden": [3, 5], "torchclassifier__batch_size": [64]}
    best = GridSearchCV(pipe, grid, cv=2).fit(X, y).best_estimator_
    assert best[-1].module_.layers[0].out_features in (3, 5)


def test_a_search_over_an_array_of_widths():
    X, y = classification()
    grid = {"module__hidden": 2 ** np.arange(3, 5)}
    search = GridSearchCV(TorchClassifier(max_epochs=1), grid, cv=2, error_score="raise")
    assert search.fit(X, y).best_params_["module__hidden"] in (8, 16)


def test_unknown_names_are_listed():
    X, y = classification()
    with pytest.raises(ValueError, match=r"'modul'.*Valid parameters are: accumulate_steps, "):
        TorchClassifier().set_params(modul=1)
    with pytest.raises(ValueError, match="module TwoLayers takes no argument 'width'; it takes in"):
        TorchClassifier(TwoLayers, module_params={"width": 1}).fit(X, y)
    with pytest.raises(ValueError, match="optimizer Adam takes no argument 'momentum'"):
        TorchClassifier(optimizer_params={"momentum": 1}).fit(X, y)
    with pytest.raises(ValueError, match="criterion CrossEntropyLoss takes no argument 'x'"):
        TorchClassifier(criterion_params={"x": 1}).fit(X, y)


def test_an_unknown_monitor_raises():
    X, y = classification()
    with pytest.raises(ValueError, match="acuracy"):
        TorchClassifier(early_stopping=True, monitor="acuracy").fit(X, y)


def test_a_monitor_of_other_targets_is_named():
    X, y = regression()
    epochs = []
    count = EpochTimer()
    count.on_epoch_begin = lambda *args, **kwargs: epochs.append(1)
    params = {"early_stopping": True, "callbacks": [count]}
    with pytest.raises(ValueError, match=r"monitor='accuracy'.*predictions of a regressor.*\"r2\""):
        TorchRegressor(monitor="accuracy", **params).fit(X, y)
    labels = np.where(y > 1000, "a", "b")
    with pytest.raises(
        ValueError, match=r"monitor='r2'.*of a classifier .*of type <U1 and shape \("
    ):
        TorchClassifier(monitor="r2", **params).fit(X, labels)
    assert not epochs
    with pytest.raises(ValueError, match=r"monitor='roc_auc'.*a regressor.*predict_proba"):
        TorchRegressor(monitor="roc_auc", **params).fit(X, y)


@pytest.mark.parametrize("callback", ["x", ("x", "y"), 3])
def test_what_is_no_callback_is_refused(callback):
    X, y = classification()
    with pytest.raises(TypeError, match="which is no callback of skorch"):
        TorchClassifier(callbacks=[EpochTimer, ("timer", EpochTimer()), callback]).fit(X, y)


def test_a_callback_that_wants_validation_rows():
    X, y = classification()
    clf = TorchClassifier(callbacks=[EarlyStopping()], max_epochs=2)
    with pytest.raises(ValueError, match=r"Callback EarlyStopping.*'valid_loss'.*X_val"):
        clf.fit(X, y)
    assert clf.fit(X, y, X_val=X, y_val=y).n_iter_ == 2


# Modules


def test_an_instance_is_copied():
    X, y = classification()
    module = TwoLayers(10, 3)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    clf = TorchClassifier(module, max_epochs=1).fit(X, y)
    assert same(before, module.state_dict())
    assert not same(before, clf.module_.state_dict())
    assert clf.module is module


def test_lazy_layers_and_batch_norm():
    X, y = classification(257)  # the last row must not be a batch of its own
    module = nn.Sequential(nn.LazyLinear(8), nn.BatchNorm1d(8), nn.ReLU(), nn.LazyLinear(3))
    clf = TorchClassifier(module, max_epochs=3, batch_size=64).fit(X, y)
    assert clf.predict(X[:1]).shape == (1,)


def test_images_of_whole_numbers():
    X = np.random.default_rng(0).integers(0, 255, (60, 3, 4, 4), dtype=np.uint8)
    y = (X.mean((1, 2, 3)) > 127).astype(int)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    clf = TorchClassifier(module, max_epochs=2).fit(X, y)
    assert np.array_equal(clf.predict(X), clf.predict(as_dataset(X)))
    assert TorchClassifier(max_epochs=2).fit(X, y).module_.mean.shape == (48,)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(2, 2), nn.Embedding(5, 2)

    def forward(self, a, b):
        return self.left(a) + self.right(b)


class Pairs(torch.utils.data.Dataset):
    def __len__(self):
        return 30

    def __getitem__(self, i):
        return {"a": torch.tensor([i / 30, 1.0]), "b": torch.tensor(i % 5)}, i % 2


def test_a_torch_dataset_of_dicts():
    clf = TorchClassifier(TwoInputs(), max_epochs=60, lr=0.05).fit(Pairs())
    assert clf.score(Pairs()) == pytest.approx(np.mean(clf.predict(Pairs()) == np.arange(30) % 2))


def test_wrong_outputs_are_told_before_training():
    X, y = classification()
    with pytest.raises(ValueError, match=r"shape \(3, 5\) for 3 rows; wanted \(3, 3\): a logit"):
        TorchClassifier(nn.Linear(10, 5)).fit(X, y)
    with pytest.raises(ValueError, match=r"shape \(3, 5\) .*one target"):
        TorchRegressor(nn.Linear(10, 5)).fit(X, y)
    with pytest.raises(ValueError, match="returned tuple"):
        TorchClassifier(nn.LSTM(10, 3)).fit(X, y)
    with pytest.raises(ValueError, match="no parameters"):
        TorchRegressor(nn.Flatten(0)).fit(X[:, :1], y)


def list_of(in_features):
    return [in_features]


def test_module_must_be_one():
    X, y = classification()
    with pytest.raises(TypeError, match=r"must be an nn\.Module"):
        TorchClassifier(list_of).fit(X, y)


@pytest.mark.parametrize("module", [nn.Conv2d, nn.LSTM])
def test_arguments_that_a_module_lacks_are_told(module):
    X, y = classification()
    message = rf"module {module.__name__} cannot be built with no arguments: .*missing \d required"
    with pytest.raises(TypeError, match=message + r".*module_params=\{\.\.\.\}"):
        TorchClassifier(module).fit(X, y)


# Inputs


def test_rows_without_columns_are_refused():
    X, y = classification()
    message = r"0 feature\(s\) \(shape=\(300, 0\)\) while a minimum of 1 is required.*no columns"
    frame = as_dataset(pd.DataFrame(X).add_prefix("x"))
    for rows in (frame.select([]), frame[:, []], as_dataset(X)[:, []], torch.tensor(X[:, :0])):
        with pytest.raises(ValueError, match=message):
            TorchClassifier().fit(rows, y)


@pytest.mark.parametrize("pair", [tuple, list])
def test_rows_and_targets_in_one_are_refused(pair):
    X, y = classification()
    message = r"X is a pair of arrays, of shapes \(300, 10\) and \(300,\).*X_val=X_val, y_val=y_val"
    with pytest.raises(ValueError, match=message):
        TorchClassifier().fit(pair((X, y)))
    with pytest.raises(ValueError, match=message):
        TorchClassifier(max_epochs=1).fit(X, y, X_val=pair((X, y)))


def test_two_rows_are_no_pair():
    X, y = classification(classes=2)
    clf = TorchClassifier(max_epochs=1).fit(X, y)
    assert clf.predict(list(X[:2])).tolist() == clf.predict(X[:2]).tolist()


def test_kinds_of_rows_agree(tmp_path):
    X, y = classification()
    names = [f"x{i}" for i in range(10)]
    frame = pd.DataFrame(X, columns=names)
    frame.assign(y=y).to_parquet(tmp_path / "rows.parquet", row_group_size=300)
    ds = scan_parquet(tmp_path / "rows.parquet", target="y")
    make = lambda: TorchClassifier(max_epochs=2, random_state=0)  # noqa: E731
    expected = make().fit(X, y).predict_proba(X)
    for rows in (X.tolist(), torch.from_numpy(X), frame, pl.from_pandas(frame), as_dataset(X)):
        np.testing.assert_allclose(make().fit(rows, y).predict_proba(rows), expected, rtol=1e-4)
    sparse = sp.csr_array(X)
    np.testing.assert_allclose(make().fit(sparse, y).predict_proba(sparse), expected, rtol=1e-4)
    from_file = make().fit(ds)
    assert from_file.score(ds) == from_file.score(frame, y) > 0.8
    assert list(from_file.feature_names_in_) == names


def test_columns_of_a_dataset_are_taken_by_name(tmp_path):
    X, y = classification()
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(10)]).assign(y=y)
    clf = TorchClassifier(max_epochs=1, random_state=0)
    clf.fit(as_dataset(frame.drop(columns="y")), y)
    frame[frame.columns[::-1]].assign(more=0.0).to_parquet(tmp_path / "a.parquet")
    np.testing.assert_allclose(
        clf.predict_proba(scan_parquet(tmp_path / "a.parquet")),
        clf.predict_proba(frame.drop(columns="y")),
        rtol=1e-4,
    )
    frame.drop(columns=["x3", "x4"]).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"missing in .*b.parquet:\n- x3\n- x4"):
        clf.predict(scan_parquet(tmp_path / "b.parquet"))
    with pytest.raises(ValueError, match="X has 9 features, but TorchClassifier is expecting 10"):
        TorchClassifier(max_epochs=1).fit(X, y).predict(as_dataset(X[:, :9]))


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_text_and_dates_are_named(kind):
    frame = pd.DataFrame({"a": [1.0, 2.0], "when": pd.to_datetime(["2020", "2021"])})
    frame["city"] = ["x", "y"]
    rows = frame if kind == "pandas" else pl.from_pandas(frame)
    with pytest.raises(ValueError, match=r"'when' .*'city' .*ColumnTransformer.*drop"):
        TorchClassifier().fit(rows, [0, 1])


@pytest.mark.parametrize("rows", [np.asarray, as_dataset, pd.DataFrame, torch.from_numpy])
def test_nan_and_lengths(rows):
    X, y = classification()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TorchClassifier().fit(rows(X), y[:-1])
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        TorchClassifier().fit(rows(X), y)


# Runs


def test_random_state_fixes_everything_and_leaves_the_global_generators():
    X, y = classification()
    params = {"module": TwoLayers, "module_params": {"dropout": 0.3}, "max_epochs": 3}
    torch.manual_seed(5)
    state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    first = TorchClassifier(**params, random_state=1, early_stopping=True).fit(X, y)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.array_equal(np.random.get_state()[1], state[1])  # noqa: NPY002
    assert random.getstate() == state[2]
    torch.manual_seed(6)
    second = TorchClassifier(**params, random_state=1, early_stopping=True).fit(X, y)
    assert same(weights(first), weights(second))
    other = TorchClassifier(**params, random_state=2, early_stopping=True).fit(X, y)
    assert not same(weights(first), weights(other))


def test_partial_fit_goes_on():
    X, y = regression()
    params = {"random_state": 0, "batch_size": 32}
    whole = TorchRegressor(max_epochs=3, **params).fit(X, y)
    parts = TorchRegressor(**params)
    for n in (1, 2, 3):
        assert parts.partial_fit(X, y).n_iter_ == n
    np.testing.assert_allclose(parts.predict(X), whole.predict(X), rtol=1e-4)


def test_warm_start_goes_on_with_changed_parameters():
    X, y = regression()
    reg = TorchRegressor(max_epochs=2, warm_start=True, random_state=0).fit(X, y)
    before = weights(reg)
    reg.set_params(lr=1e-12, max_epochs=1).fit(X, y)
    assert reg.n_iter_ == 3
    for name, value in reg.module_.state_dict().items():
        torch.testing.assert_close(value, before[name])
    assert TorchRegressor(max_epochs=2).fit(X, y).fit(X, y).n_iter_ == 2


@pytest.mark.parametrize("monitor", ["loss", "accuracy", "roc_auc_ovr"])
def test_early_stopping_keeps_the_best(monitor):
    X, y = classification()
    clf = TorchClassifier(
        max_epochs=200, early_stopping=True, monitor=monitor, patience=3, random_state=0, lr=0.01
    ).fit(X, y)
    values = [record[f"valid_{monitor}"] for record in clf.history_]
    best = int(np.argmin(values) if monitor == "loss" else np.argmax(values))
    assert clf.n_iter_ < 200
    assert clf.loss_ == clf.history_[best]["train_loss"]


def test_validation_rows_of_the_user():
    X, y = classification()
    clf = TorchClassifier(max_epochs=3, early_stopping=True, monitor="accuracy", random_state=0)
    clf.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    best = max(record["valid_accuracy"] for record in clf.history_)
    assert clf.score(X[200:], y[200:]) == best
    assert clf.pipeline_report_.epochs[0].rows == 200


def test_validation_rows_without_stopping_are_recorded():
    X, y = classification()
    clf = TorchClassifier(max_epochs=2).fit(X, y, X_val=X, y_val=y)
    assert len([record["valid_loss"] for record in clf.history_]) == 2


def test_one_row_cannot_be_held_out():
    with pytest.raises(ValueError, match="there is one sample"):
        TorchRegressor(early_stopping=True).fit([[1.0]], [1.0])


def test_a_loss_that_diverges_is_named():
    X, y = regression()
    reg = TorchRegressor(optimizer="sgd", lr=1e30, standardize_target=False, max_epochs=50)
    with pytest.raises(FloatingPointError, match=r"step \d+ of epoch \d+ \(learning rate 1e\+30"):
        reg.fit(X, y)


def test_fitted_estimators_pickle_and_hold_no_loader():
    X, y = classification()
    clf = TorchClassifier(max_epochs=1).fit(as_dataset(X), y)
    data = pickle.dumps(clf)
    assert b"sklearnish.data._loading.loader" not in data
    assert b"sklearnish.data._dataset" not in data
    assert np.array_equal(pickle.loads(data).predict_proba(X), clf.predict_proba(X))
    assert np.isfinite(pickle.loads(data).partial_fit(X, y).loss_)


def test_threads_may_predict_at_once():
    X, y = classification()
    clf = TorchClassifier(TwoLayers, module_params={"dropout": 0.5}, max_epochs=1).fit(X, y)
    expected = clf.predict_proba(X)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append([clf.predict_proba(X) for _ in range(20)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(p, expected) for answers in found for p in answers)
    assert len(found) == 4


def test_predict_batch_size_changes_no_shape():
    X, y = regression(targets=2)
    reg = TorchRegressor(max_epochs=1, predict_batch_size=7).fit(X, y)
    whole = clone(reg).set_params(predict_batch_size="auto", random_state=0)
    assert reg.predict(X).shape == whole.fit(X, y).predict(as_dataset(X)).shape == (300, 2)
    np.testing.assert_allclose(reg.predict(X), reg.predict(as_dataset(X)), rtol=1e-5)


def test_progress_bar(capsys):
    X, y = classification()
    TorchClassifier(max_epochs=2).fit(X, y)
    assert capsys.readouterr().err == ""
    TorchClassifier(max_epochs=2, verbose=1).fit(X, y)
    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert "rows/s" in shown


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler and its subprocesses
def test_a_compiled_module_learns_the_same_and_pickles():
    X, y = classification()
    clf = TorchClassifier(max_epochs=2, random_state=0)
    plain = clf.fit(X, y).predict_proba(X)
    compiled = clf.set_params(compile=True).fit(X, y)
    np.testing.assert_allclose(compiled.predict_proba(X), plain, rtol=1e-3)
    twin = pickle.loads(pickle.dumps(compiled))
    assert type(twin.module_).__name__ == "MLP"
    np.testing.assert_allclose(twin.predict_proba(X), plain, rtol=1e-3)


@pytest.mark.gpu
def test_a_model_of_the_gpu_predicts_without_one(tmp_path):
    X, y = classification()
    clf = TorchClassifier(device="cuda", max_epochs=2).fit(X, y)
    state = clf.net_.__getstate__()
    assert {v.device.type for v in state["module_"].state_dict().values()} == {"cpu"}
    twin = pickle.loads(pickle.dumps(clf))
    np.testing.assert_allclose(twin.predict_proba(X), clf.predict_proba(X), rtol=1e-5)


def test_a_notebook_shows_an_estimator_as_scikit_learn_does():
    X, y = classification(20)
    clf = TorchClassifier(lambda out_features: nn.Linear(10, out_features), max_epochs=1)
    pipe = make_pipeline(StandardScaler(), clf)
    assert "Not fitted" in pipe._repr_html_()
    html = pipe.fit(X, y)._repr_html_()
    assert "Not fitted" not in html
    assert "TorchClassifier" in html
    assert "max_epochs" in html
    assert "&lt;lambda&gt;" in html
    assert "<lambda>" not in html


def test_partial_fit_stops_at_nothing():
    X, y = classification()
    clf = TorchClassifier(early_stopping=True).partial_fit(X, y).partial_fit(X, y)
    assert clf.n_iter_ == 2


def test_what_makes_no_sense_is_refused():
    X, y = regression()
    with pytest.raises(ValueError, match="need X_val"):
        TorchRegressor().fit(X, y, y_val=y)
    with pytest.raises(ValueError, match="a regressor has none"):
        TorchRegressor(sampler="balanced").fit(X, y)
    with pytest.raises(ValueError, match=r"LBFGS is not supported.*closure"):
        TorchRegressor(optimizer=torch.optim.LBFGS).fit(X, y)
