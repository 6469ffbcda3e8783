import numpy as np
import pandas as pd
import pytest
import torch

from sklearnish.data import scan_parquet
from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._loading.loader import Loader
from sklearnish.data._loading.prepare import fetch_rows, parse_bytes, prepare_loader
from sklearnish.data._loading.tuner import Tuner
from sklearnish.data._order.samplers import Order
from sklearnish.data._reading.plan import LoadPlan, Room
from sklearnish.data._reading.reader import Reader
from sklearnish.data._tensors.transfer import Transfer

X = np.arange(60, dtype=np.float32).reshape(30, 2)
DS = as_dataset(X, np.arange(30) % 2)


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, got 0"),
        ({"batch_size": 2.5}, ValueError, r"got 2\.5"),
        ({"batch_size": "auto"}, ValueError, "got 'auto'"),
        ({"num_workers": -1}, ValueError, "num_workers must be"),
        ({"pin_memory": "no"}, ValueError, "pin_memory must be"),
        ({"shuffle_memory": "much"}, ValueError, "shuffle_memory must be bytes"),
        ({"sampler": "random"}, ValueError, "sampler must be one of"),
        ({"sampler": torch.utils.data.SequentialSampler([1])}, TypeError, "a name or a callable"),
        ({"augment": 5}, TypeError, "augment must be"),
        ({"augment": lambda x: x, "num_workers": 1}, TypeError, "cannot be sent to worker"),
    ],
)
def test_bad_arguments_are_refused_before_a_file_is_copied(
    keywords, error, message, tmp_path, monkeypatch
):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path / "cache"))
    pd.DataFrame(X, columns=["a", "b"]).to_parquet(tmp_path / "x.parquet")
    ds = scan_parquet(tmp_path / "x.parquet")  # one block, larger than a window
    with pytest.raises(error, match=message):
        prepare_loader(ds, **{"batch_size": 7, "shuffle_memory": 8 * 8 * 20, **keywords})
    assert not (tmp_path / "cache").exists()
    prepare_loader(ds, batch_size=7, shuffle_memory=8 * 8 * 20)
    assert any((tmp_path / "cache").iterdir())


def test_rows_are_refused_where_there_are_none():
    with pytest.raises(ValueError, match="has 0 rows; at least one is needed"):
        prepare_loader(DS[:0], batch_size=7)


@pytest.mark.parametrize(
    ("pin_memory", "device", "pinned"),
    [
        pytest.param("auto", "cuda", True, marks=pytest.mark.gpu),
        pytest.param(True, "cuda", True, marks=pytest.mark.gpu),
        pytest.param(False, "cuda", False, marks=pytest.mark.gpu),
        ("auto", "cpu", False),
        (True, "cpu", False),
    ],
)
@pytest.mark.parametrize("num_workers", ["auto", 0, 2])
def test_memory_is_pinned_for_a_gpu_only(pin_memory, device, pinned, num_workers):
    options = {"pin_memory": pin_memory, "num_workers": num_workers}
    loader = prepare_loader(DS, batch_size=7, device=torch.device(device), **options)
    assert bool(loader.transfer._slots) is pinned


def test_a_loader_is_put_together_from_what_reads():
    plan = LoadPlan("inline", 0, "by hand")
    by_hand = Loader(
        Order(DS, "shuffle", 3, 14),
        Reader(DS, (), 3, True),
        Tuner(plan, Room(2**28, 2**10)),
        Transfer(torch.device("cpu"), pin=False),
        batch_size=7,
        epochs=range(2),
    )
    with by_hand, prepare_loader(DS, batch_size=7, epochs=2, seed=3) as prepared:
        for _ in range(2):
            for one, other in zip(by_hand, prepared, strict=True):
                assert torch.equal(one.X, other.X)
                assert torch.equal(one.y, other.y)


def test_a_fetch_is_whole_batches_or_a_window_of_blocks(tmp_path):
    assert fetch_rows(DS, 7, 2**28, small=8 * 7 * 3 + 1) == 21
    assert fetch_rows(DS, 7, 8 * 8 * 10) == 10
    pd.DataFrame(X, columns=["a", "b"]).to_parquet(tmp_path / "x.parquet")
    ds = scan_parquet(tmp_path)
    assert fetch_rows(ds, 7, 8 * 100 * ds.row_nbytes) == 100


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        (12, 12),
        ("256MB", 2**28),
        ("1.5 GB", 3 * 2**29),
        ("2KiB", 2048),
        (" 7b ", 7),
        ("1t", 2**40),
    ],
)
def test_parse_bytes(text, n_bytes):
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["", "MB", "0", "-1GB", "1 XB", None])
def test_sizes_that_are_none(text):
    with pytest.raises(ValueError, match="shuffle_memory must be bytes or a text"):
        parse_bytes(text)
