"""sn.export: files of every estimator predict as it does."""

import json

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from torch import nn

import sklearnish as sn
from sklearnish.preprocessing import Streamed, TableEncoder

X, y = load_iris(return_X_y=True)
D, t = load_diabetes(return_X_y=True)
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 3, 6, 6), dtype=np.uint8)
KEPT = {"max_epochs": 2, "random_state": 0}
TABLE = pd.DataFrame(
    {
        "size": X[:, 0],
        "town": ["Bonn", "Rome", None] * 50,
        "day": pd.date_range("2024-01-30", periods=150),
    }
)
TYPES = {"tensor(float)": "f4", "tensor(double)": "f8", "tensor(uint8)": "u1"}


class Conv(nn.Module):
    """A small network of images."""

    def __init__(self, out_features):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, out_features)

    def forward(self, X):
        return self.head(self.norm(self.conv(X / 255)).relu().mean((2, 3)))


class OneLogit(nn.Module):
    """Takes the axis of the rows away where there is one row."""

    def __init__(self, in_features):
        super().__init__()
        self.layer = nn.Linear(in_features, 1)

    def forward(self, X):
        return self.layer(X).squeeze()


def iris(**params):
    return sn.TorchClassifier(**KEPT, **params).fit(X, y), X


def binary(**params):
    return sn.TorchClassifier(**KEPT, **params).fit(X, np.where(y > 0, "yes", "no")), X


def multilabel(kind=sn.TorchClassifier, **params):
    return kind(**KEPT, **params).fit(X, np.stack([y > 0, y > 1], 1).astype(int)), X


def numbers(target=t, offset=0.0, **params):
    return sn.TorchRegressor(**KEPT, **params).fit(D + offset, target), D + offset


def images(**params):
    return sn.TorchClassifier(**KEPT, **params).fit(IMAGES, np.arange(60) % 3), IMAGES


def pipeline(*steps):
    return make_pipeline(*steps, sn.TorchRegressor(**KEPT)).fit(D * 1e3 + 5, t), D * 1e3 + 5


CASES = {
    "default": lambda: iris(),
    "default of images": lambda: images(),
    "ready-made images": lambda: (
        sn.ImageClassifier(**KEPT).fit(IMAGES, np.arange(60) % 3),
        IMAGES,
    ),
    "conv": lambda: images(module=Conv),
    "float images": lambda: (
        sn.TorchRegressor(Conv, **KEPT).fit(IMAGES / 7, IMAGES[:, 0, 0, 0]),
        IMAGES / 7,
    ),
    "names of labels": lambda: binary(),
    "one logit": lambda: binary(module=OneLogit, criterion=nn.BCEWithLogitsLoss),
    "log probabilities": lambda: iris(
        module=lambda: nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1)), criterion=nn.NLLLoss
    ),
    "multilabel": lambda: multilabel(),
    "regression": lambda: numbers(),
    "several targets": lambda: numbers(np.stack([t, 1e3 - t], 1)),
    "targets far from zero": lambda: numbers(t + 1e9),
    "inputs far from zero": lambda: numbers(offset=1e8),
    "float64": lambda: numbers(precision="float64"),
    "pipeline": lambda: pipeline(StandardScaler()),
    "streamed": lambda: pipeline(
        MinMaxScaler(clip=True), Streamed(make_pipeline(RobustScaler(), StandardScaler()))
    ),
}


def run(path, model, rows):
    """Run an ONNX file for one row and for all; return what it says, beside the model's."""
    session = onnxruntime.InferenceSession(path)
    (given,) = session.get_inputs()
    rows = np.asarray(rows, TYPES[given.type])
    (one,), (found,) = session.run(None, {"X": rows[:1]}), session.run(None, {"X": rows})
    np.testing.assert_allclose(one, found[:1], rtol=1e-4, atol=1e-6)
    return found


def wanted(model, rows):
    return getattr(model, "predict_proba", model.predict)(rows)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_an_onnx_file_predicts_as_the_estimator(case, tmp_path):
    model, rows = CASES[case]()
    sn.export(model, tmp_path / "model.onnx")
    found, right = run(tmp_path / "model.onnx", model, rows), wanted(model, rows)
    assert found.shape == right.shape
    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("case", ["names of labels", pytest.param("conv", marks=pytest.mark.slow)])
def test_a_file_of_torch_predicts_as_the_estimator(case, tmp_path):
    model, rows = CASES[case]()
    sn.export(model, tmp_path / "model.pt2")
    about = {"sklearnish.json": ""}
    graph = torch.export.load(tmp_path / "model.pt2", extra_files=about).module()
    told = json.loads(about["sklearnish.json"])
    (one,) = told["inputs"]
    tensor = torch.tensor(rows).to(getattr(torch, one["type"]))
    right = wanted(model, rows)
    for n in (1, len(rows)):
        np.testing.assert_allclose(graph(tensor[:n]).numpy(), right[:n], rtol=1e-4, atol=1e-5)


def by_name(frame):
    """Columns as the ONNX file takes them."""
    days = (frame["day"] - pd.Timestamp(0)) / pd.Timedelta("1s")
    return {
        "size": frame["size"].to_numpy(float),
        "town": frame["town"].fillna("").to_numpy(object),
        "day": days.to_numpy(float),
    }


