import threading
import time

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
    with pytest.raises(FileExistsError, match="holds other rows"):
        ds[:10].cache(tmp_path / "cache")


def test_nothing_is_left_when_writing_fails(tmp_path):
    def fails(x):
        raise RuntimeError("no")

    ds = sn.as_dataset(np.ones((3, 2))).map(_double)
    assert ds.shape == (3, 2)
    with pytest.raises(RuntimeError, match="no"):
        ds.map(fails).cache(tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_functions_that_change_the_width_leave_no_names(table, tmp_path):
    _, ds = table
    wider = ds.map(_twice_as_wide)
    assert wider.shape == (50, 6)
    assert not hasattr(wider, "columns")
    cached = wider.cache(tmp_path / "cache")
    np.testing.assert_array_equal(np.asarray(cached), np.asarray(wider))


def _twice_as_wide(x):
    return torch.cat([x, 10 * x])


@pytest.mark.parametrize("numbers", [("2", "3"), ("K", "K"), ("g(1)", "g(1)")])
def test_a_changed_function_is_another_dataset(tmp_path, numbers):
    ds, functions = sn.as_dataset(np.ones((3, 2))), []
    for k, number in zip((2, 3), numbers, strict=True):
        known = {"__name__": "__main__", "K": k}
        exec(f"def g(x):\n  return x * K\ndef f(x):\n  return x * {number}", known)
        functions.append(known["f"])
    ds.map(functions[0]).cache(tmp_path / "cache")
    with pytest.raises(FileExistsError, match="rows of another function"):
        ds.map(functions[1]).cache(tmp_path / "cache")
    assert np.asarray(ds.map(functions[0]).cache(tmp_path / "cache")).max() == 2


def test_whole_numbers_and_double_precision_stay(tmp_path):
    tokens = torch.arange(6).reshape(3, 2)
    cached = sn.as_dataset(tokens).cache(tmp_path / "tokens")
    assert cached.read([1]).X.tolist() == [[2, 3]]
    assert cached.read([1]).X.dtype == torch.int64
    precise = sn.as_dataset(np.full((2, 1), 1 / 3)).with_dtype(torch.float64)
    assert precise.cache(tmp_path / "precise").read([0]).X.item() == 1 / 3


FAR = pd.DataFrame({"time": 1_700_000_000 + np.arange(60) % 7, "x": np.arange(60) / 7})
IDS = pd.DataFrame({"id": 10_000_019 * np.arange(60) + 1, "x": np.arange(60) / 7})


@pytest.mark.parametrize("frame", [FAR, IDS], ids=["far", "ids"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_what_float32_would_lose_is_kept(frame, shuffle, tmp_path):
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=20)
    ds = sn.scan_parquet(tmp_path / "t.parquet").with_target(np.arange(60))
    cached = ds.cache(tmp_path / "cache", shuffle=shuffle)
    np.testing.assert_array_equal(np.asarray(cached), frame.iloc[cached.target])
    assert cached.dtype == ds.dtype == np.float32
    assert torch.equal(cached.read([5]).X, ds.read([cached.target[5]]).X)
    again = ds.with_dtype(torch.float64).cache(tmp_path / "cache", shuffle=shuffle)
    assert again.read([0]).X.dtype == torch.float64


def test_what_float32_loses_is_left_out_if_it_was_asked_for(tmp_path):
    cached = sn.as_dataset(FAR).with_dtype(torch.float32).cache(tmp_path / "cache")
    np.testing.assert_array_equal(np.asarray(cached), FAR.astype("float32"))
    ordinary = sn.as_dataset(FAR[["x"]]).cache(tmp_path / "ordinary")
    assert np.load(tmp_path / "ordinary" / "X.npy").dtype == ordinary.dtype == np.float32


def test_rows_that_are_one_in_float32_are_others(tmp_path):
    sn.as_dataset(FAR.to_numpy()).cache(tmp_path / "cache")
    with pytest.raises(FileExistsError, match="holds other rows"):
        sn.as_dataset((FAR + 1).to_numpy()).cache(tmp_path / "cache")
    sn.as_dataset(FAR.to_numpy()).cache(tmp_path / "cache")


def test_a_memory_map_that_was_rewritten_is_written_again(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((4, 2)))
    sn.as_dataset(np.load(tmp_path / "X.npy", mmap_mode="r")).cache(tmp_path / "cache")
    np.save(tmp_path / "X.npy", np.zeros((4, 2)))
    with pytest.raises(FileExistsError):
        sn.as_dataset(np.load(tmp_path / "X.npy", mmap_mode="r")).cache(tmp_path / "cache")


def test_an_empty_folder_may_be_there_already(table, tmp_path):
    (tmp_path / "cache").mkdir()
    assert len(table[1].cache(tmp_path / "cache")) == 50


TIMES = 0


def _slow(x):
    global TIMES
    TIMES += len(x) == 9
    time.sleep(0.05)
    return x


def test_the_second_waits_for_the_first_and_takes_over(tmp_path):
    ds, made = sn.as_dataset(np.ones((9, 2)), y=np.arange(9)).map_batches(_slow), []
    threads = [
        threading.Thread(target=lambda: made.append(ds.cache(tmp_path / "cache"))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [m.target.tolist() for m in made] == [list(range(9))] * 3
    assert TIMES == 1
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]
