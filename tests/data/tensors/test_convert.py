import datetime
import decimal
import itertools

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from sklearnish.data._tensors.convert import (
    as_numpy,
    float32_holds,
    from_numpy,
    is_image,
    to_matrix,
    to_tensor,
)

NAN = float("nan")


def chunked(values, cuts, dtype=None):
    cuts = [0, *cuts, len(values)]
    chunks = [values[a:b] for a, b in itertools.pairwise(cuts)]
    return pa.chunked_array([pa.array(c, dtype) for c in chunks], dtype)


@given(st.integers(0, 6000), st.data())
def test_columns_of_any_chunks_are_laid_side_by_side(n, data):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=3)))
    other = cuts if data.draw(st.booleans()) else []
    columns = [chunked(X[:, 0], cuts, pa.float32()), chunked(X[:, 1], other, pa.float32()), X[:, 2]]
    out = to_matrix(columns[: data.draw(st.integers(1, 3))], torch.float32)
    assert out.is_contiguous()
    np.testing.assert_array_equal(out.numpy(), X[:, : out.shape[1]])


@given(st.data())
def test_many_columns_are_laid_side_by_side(data):
    """From so many on they are turned in blocks, all but those of another type."""
    k, dtype = data.draw(st.integers(14, 600)), data.draw(st.sampled_from(["f4", "f8"]))
    n = data.draw(st.integers(0, 2**20 // (4 * k) * 2 + 3))
    X = np.random.default_rng(0).normal(size=(n, k)).astype(dtype)
    cuts = data.draw(st.lists(st.integers(0, n), max_size=2).map(sorted))
    columns = [chunked(X[:, j], cuts, pa.from_numpy_dtype(X.dtype)) for j in range(k)]
    out = to_matrix(columns, torch.float32)
    assert out.is_contiguous()
    np.testing.assert_array_equal(out.numpy(), X.astype(np.float32))


def test_a_missing_value_among_many_columns_is_nan():
    columns = [chunked([1.0, float(j)], [1], pa.float32()) for j in range(20)]
    columns[3] = chunked([None, 3.0], [1], pa.float32())
    out = to_matrix(columns, torch.float32)
    np.testing.assert_array_equal(out[0].isnan().nonzero(), [[3]])
    assert out[1].tolist() == list(range(20))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_columns_of_all_kinds_of_numbers(dtype):
    columns = [
        pa.chunked_array([pa.array([1, None, 3], pa.int64())]),
        pa.chunked_array([pa.array([True, None, False])]),
        pa.chunked_array([pa.array([decimal.Decimal("1.5"), None, decimal.Decimal("2")])]),
        pa.chunked_array([pa.array([7, 8, 9], pa.uint8())]),
        np.array([True, False, True]),
        torch.tensor([1, 2, 3]),
        sp.csr_array([[0.0, 4.0], [5.0, 0.0], [0.0, 0.0]]),
    ]
    out = to_matrix(columns, dtype)
    assert out.dtype == dtype
    expected = [
        [1, 1, 1.5, 7, 1, 1, 0, 4],
        [NAN, NAN, NAN, 8, 0, 2, 5, 0],
        [3, 0, 2, 9, 1, 3, 0, 0],
    ]
    np.testing.assert_array_equal(out.numpy(), np.array(expected))


def test_no_column_and_no_row():
    assert to_matrix([], torch.float32).shape == (0, 0)
    assert to_matrix([pa.chunked_array([], pa.int64())], torch.float32).shape == (0, 1)


@pytest.mark.parametrize("n_chunks", [0, 1, 2])
def test_lists_of_one_length_become_columns(n_chunks):
    values = pa.array([[1.0, 2.0], None, [3.0, NAN]], pa.list_(pa.float64(), 2))
    column = pa.chunked_array([values.slice(0)] * n_chunks, values.type)
    expected = np.tile([[1, 2], [NAN, NAN], [3, NAN]], (n_chunks, 1)).reshape(-1, 2)
    np.testing.assert_array_equal(to_matrix([column], torch.float64).numpy(), expected)


def test_a_slice_of_lists_and_lists_of_lists():
    X = np.arange(24.0).reshape(4, 2, 3)
    inner = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 3)
    column = pa.chunked_array([pa.FixedSizeListArray.from_arrays(inner, 2).slice(1, 2)])
    np.testing.assert_array_equal(to_matrix([column], torch.float64), X[1:3].reshape(2, 6))


def test_arrow_tensors_become_columns():
    X = np.arange(24.0).reshape(4, 2, 3)
    column = pa.chunked_array([pa.FixedShapeTensorArray.from_numpy_ndarray(X)])
    np.testing.assert_array_equal(to_matrix([column], torch.float64), X.reshape(4, 6))


def test_text_keeps_its_missing_values():
    column = pa.chunked_array([pa.array(["a", None]).dictionary_encode(), ["b"]])
    assert as_numpy(column).tolist() == ["a", None, "b"]


def test_numbers_are_cast_and_torch_integers_are_not():
    assert to_tensor(np.array([[1, 2]], "int8"), torch.float64).dtype == torch.float64
    assert to_tensor(torch.tensor([[1, 2]]), torch.float64).dtype == torch.int64
    assert to_tensor(torch.ones(1, 2).half(), torch.float32).dtype == torch.float32
    out = to_tensor({"a": torch.ones(2), "b": torch.tensor([1, 2])}, torch.float64)
    assert (out["a"].dtype, out["b"].dtype) == (torch.float64, torch.int64)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 4)])
def test_bytes_of_two_and_more_dimensions_a_row_are_images(shape):
    out = to_tensor(np.full(shape, 200, np.uint8), torch.float32)
    assert is_image(np.uint8, shape[1:]) == (out.dtype == torch.uint8) == (len(shape) > 2)
    assert bool((out == 200).all())


@pytest.mark.parametrize("dtype", [">f4", ">i8", "longdouble", "float16", "uint16", "uint64", "?"])
def test_numbers_of_any_type_of_numpy(dtype):
    array = np.array([[1, 0], [0, 1]]).astype(dtype)
    array.setflags(write=False)
    assert to_tensor(array, torch.float32).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3).T, np.arange(6)[::-2]])
def test_a_tensor_of_an_array_in_any_layout(array):
    assert from_numpy(array).is_contiguous()
    assert from_numpy(array).tolist() == array.tolist()


def test_times_of_nanoseconds():
    column = pa.chunked_array([pa.array([3_723_000_000_456, None], pa.time64("ns"))])
    assert as_numpy(column).tolist() == [datetime.time(1, 2, 3), None]  # Python's have microseconds


def test_dictionaries_that_hold_nulls_and_several_chunks():
    chunks = [
        pa.DictionaryArray.from_arrays([0, 1, None], ["a", None]),
        pa.DictionaryArray.from_arrays([0, 1, 1], ["b", "a"]),
    ]
    for column in (pa.chunked_array(chunks), pa.chunked_array(chunks).slice(0, 6)):
        texts = as_numpy(column)
        assert texts.tolist() == ["a", None, None, "b", "a", "a"]
        assert texts[0] is texts[4] is texts[5]
    assert as_numpy(pa.chunked_array([], pa.dictionary(pa.int32(), pa.string()))).tolist() == []


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("bool", True),
        ("uint16", True),
        ("float32", True),
        ("int32", False),
        ("float64", False),
        ("decimal128(5, 2)", False),
        ("list<element: float>", True),
        ("fixed_size_list<item: float not null>[3]", True),
        ("list<element: fixed_size_list<element: int8>[2]>", True),
        ("list<element: double>", False),
    ],
)
def test_types_that_float32_holds(name, held):
    assert float32_holds([name]) == held
    assert not float32_holds(["int8", name, "int64"])