def calibrated():
    tab = sn.TabularClassifier(
        quality="fast", calibrate=True, early_stopping=True, max_epochs=2, random_state=0
    )
    tab.fit(TABLE, y)
    tab.temperature_ *= 3  # which few epochs may leave at 1
    return tab


def table(kind, target, **params):
    return kind(quality="fast", **KEPT, **params).fit(TABLE, target)


TABLES = {
    "calibrated": calibrated,
    "one logit": lambda: table(sn.TabularClassifier, y > 0, criterion=nn.BCEWithLogitsLoss),
    "quantiles": lambda: table(sn.TabularRegressor, X[:, 2], quantiles=[0.1, 0.5, 0.9]),
    "encoder in a pipeline": lambda: make_pipeline(TableEncoder(), sn.TorchClassifier(**KEPT)).fit(
        TABLE, y
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", TABLES)
def test_a_table_enters_by_its_columns(case, tmp_path):
    model = TABLES[case]()
    sn.export(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    later = TABLE.copy()
    later.loc[0, "town"], later.loc[1, "size"], later.loc[2, "day"] = "Oslo", None, None
    given, right = by_name(later), wanted(model, later)
    for n in (1, 150):
        (found,) = session.run(None, {name: values[:n] for name, values in given.items()})
        np.testing.assert_allclose(found, right[:n], rtol=1e-4, atol=1e-5)


def test_what_is_to_be_known_is_in_the_file(tmp_path):
    clf = sn.TorchClassifier(**KEPT).fit(
        pd.DataFrame(X, columns=list("abcd")), np.array(list("xyz"))[y]
    )
    sn.export(clf, tmp_path / "model.pt2")
    about = {"sklearnish.json": ""}
    torch.export.load(tmp_path / "model.pt2", extra_files=about)
    assert json.loads(about["sklearnish.json"]) == {
        "estimator": "TorchClassifier",
        "method": "predict_proba",
        "result": "probabilities",
        "classes": ["x", "y", "z"],
        "feature_names": ["a", "b", "c", "d"],
        "inputs": [{"name": "X", "type": "float32", "shape": [4]}],
        "sklearnish": sn.__version__,
    }


@pytest.mark.slow
def test_what_was_saved_and_loaded_is_exported_too(tmp_path):
    model, rows = pipeline(StandardScaler())
    sn.save(model, tmp_path / "model.sn")
    sn.export(sn.load(tmp_path / "model.sn"), tmp_path / "model.pt2")
    graph = torch.export.load(tmp_path / "model.pt2").module()
    np.testing.assert_allclose(graph(torch.tensor(rows)).numpy(), model.predict(rows), rtol=1e-5)


@pytest.mark.slow
def test_of_a_search_the_best_estimator_is_exported(tmp_path):
    search = GridSearchCV(sn.TorchClassifier(**KEPT), {"lr": [0.01]}, cv=2).fit(X, y)
    sn.export(search, tmp_path / "model.pt2")
    graph = torch.export.load(tmp_path / "model.pt2").module()
    rows = torch.tensor(X, dtype=torch.float32)
    np.testing.assert_allclose(graph(rows).numpy(), search.predict_proba(X), rtol=1e-5)


@pytest.mark.parametrize("path", ["model", "model.pt", "model.ONNX", 3, None])
def test_another_name_is_refused(path):
    with pytest.raises(ValueError, match=r"must end with \.onnx"):
        sn.export(sn.TorchClassifier(), path)


def test_an_older_file_stays_if_anything_fails(tmp_path):
    path = tmp_path / "model.pt2"
    path.write_bytes(b"older")
    model = TransformedTargetRegressor(sn.TorchRegressor(**KEPT)).fit(D, t)
    with pytest.raises(TypeError, match="got TransformedTargetRegressor"):
        sn.export(model, path)
    assert path.read_bytes() == b"older"


def halved(X):
    return X / 2


def test_functions_of_rows_are_named_as_not_in_the_file(tmp_path):
    ds = sn.as_dataset(X.astype(np.float32)).with_target(y).map_batches(halved)
    clf = sn.TorchClassifier(**KEPT).fit(ds)
    with pytest.warns(UserWarning, match="passed through halved, which is not in the file"):
        sn.export(clf, tmp_path / "model.pt2")
    graph = torch.export.load(tmp_path / "model.pt2").module()
    rows = torch.tensor(X, dtype=torch.float32) / 2
    np.testing.assert_allclose(graph(rows).numpy(), clf.predict_proba(ds), rtol=1e-5)


def test_steps_over_a_dataset_are_in_the_file_and_not_warned_of(tmp_path):
    ds = sn.as_dataset(pd.DataFrame(X, columns=list("abcd"))).with_target(y)
    model = make_pipeline(Streamed(StandardScaler()), sn.TorchClassifier(**KEPT)).fit(ds, y)
    sn.export(model, tmp_path / "model.pt2")
    graph = torch.export.load(tmp_path / "model.pt2").module()
    np.testing.assert_allclose(graph(torch.tensor(X)).numpy(), model.predict_proba(ds), rtol=1e-5)
