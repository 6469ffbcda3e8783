import pickle

import numpy as np
import torch
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sklearnish as sn
from sklearnish.estimators._predicting.rowwise import RowwiseMethod

X = np.random.default_rng(0).integers(0, 3, (20, 2)).astype(np.float64)


def test_calls_the_method():
    scaler = StandardScaler().fit(X)
    scaled = RowwiseMethod(scaler, "transform")(torch.from_numpy(X))
    np.testing.assert_array_equal(scaled.numpy(), scaler.transform(X))
    back = RowwiseMethod(scaler, "inverse_transform")(scaled)
    np.testing.assert_allclose(back.numpy(), X)


def test_sparse_results_become_dense():
    made = RowwiseMethod(OneHotEncoder().fit(X), "transform")(torch.from_numpy(X))
    assert made.shape == (20, 6)


def test_over_a_dataset_it_draws_nothing_and_leaves_no_names():
    import pandas as pd

    ds = sn.as_dataset(pd.DataFrame(X, columns=["a", "b"]))
    made = ds.map_batches(RowwiseMethod(StandardScaler().fit(X), "transform"))
    assert not made.transforms[0].uses_global_generators
    assert not hasattr(made, "columns")
    assert len(pickle.dumps(made.transforms)) < 2000
