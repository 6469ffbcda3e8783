import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from sklearnish.preprocessing import Streamed
from sklearnish.preprocessing._streaming.by_value import SumsByValue
from sklearnish.preprocessing._streaming.chunk import Chunk
from sklearnish.preprocessing._streaming.encoders import OfCounts, counts, distinct_rows
from tests.preprocessing.rows import memory


def in_pieces(values, size):
    return [values[start : start + size] for start in range(0, len(values), size)]


def test_rows_of_distinct_values_have_the_types_of_the_columns():
    frame = pd.DataFrame({"n": [1, 2, 1], "t": ["x", None, "y"], "f": [0.5, 0.5, np.nan]})
    columns = [SumsByValue() for _ in frame]
    for counted, name in zip(columns, frame, strict=True):
        counted.add(frame[name], counts)
    rows = distinct_rows(frame, columns)
    assert rows.dtypes.tolist() == frame.dtypes.tolist()
    assert rows["n"].tolist() == [1, 2, 1]
    assert rows.shape == (3, 3)
    array = distinct_rows(np.zeros((3, 1), np.float32), columns[:1], least=4)
    assert array.dtype == np.float32
    assert array.tolist() == [[1], [2], [1], [2]]


def fitted(encoder, X, size):
    parts = in_pieces(X, size)
    chunks = [Chunk(part, None, None, np.arange(len(part)), None, None) for part in parts]
    learner = OfCounts(encoder, chunks[0])
    for chunk in chunks:
        learner.add(chunk)
    learner.end_pass()
    return learner.fitted.transformer


@settings(max_examples=50)
@given(
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    least=st.none() | st.integers(1, 12) | st.floats(0.01, 0.9),
    most=st.none() | st.integers(1, 8),
    missing=st.booleans(),
    kind=st.sampled_from([OneHotEncoder, OrdinalEncoder]),
    size=st.integers(1, 30),
)
def test_infrequent_categories_are_those_of_scikit_learn(counts, least, most, missing, kind, size):
    values = np.repeat(np.arange(len(counts)) * 1.5, counts)
    other = np.random.default_rng(0).permutation(values)
    if missing:
        other[::3] = np.nan
    X = pd.DataFrame({"a": values, "b": other}).sample(frac=1, random_state=0)
    encoder = kind(min_frequency=least, max_categories=most)
    expected, found = (
        kind(min_frequency=least, max_categories=most).fit(X),
        fitted(encoder, X, size),
    )
    for one, two in zip(found.categories_, expected.categories_, strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.dtype == two.dtype
    if least is not None or most is not None:
        for one, two in zip(
            found.infrequent_categories_, expected.infrequent_categories_, strict=True
        ):
            np.testing.assert_array_equal(one, two)
    found, expected = found.transform(X), expected.transform(X)
    assert (
        np.array_equal(found, expected, equal_nan=True)
        if kind is OrdinalEncoder
        else ((found != expected).nnz == 0)
    )


NAMED = [["Bern", "Linz", "Ulm"]]


@pytest.mark.parametrize("most", [None, 2])
def test_categories_that_are_named(scanned, most):
    ds = scanned(["city"])
    encoder = OneHotEncoder(categories=NAMED, handle_unknown="ignore", max_categories=most)
    streamed = Streamed(encoder).fit(ds).transformer_
    expected = OneHotEncoder(**encoder.get_params()).fit(memory(ds))
    assert (streamed.transform(memory(ds)) != expected.transform(memory(ds))).nnz == 0
    with pytest.raises(ValueError, match=r"Found unknown categories.*Graz.*during fit"):
        Streamed(OneHotEncoder(categories=NAMED)).fit(ds)


def test_other_columns_than_a_table_are_refused_by_the_encoder(scanned):
    with pytest.raises(ValueError, match="Expected a 2-dimensional container"):
        fitted(OneHotEncoder(), memory(scanned(["city"]))["city"], 100)
