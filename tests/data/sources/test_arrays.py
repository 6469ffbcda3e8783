import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from sklearnish.data._as_dataset import as_dataset
from sklearnish.data._sources import arrays
from sklearnish.data._sources.arrays import ArraySource, DictSource
from sklearnish.data._tensors.convert import as_numpy

X = np.arange(24.0).reshape(6, 4)
MAKE = {
    "array": np.copy,
    "list": np.ndarray.tolist,
    "fortran": np.asfortranarray,
    "tensor": torch.tensor,
    "gradient": lambda X: torch.tensor(X, requires_grad=True) * 1,
    "csr": sp.csr_array,
    "coo": sp.coo_matrix,
}


@pytest.mark.parametrize("kind", list(MAKE))
def test_it_says_what_it_holds(kind):
    source = ArraySource(MAKE[kind](X))
    assert source.n_rows == 6
    assert source.schema["X"].dtype == "float64"
    assert source.schema["X"].shape == (4,)
    assert source.blocks is None
    assert source.in_memory
    assert not source.tabular
    assert "of shape (6, 4)" in source.name


@pytest.mark.parametrize("kind", list(MAKE))
@given(rows=st.lists(st.integers(0, 5), max_size=12))
def test_rows_come_in_the_order_asked_for(kind, rows):
    rows = np.array(rows, dtype=np.int64)
    read = ArraySource(MAKE[kind](X)).read(rows, ["X"])
    np.testing.assert_array_equal(as_numpy(read["X"]), X[rows])


@pytest.mark.parametrize("kind", list(MAKE))
def test_what_is_read_does_not_share_memory(kind):
    source = ArraySource(MAKE[kind](X))
    first = source.read(np.arange(6), ["X"])["X"]
    first *= 0
    np.testing.assert_array_equal(as_numpy(source.read(np.arange(6), ["X"])["X"]), X)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.bfloat16])
def test_tensors_of_any_real_type(dtype):
    X = torch.ones(3, 2, dtype=dtype)
    assert torch.equal(ArraySource(X).read(np.array([1, 2]), ["X"])["X"], X[1:])


def test_arrays_and_tensors_are_not_copied():
    array, tensor = X.copy(), torch.tensor(X)
    sources = ArraySource(array), ArraySource(tensor)
    array[2], tensor[2] = -1, -1
    for source in sources:
        assert as_numpy(source.read(np.array([2]), ["X"])["X"]).tolist() == [[-1] * 4]


@pytest.mark.parametrize("shape", [(6,), (6, 2), (6, 2, 2), (6, 1, 2, 3)])
def test_arrays_of_any_rank(shape):
    array = np.random.default_rng(0).normal(size=shape)
    source = ArraySource(array)
    assert source.schema["X"].shape == shape[1:]
    np.testing.assert_array_equal(source.read(np.array([5, 0]), ["X"])["X"], array[[5, 0]])


def test_an_array_pickles_whole():
    again = pickle.loads(pickle.dumps(ArraySource(X)))
    np.testing.assert_array_equal(again.read(np.arange(6), ["X"])["X"], X)


@pytest.fixture
def mapped(tmp_path):
    array = np.memmap(tmp_path / "x.bin", "float32", "w+", offset=64, shape=(1000, 10))
    array[:] = np.arange(10_000).reshape(1000, 10)
    array.flush()
    return np.memmap(tmp_path / "x.bin", "float32", "r", offset=64, shape=(1000, 10))


@pytest.mark.parametrize("part", [slice(None), slice(100, 900), slice(3, 4)])
def test_a_memory_map_pickles_as_its_file(mapped, part):
    source = ArraySource(mapped[part][1:] if part.start == 100 else mapped[part])
    assert not source.in_memory
    text = pickle.dumps(source)
    assert len(text) < 2000
    again, rows = pickle.loads(text), np.array([0, source.n_rows - 1])
    np.testing.assert_array_equal(again.read(rows, ["X"])["X"], source.read(rows, ["X"])["X"])
    assert again.schema == source.schema


