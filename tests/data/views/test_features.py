import numpy as np
import pandas as pd
import pytest
import torch

from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._views.features import FeatureView
from sklearnish.data._views.inputs import Inputs

FRAME = pd.DataFrame({"n": [1, 2], "b": [True, False], "t": ["a", "b"], "x": [0.5, 1.5]})
FRAME["c"] = FRAME["t"].astype("category")
FRAME["d"] = pd.Timestamp("2020-01-01")
FRAME["p"] = pd.Timedelta("1h")


def test_kinds_name_what_columns_hold():
    kinds = as_dataset(FRAME).kinds
    assert kinds == {
        "n": "number",
        "b": "bool",
        "t": "text",
        "x": "number",
        "c": "category",
        "d": "datetime",
        "p": "duration",
    }
    assert as_dataset(np.zeros((2, 3))).kinds == {"X": "list"}


def test_every_change_makes_a_view_of_the_class():
    source = as_dataset(FRAME).source
    view = FeatureView(source, range(2), Inputs(tuple(source.schema)))
    numbers = view.select(["n", "x"])
    for changed in (
        numbers.with_dtype(torch.float64),
        numbers.map(torch.neg).map(torch.neg),
        numbers.map_batches(torch.clone),
        numbers.map_frames(lambda df: df),
    ):
        assert type(changed) is FeatureView
        assert changed.read([1]).X.tolist() == [[2, 1.5]]
    assert view.column("t").tolist() == ["a", "b"]


def test_columns_are_selected_by_name():
    ds = as_dataset(FRAME)
    assert ds[[1, 0], ["x", "n"]].read([0]).X.tolist() == [[1.5, 2.0]]
    with pytest.raises(ValueError, match=r"no column 'z'. Its columns are 'n', 'b'"):
        ds.select(["z"])
    with pytest.raises(TypeError, match="is one string"):
        ds.select("x")
