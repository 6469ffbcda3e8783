import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from sklearnish.data import scan_npy
from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._loading.prepare import prepare_loader
from sklearnish.data._order.samplers import Fetch, Order
from sklearnish.data._reading import on_device
from sklearnish.data._reading.on_device import fits, upload
from sklearnish.data._reading.reader import Reader
from sklearnish.data._tensors.batch import tensors_of
from sklearnish.data._views.attached import hold_labels

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
N = 101
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 4))
WEIGHT = RNG.random(N)


def frame():
    return pd.DataFrame(X, columns=list("abcd")).astype({"a": np.int32, "b": np.float32})


DATASETS = {
    "array": lambda: as_dataset(X, RNG.integers(0, 3, N)),
    "float64": lambda: as_dataset(X, X[:, 0], sample_weight=WEIGHT).with_dtype(torch.float64),
    "frame": lambda: as_dataset(frame(), np.where(X[:, 0] > 0, "yes", "no")),
    "several targets": lambda: as_dataset(frame(), X[:, :2], sample_weight=WEIGHT),
    "no labels": lambda: as_dataset(torch.from_numpy(X)),
    "sparse": lambda: as_dataset(sp.csr_array(X * (X > 0)), X[:, 0]),
    "pictures": lambda: as_dataset(RNG.integers(0, 256, (N, 3, 4, 5), np.uint8), X[:, 0] > 0),
    "some columns": lambda: as_dataset(X, X[:, 0])[:, [2, 0]],
    "a fold": lambda: as_dataset(X, RNG.integers(0, 3, N), sample_weight=WEIGHT)[X[:, 1] > 0],
}


@pytest.fixture(params=DATASETS)
def dataset(request):
    return hold_labels(DATASETS[request.param]())


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    return torch.device(request.param)


@pytest.mark.parametrize("piece", [1, 1000, 2**25])
def test_fetches_are_those_of_the_host_bit_for_bit(dataset, device, piece, monkeypatch):
    monkeypatch.setattr(on_device, "_PIECE_BYTES", piece)
    host = Reader(dataset, (), seed=0, finite=True)
    resident = upload(dataset, device, finite=True)
    order = Order(dataset, "shuffle", seed=1, fetch_rows=17)
    fetches = [*order.epoch(0), *order.epoch(1)]
    assert len(fetches) > 4
    for fetch in fetches:
        expected = host.complete((fetch, host[fetch]))[1].batch
        found = resident.complete((fetch, resident[fetch]))[1].batch
        assert [t is None for t in found] == [t is None for t in expected]
        for tensor, wanted in zip(tensors_of(found), tensors_of(expected), strict=True):
            assert tensor.device.type == device.type
            assert tensor.dtype == wanted.dtype
            assert torch.equal(tensor.cpu(), wanted)


def test_the_dataset_is_read_once(device):
    array = X.astype(np.float32)
    dataset = as_dataset(array, X[:, 0])
    resident = upload(dataset, device, finite=True)
    expected = array.copy()
    array[:] = 0
    positions = np.array([3, 3, 100, 0])
    assert np.array_equal(resident.rows(positions).X.cpu(), expected[positions])


def test_fetches_do_not_share_memory_with_each_other_or_with_the_rows(device):
    resident = upload(as_dataset(X, X[:, 0]), device, finite=True)
    positions = np.arange(N)
    first = resident.rows(positions)
    kept = first.X.clone()
    resident.rows(positions).X.zero_()
    assert torch.equal(first.X, kept)
    assert torch.equal(resident.rows(positions).X, kept)


def test_what_is_not_finite_is_named():
    dirty = X.copy()
    dirty[42, 2] = np.nan
    dataset = as_dataset(dirty)
    with pytest.raises(ValueError, match="contains NaN: feature 2, row 42"):
        upload(dataset, CPU, finite=True)
    reader = upload(dataset, CPU, finite=False)
    assert reader.rows(np.array([42])).X[0, 2].isnan()


def test_bytes_and_seconds_are_told():
    dataset = as_dataset(X, X[:, 0])
    fetched = upload(dataset, CPU, finite=True)[Fetch(0, 0, N, np.arange(10))]
    assert fetched.times.bytes_read == 10 * (4 + 1) * 4
    assert fetched.times.read > 0


def test_only_a_device_with_memory_of_its_own_keeps_rows():
    assert not fits(as_dataset(X), CPU)


def test_rows_that_differ_from_read_to_read_or_lie_on_disk_are_not_kept(tmp_path):
    assert not fits(as_dataset(X).map(lambda x: x), CUDA)
    assert not fits(as_dataset(X), CUDA, augment=(lambda x: x,))
    np.save(tmp_path / "X.npy", X)
    assert not fits(scan_npy(tmp_path / "X.npy"), CUDA)


@pytest.mark.gpu
def test_what_is_small_fits_and_what_is_large_does_not():
    one = torch.zeros(1, 2**20, dtype=torch.uint8)  # a row of a megabyte, repeated without memory
    free, _ = torch.cuda.mem_get_info()
    rows = free // 2**20
    assert fits(as_dataset(one.expand(rows // 4, -1)), CUDA)
    assert not fits(as_dataset(one.expand(rows, -1)), CUDA)


@pytest.mark.gpu
def test_memory_that_torch_keeps_counts_as_free():
    free, _ = torch.cuda.mem_get_info()
    one = torch.zeros(1, 2**20, dtype=torch.uint8)
    dataset = as_dataset(one.expand(free // 2**20 // 3, -1))
    assert fits(dataset, CUDA)
    held = torch.empty(free // 3, dtype=torch.uint8, device=CUDA)
    del held  # torch keeps it: the driver no longer counts it as free
    assert fits(dataset, CUDA)


@pytest.mark.gpu
def test_training_on_resident_rows_gives_what_the_host_gives():
    dataset = as_dataset(X, X[:, 0])
    options = {"batch_size": 16, "epochs": 2, "seed": 3}
    with (
        prepare_loader(dataset, device=CUDA, **options) as on_device,
        prepare_loader(dataset, **options) as here,
    ):
        for _ in range(2):
            for found, expected in zip(on_device, here, strict=True):
                assert torch.equal(found.X.cpu(), expected.X)
                assert torch.equal(found.y.cpu(), expected.y)
