"""ONNX files, run by onnxruntime alone."""

import json
import sys

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris
from torch import nn

import sklearnish as sn
from sklearnish.persistence._exporting.model_parts import parts_of
from sklearnish.persistence._exporting.network import Input, Network
from sklearnish.persistence._exporting.onnx_file import check_installed, onnx_bytes, onnx_runner

X, y = load_iris(return_X_y=True)
KEPT = {"max_epochs": 1, "random_state": 0}
NAMES = ["add", "cos", "network/add", "probabilities", "sklearnish input 0", "val_0", "X", "a b"]


def test_an_onnx_file_predicts_as_the_estimator_and_says_what_it_is():
    clf = sn.TorchClassifier(**KEPT).fit(X, y)
    about = {"result": "probabilities", "classes": [0, 1, 2], "inputs": [{"name": "X"}]}
    data = onnx_bytes(Network(parts_of(clf)), about)
    session = onnxruntime.InferenceSession(data)
    (given,), (result,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("X", "tensor(float)", ["n", 4])
    assert (result.name, result.shape) == ("probabilities", ["n", 3])
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == [0, 1, 2]
    for n in (0, 1, 150):
        (found,) = session.run(None, {"X": X[:n].astype(np.float32)})
        wanted = clf.predict_proba(X)[:n]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


EMPTY = pd.DataFrame({"size": X[:, 0], "town": np.where(y > 0, "", "Rome")})


@pytest.mark.slow
def test_empty_text_that_was_a_level_means_itself(tmp_path):
    tab = sn.TabularClassifier(quality="fast", **KEPT).fit(EMPTY, y)
    sn.export(tab, tmp_path / "model.onnx")
    given = {"size": X[:, 0], "town": EMPTY["town"].to_numpy(object)}
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(None, given)
    np.testing.assert_allclose(found, tab.predict_proba(EMPTY), rtol=1e-4)
    told = json.loads(session.get_modelmeta().custom_metadata_map["inputs"])[-1]
    assert (told["levels"][0], "missing" in told) == ("", False)


def test_empty_text_beside_missing_values_is_refused_by_name():
    frame = EMPTY.where(X[:, [1, 1]] < 3.5, None)
    network = Network(parts_of(sn.TabularClassifier(quality="fast", **KEPT).fit(frame, y)))
    with pytest.raises(ValueError, match=r"'town' has empty text and missing.*fillna\('missing'\)"):
        onnx_bytes(network, {})


@pytest.mark.slow
def test_columns_may_have_any_names_and_text_is_text(tmp_path):
    frame = pd.DataFrame({name: X[:, i % 4] + i for i, name in enumerate(NAMES)})
    frame["town"] = ["Bonn", "Köln", None] * 50
    tab = sn.TabularClassifier(quality="fast", **KEPT).fit(frame, y)
    sn.export(tab, tmp_path / "model.onnx")
    data = (tmp_path / "model.onnx").read_bytes()
    session = onnxruntime.InferenceSession(data)
    told = json.loads(session.get_modelmeta().custom_metadata_map["inputs"])
    assert [(one["name"], one["type"]) for one in told] == [
        *((name, "float64") for name in NAMES),
        ("town", "string"),
    ]
    wanted = {"levels": ["Bonn", "Köln"], "missing": "", "kind": "category", "shape": []}
    assert told[-1] == {"name": "town", "type": "string", **wanted}
    assert [one.name for one in session.get_inputs()] == [*NAMES, "town"]
    assert session.get_outputs()[0].name == "probabilities_"
    frame.loc[0, "town"] = "Oslo"
    given = {name: frame[name].to_numpy() for name in NAMES}
    given["town"] = frame["town"].fillna("").to_numpy(object)
    for n in (1, 150):
        (found,) = session.run(None, {name: values[:n] for name, values in given.items()})
        np.testing.assert_allclose(found, tab.predict_proba(frame[:n]), rtol=1e-4)
    assert (onnx_runner(data)(given) == session.run(None, given)[0]).all()


class Named(nn.Module):
    """What is looked at before anything is traced: weights, and names of inputs."""

    def __init__(self, n_bytes, *names):
        super().__init__()
        self.register_buffer("weights", torch.empty(n_bytes, dtype=torch.uint8, device="meta"))
        self.inputs = [Input(name, "float32", ()) for name in names]


@pytest.mark.parametrize(
    ("network", "fault"),
    [
        (Named(2**31, "X"), r"weights take 2\.1 GB.* Write a \.pt2 file"),
        (Named(1, "a", ""), "A column has an empty name"),
    ],
)
def test_what_no_file_of_onnx_can_hold_is_refused_at_once(network, fault):
    with pytest.raises(ValueError, match=fault):
        onnx_bytes(network, {})


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_named_before_anything_is_done(monkeypatch, package, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError, match=rf'and {package} is missing: pip install "sklearnish\[onnx'
    ):
        check_installed()
    with pytest.raises(ImportError, match=r"A \.pt2 file needs torch alone"):
        sn.export(sn.TorchClassifier(), tmp_path / "model.onnx")