def test_what_was_written_to_a_private_map_travels_with_it(mapped, tmp_path):
    private = np.memmap(tmp_path / "x.bin", "float32", "c", offset=64, shape=(1000, 10))
    private[3] = -1.0
    source = ArraySource(private)
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again.read(np.array([2, 3]), ["X"])["X"], private[2:4])
    assert source.by_numbers


def test_large_memory_maps_are_known_by_their_file(mapped, monkeypatch):
    assert ArraySource(mapped).by_numbers
    monkeypatch.setattr(arrays, "_SMALL", mapped.nbytes - 1)
    assert not ArraySource(mapped).by_numbers


def test_a_memory_map_with_gaps_still_pickles(mapped):
    source = ArraySource(mapped[::2, 1:])
    text = pickle.dumps(source)
    assert len(text) < 2000
    again = pickle.loads(text)
    assert not again.in_memory
    np.testing.assert_array_equal(again.read(np.array([7]), ["X"])["X"], mapped[14:15, 1:])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (5, "got one int"),
        (None, "got one NoneType"),
        ("text", r"got one str\. Scan a file first: sn\.scan_parquet\(path\)"),
        (
            (np.ones((5, 3)), np.ones(5)),
            r"pair of arrays, of shapes \(5, 3\) and \(5,\).*as_dataset\(X, y\)",
        ),
        ((np.ones((5, 3)), np.ones(4)), "Rows of different lengths"),
        ([[1, 2], [3]], "Rows of different lengths"),
        ([["a", "b"]], r"got an array of dtype <U1. Convert it with X.astype\(float\)"),
        (np.array([[1, "a"]], dtype=object), "array of dtype object"),
        (np.array(["2024"], "datetime64[D]"), "array of dtype datetime64"),
        (np.ones((2, 2), complex), "dtype complex128"),
        (torch.ones(2, 2) * 1j, r"dtype torch\.complex64\. Take X\.real .*view_as_real\(X\)"),
        (
            torch.eye(2).to_sparse(),
            r"layout torch\.sparse_coo\. Pass a SciPy CSR .*X\.to_dense\(\)",
        ),
    ],
)
def test_what_is_not_an_array_of_numbers_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        ArraySource(X)


IDS, NUMBERS = np.array([3, 1, 2], np.uint16), np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy, sp.csr_array, np.ndarray.tolist])
def test_a_dict_of_arrays_is_rows_of_several_inputs(form):
    source = DictSource({"ids": IDS, "x": form(NUMBERS)})
    assert (source.n_rows, source.in_memory, source.tabular) == (3, True, False)
    read = source.read(np.array([2, 0]), ["X"])["X"]
    assert read["ids"].dtype == torch.int64
    assert read["ids"].tolist() == [2, 3]
    assert read["x"].tolist() == NUMBERS[[2, 0]].tolist()
    read["x"].zero_()
    assert NUMBERS[2, 1] == 5.0
    ds = as_dataset({"ids": IDS, "x": form(NUMBERS)}, [0, 1, 1])
    assert ds[1:].target.tolist() == [1, 1]
    assert ds.read([1]).X["x"].dtype == torch.float32
    assert "from: dict of 'ids', 'x'" in repr(ds)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ({}, ValueError, "dict of arrays is empty"),
        ({"a": NUMBERS, "b": NUMBERS[:2]}, ValueError, r"one number of rows.*'a': 3, 'b': 2"),
        ({0: NUMBERS}, TypeError, "must be text.*got int"),
        ({"a": {"b": NUMBERS}}, TypeError, r"'a' is a dict.*X\['a'\]"),
    ],
)
def test_dicts_that_are_no_inputs(X, error, message):
    with pytest.raises(error, match=message):
        as_dataset(X)


def test_a_list_of_tensors_that_require_grad_is_rows():
    rows = [torch.full((2,), float(i), requires_grad=True) for i in range(3)]
    assert ArraySource(rows).read(np.array([2]), ["X"])["X"].tolist() == [[2.0, 2.0]]
