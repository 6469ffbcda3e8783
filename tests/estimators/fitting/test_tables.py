"""Columns of every kind become what a network takes."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import sklearnish as sn
from sklearnish.estimators._fitting.tables import encoded, takes_codes
from sklearnish.modules import MLP, TableModule
from sklearnish.preprocessing import TableEncoder

X = pd.DataFrame({"a": [1.5, 2.5, None, 4.5], "b": ["x", None, "y", "x"]})


@pytest.mark.parametrize(
    ("module", "takes"),
    [(None, True), (TableModule, True), (MLP, False), (nn.Linear(2, 2), False)],
)
def test_modules_that_name_categories_take_codes(module, takes):
    assert takes_codes(module) is takes


@pytest.mark.parametrize("one_hot", [True, False])
def test_rows_in_memory_are_those_that_are_encoded_as_they_are_read(one_hot):
    data = sn.as_dataset(X, y=np.arange(4), sample_weight=np.ones(4))[[3, 0, 1, 2]]
    encoder = TableEncoder(one_hot=one_hot).fit(data)
    whole, lazy = encoded(encoder, data, 2**20), encoded(encoder, data, 1)
    assert whole.in_memory
    assert not lazy.in_memory
    batches = whole.read(np.arange(4)), lazy.read(np.arange(4))
    assert torch.equal(batches[0].X, batches[1].X)
    assert [batch.y.tolist() for batch in batches] == [[3, 0, 1, 2]] * 2
    assert whole.weight.tolist() == lazy.weight.tolist() == [1] * 4


def test_arrays_of_objects_are_tables():
    array = X.to_numpy()
    clf = sn.TabularClassifier(max_epochs=1, early_stopping=False).fit(array, [0, 1, 0, 1])
    assert clf.encoder_.kinds_ == {"x0": "number", "x1": "category"}
    assert clf.predict(array).shape == (4,)
    assert not hasattr(clf, "feature_names_in_")
