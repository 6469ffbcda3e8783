import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.inspection import permutation_importance as in_memory
from sklearn.preprocessing import StandardScaler

import sklearnish as sn
from sklearnish.inspection import permutation_importance


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=n),
            "town": rng.choice(["Bonn", "Köln", "Ulm"], n),
            "noise": rng.normal(size=n),
        }
    )
    frame.loc[::9, ["size", "town"]] = None
    frame["price"] = frame["size"].fillna(0) + 2 * (frame["town"] == "Bonn")
    return frame


@pytest.fixture(scope="module")
def model(table):
    reg = sn.TabularRegressor(quality="fast", max_steps=150, random_state=0)
    return reg.fit(table.drop(columns="price"), table["price"])


@pytest.mark.parametrize("order", ["as stored", "shuffled", "repeated"])
def test_scores_are_those_of_rows_whose_column_is_shuffled_by_hand(tmp_path, table, model, order):
    table.to_parquet(tmp_path / "a.parquet", row_group_size=60)
    ds = sn.scan_parquet(tmp_path / "a.parquet", target="price")
    rng = np.random.default_rng(1)
    rows = {
        "as stored": np.arange(400),
        "shuffled": rng.permutation(400),
        "repeated": rng.integers(0, 400, 300),
    }[order]
    found = permutation_importance(model, ds[rows], n_repeats=2, random_state=3)

    state, distinct = np.random.RandomState(3), np.unique(rows)
    score = model.score(table.iloc[rows, :3], table["price"].iloc[rows])
    for j, name in enumerate(["size", "town", "noise"]):
        for repeat in range(2):
            changed = table.copy()
            values = table[name].iloc[distinct].to_numpy()
            changed.loc[distinct, name] = values[state.permutation(len(distinct))]
            less = model.score(changed.iloc[rows, :3], table["price"].iloc[rows])
            assert found.importances[j, repeat] == pytest.approx(score - less, abs=1e-6)
    np.testing.assert_allclose(found.importances_mean, found.importances.mean(1))
    np.testing.assert_allclose(found.importances_std, found.importances.std(1))
    assert min(found.importances_mean[:2]) > 0.5
    assert abs(found.importances_mean[2]) < 0.1


def test_rows_in_memory_are_handed_to_scikit_learn(table, model):
    X, y = table.drop(columns="price"), table["price"]
    options = {"n_repeats": 2, "random_state": 0, "scoring": "neg_mean_absolute_error"}
    found = permutation_importance(model, X, y, **options)
    np.testing.assert_array_equal(found.importances, in_memory(model, X, y, **options).importances)


def test_columns_of_unnamed_arrays_and_weights(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)).astype(np.float32)
    y = np.where(np.arange(300) < 150, X[:, 0], X[:, 1]).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    ds = sn.scan_npy(tmp_path / "X.npy", target=tmp_path / "y.npy")
    reg = sn.TorchRegressor(random_state=0).fit(ds)
    first = (np.arange(300) < 150).astype(float)
    by = permutation_importance(reg, ds, sample_weight=first, random_state=0).importances_mean
    others = permutation_importance(reg, ds, sample_weight=1 - first, random_state=0)
    assert by[0] > by[1]
    assert others.importances_mean[1] > others.importances_mean[0]


def test_a_pipeline_and_a_name_of_a_score(tmp_path, table):
    table[["size", "noise", "price"]].fillna(0).to_parquet(tmp_path / "a.parquet")
    ds = sn.scan_parquet(tmp_path / "a.parquet", target="price")
    from sklearn.pipeline import make_pipeline

    pipe = make_pipeline(
        sn.preprocessing.Streamed(StandardScaler()), sn.TorchRegressor(random_state=0)
    ).fit(ds, ds.target)
    found = permutation_importance(pipe, ds, scoring="neg_root_mean_squared_error", random_state=0)
    assert found.importances_mean[0] > 10 * abs(found.importances_mean[1])


def test_what_cannot_be_shuffled_is_told(table, model):
    ds = sn.as_dataset(table[["size"]].fillna(0))
    with pytest.raises(ValueError, match=r"has no target\. Pass y, or scan it with target="):
        permutation_importance(model, ds)
    mapped = ds.with_target(table["price"]).map(torch.abs)
    with pytest.raises(ValueError, match="pass through functions of tensors"):
        permutation_importance(model, mapped)
    with pytest.raises(TypeError, match=r"scoring=\['r2', 'max_error'\] must be one name"):
        permutation_importance(model, ds, table["price"], scoring=["r2", "max_error"])
    with pytest.raises(ValueError, match="n_repeats must be an integer of at least 1, got 0"):
        permutation_importance(model, ds, table["price"], n_repeats=0)
