"""Files of torch.export, run by torch alone."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import sklearnish as sn
from sklearnish.persistence._exporting.model_parts import parts_of
from sklearnish.persistence._exporting.network import Network
from sklearnish.persistence._exporting.torch_file import torch_bytes, torch_runner

X, y = load_iris(return_X_y=True)
KEPT = {"max_epochs": 1, "random_state": 0}


@pytest.mark.slow
def test_a_file_of_torch_holds_the_graph_and_what_is_to_be_known():
    model = make_pipeline(StandardScaler(), sn.TorchClassifier(**KEPT)).fit(X, y)
    data = torch_bytes(Network(parts_of(model)), {"classes": [0, 1, 2]})
    about = {"sklearnish.json": ""}
    graph = torch.export.load(io.BytesIO(data), extra_files=about).module()
    assert json.loads(about["sklearnish.json"]) == {"classes": [0, 1, 2]}
    for n in (1, 150):
        np.testing.assert_allclose(
            graph(torch.tensor(X[:n])).numpy(), model.predict_proba(X[:n]), rtol=1e-5
        )


class Sum(nn.Module):
    def __init__(self, out_features):
        super().__init__()
        self.layer = nn.Linear(2, out_features)

    def forward(self, a, b):
        return self.layer(torch.cat([a, b], 1))


def test_inputs_of_a_module_of_several_have_their_names():
    rows = {"a": X[:, :1], "b": X[:, 1:2]}
    network = Network(parts_of(clf := sn.TorchClassifier(Sum, **KEPT).fit(rows, y)))
    run = torch_runner(torch_bytes(network, {}), network)
    single = {name: values.astype(np.float32) for name, values in rows.items()}
    np.testing.assert_allclose(run(single), clf.predict_proba(rows), rtol=1e-5)


@pytest.mark.slow
def test_a_table_enters_as_columns_its_text_as_codes():
    frame = pd.DataFrame({"size": X[:, 0], "town": ["Bonn", "Rome", None] * 50})
    tab = sn.TabularClassifier(quality="fast", **KEPT).fit(frame, y)
    data = torch_bytes(Network(parts_of(tab)), {})
    graph = torch.export.load(io.BytesIO(data)).module()
    codes = torch.tensor([1, 2, 3] * 50)
    found = graph({"size": torch.tensor(X[:, 0]), "town": codes}).numpy()
    np.testing.assert_allclose(found, tab.predict_proba(frame), rtol=1e-4)
