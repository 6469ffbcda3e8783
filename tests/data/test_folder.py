import numpy as np
import pandas as pd
import pytest
import torch

import sklearnish as sn


def _double(x):
    return x * 2


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(50, 3)).astype(np.float32), columns=list("abc"))
    frame["label"] = np.where(frame["a"] > 0, "yes", "no")
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=7)
    return frame, sn.scan_parquet(tmp_path / "t.parquet", target="label")


def test_a_table_keeps_columns_order_and_labels(table, tmp_path):
    frame, ds = table
    cached = ds.cache(tmp_path / "cache")
    assert cached.columns == ("a", "b", "c")
    assert cached.target.tolist() == frame["label"].tolist()
    np.testing.assert_array_equal(np.asarray(cached), frame[["a", "b", "c"]].to_numpy())
    np.testing.assert_array_equal(cached[:, "b"], frame["b"])


def test_shuffled_rows_keep_their_labels(table, tmp_path):
    frame, ds = table
    cached = ds.cache(tmp_path / "cache", shuffle=True, random_state=1)
    X = np.asarray(cached)
    assert not np.array_equal(X, frame[["a", "b", "c"]].to_numpy())
    assert sorted(X[:, 0]) == sorted(frame["a"])
    assert np.array_equal(cached.target == "yes", X[:, 0] > 0)


def test_functions_of_rows_are_applied_once(tmp_path):
    X = torch.arange(24).reshape(4, 2, 3).float()
    cached = sn.as_dataset(X, y=[0, 1, 0, 1]).map(_double).cache(tmp_path / "cache")
    assert cached.shape == (4, 2, 3)
    np.testing.assert_array_equal(np.asarray(cached), X.numpy() * 2)


def test_a_view_with_weights_in_any_order(table, tmp_path):
    frame, ds = table
    rows = np.array([40, 3, 3, 17])
    cached = ds.with_weight(np.arange(50.0))[rows].cache(tmp_path / "cache")
    assert cached.weight.tolist() == rows.tolist()
    np.testing.assert_array_equal(np.asarray(cached), frame[["a", "b", "c"]].to_numpy()[rows])


def test_the_same_rows_are_found_again_and_others_refused(table, tmp_path):
    _, ds = table
    ds.cache(tmp_path / "cache")
    written = (tmp_path / "cache" / "X.npy").stat().st_mtime_ns
    again = ds.cache(tmp_path / "cache")
    assert len(again) == 50
    assert (tmp_path / "cache" / "X.npy").stat().st_mtime_ns == written
    with pytest.raises(FileExistsError, match="holds something else"):
        ds[:10].cache(tmp_path / "cache")


def test_nothing_is_left_when_writing_fails(tmp_path):
    def fails(x):
        raise RuntimeError("no")

    ds = sn.as_dataset(np.ones((3, 2))).map(_double)
    assert ds.shape == (3, 2)
    with pytest.raises(RuntimeError, match="no"):
        ds.map(fails).cache(tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []
