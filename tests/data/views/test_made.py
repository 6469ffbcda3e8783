import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch

from sklearnish.data._arrow.columns import to_field
from sklearnish.data._source import Field
from sklearnish.data._views.made import (
    agree,
    all_missing,
    equal,
    joined,
    made_of,
    missing,
    some_rows,
)

NUMBER = Field("float64")


@pytest.mark.parametrize(
    ("result", "shape"),
    [
        ([[1, 2], [3, 4]], (2,)),
        (np.zeros(2, bool), (1,)),
        (sp.csr_array(np.eye(2)), (2,)),
        (torch.zeros(2, 3, requires_grad=True), (3,)),
    ],
)
def test_arrays_of_any_kind_are_dense_rows(result, shape):
    made = made_of(result, 2)
    assert made.schema["X"].shape == made.columns["X"].shape[1:] == shape
    assert not made.named
    with pytest.raises(ValueError, match=r"as many rows as it was given \(3\), got 2"):
        made_of(result, 3)


def test_a_dict_has_one_length():
    made = made_of({"a": [1, 2], "b": np.zeros((2, 3), np.float32)}, 2)
    assert made.schema["X"].dtype == "dict of 'a' () torch.int64, 'b' (3,) torch.float32"
    with pytest.raises(ValueError, match="got 3"):
        made_of({"a": [1, 2], "b": [1, 2, 3]}, 2)


@pytest.mark.parametrize("index", [[0, 2, 1], [2, 1, 0]])
def test_an_index_in_another_order_is_refused(index):
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=index)
    with pytest.raises(ValueError, match="another order"):
        made_of(frame, 3)
    for other in (frame.set_axis([5, 4, 9]), frame.set_axis(list("cab")), frame.rename_axis("id")):
        assert made_of(other, 3).columns["a"].tolist() == [1, 2, 3]


def test_pieces_of_several_types_are_joined():
    text = pa.chunked_array([["a"]])
    assert joined([text, pa.chunked_array([pa.nulls(1)])]).to_pylist() == ["a", None]
    assert joined([text.dictionary_encode(), text]).to_pylist() == ["a", "a"]
    assert joined([np.array([1]), np.array([np.nan])]).dtype == np.float64
    assert joined([np.array([True]), np.array([5])]).tolist() == [1, 5]
    mixed = joined([np.array([1, 2]), pa.chunked_array([pa.array([None, 3], pa.int8())])])
    np.testing.assert_array_equal(mixed, [1, 2, np.nan, 3])
    days = joined([np.array(["2020-01-01"], "M8[s]"), np.array(["2020-01-02"], "M8[us]")])
    assert [str(day.date()) for day in days.to_pylist()] == ["2020-01-01", "2020-01-02"]
    x = np.arange(3.0)
    same = joined([x, x])
    assert np.shares_memory(same.chunk(1).to_numpy(), x)
    assert joined([x[:, None], x[:, None]]).shape == (6, 1)
    assert joined([{"a": torch.ones(2)}, {"a": torch.zeros(1)}])["a"].tolist() == [1, 1, 0]
    assert joined([torch.ones(1), torch.zeros(1)]).tolist() == [1, 0]


def test_types_agree_that_can_be_joined():
    assert agree(NUMBER, Field("int8"))
    types = [pa.timestamp("us", zone) for zone in (None, "UTC", "Europe/Berlin")]
    types += [pa.date32(), pa.time64("us"), pa.duration("us"), pa.float64(), pa.bool_()]
    fields = [to_field(dtype) for dtype in [*types, pa.string(), pa.list_(pa.string())]]
    assert [[agree(a, b) for b in fields] for a in fields] == np.eye(len(fields)).tolist()
    assert agree(fields[0], Field("datetime64[ns]", "datetime"))
    assert agree(fields[5], Field("timedelta64[ns]", "other"))
    assert agree(to_field(pa.dictionary(pa.int8(), pa.string())), Field("string", "text"))
    assert not agree(NUMBER, Field("float64", shape=(2,)))
    assert not agree(NUMBER, Field("string", "text"))
    assert not agree(Field("binary", "other"), Field("object", "other"))
    assert all_missing(np.full(2, np.nan))
    assert all_missing(pa.chunked_array([pa.nulls(2)]))
    assert not all_missing(np.zeros(2))
    assert not all_missing(torch.zeros(2))


def test_values_are_compared_up_to_rounding():
    x = np.array([1.0, np.nan, np.inf, -3e8])
    assert equal(x, x.astype(np.float32), NUMBER)
    assert not equal(np.array([1.0, 2.0]), np.array([1.0, 2.1]), NUMBER)
    texts = pa.chunked_array([["a", None]])
    assert equal(texts, texts.dictionary_encode(), Field("string", "text"))
    assert not equal(texts, texts.fill_null("b"), Field("string", "text"))
    one = {"a": torch.ones(2)}
    assert equal(one, one, Field("dict", "other"))
    assert not equal(one, {"a": torch.zeros(2)}, Field("dict", "other"))
    assert some_rows(one, slice(1, None))["a"].tolist() == [1]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1.0, float("nan")], None]),
        pa.array([["a"], None]),
        pa.array([1, None], pa.duration("s")),
        pa.array([1, None], pa.timestamp("us", "UTC")),
        pa.array([b"x", None]),
        pa.array([{"a": 1.5}, None]),
    ],
)
def test_columns_of_any_type_are_compared_by_value(values):
    column, field = pa.chunked_array([values]), to_field(values.type)
    assert equal(column, pa.chunked_array([values]), field)
    assert not equal(column, pa.chunked_array([values.take([1, 0])]), field)


def test_times_and_objects_of_numpy_are_compared_by_value():
    for values in (np.array([3, "NaT"], "m8[s]"), np.array([3, "NaT"], "M8[s]"), OBJECTS):
        field = Field.of_numpy(values.dtype)
        assert equal(values, values.copy(), field)
        assert not equal(values, values[::-1], field)
    seconds = np.array([3, "NaT"], "m8[s]")
    assert equal(seconds, seconds.astype("m8[ns]"), Field.of_numpy(seconds.dtype))
    assert not equal(pa.chunked_array([["a"]]), pa.chunked_array([[1]]), Field("string", "text"))


OBJECTS = np.array([1 + 2j, "a"], dtype=object)


def test_a_column_that_is_all_missing_gets_a_type():
    assert missing(2, np.empty((0, 3), np.float32)).shape == (2, 3)
    for like in (np.empty(0, bool), np.empty(0, "M8[s]"), pa.chunked_array([["a"]])):
        assert missing(2, like).to_pylist() == [None, None]


def test_some_rows_of_nested_lists():
    pairs = pa.FixedSizeListArray.from_arrays(np.arange(40.0), 2)
    column = pa.chunked_array([pa.FixedSizeListArray.from_arrays(pairs, 2)]).slice(3, 5)
    assert some_rows(column, slice(None, None, 2)).to_pylist() == column.to_pylist()[::2]
