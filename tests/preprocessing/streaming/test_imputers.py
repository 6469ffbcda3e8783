import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.impute import MissingIndicator, SimpleImputer

from sklearnish.preprocessing import Streamed
from sklearnish.preprocessing._streaming.chunk import Chunk
from sklearnish.preprocessing._streaming.imputers import OfGaps
from tests.preprocessing.rows import assert_same, memory

FILLED = "ignore:Skipping features without any observed values"


def fitted(imputer, X, size):
    starts = range(0, len(X), size)
    chunks = [Chunk(X[i : i + size], None, None, np.arange(size), None, None) for i in starts]
    learner = OfGaps(imputer, chunks[0])
    for chunk in chunks:
        learner.add(chunk)
    learner.end_pass()
    return learner.fitted.transformer


@pytest.mark.filterwarnings(FILLED)
@settings(max_examples=50)
@given(
    values=st.lists(
        st.lists(st.sampled_from([np.nan, 0.0, 1.5, 1e6]), min_size=3, max_size=3), min_size=1
    ),
    strategy=st.sampled_from(["mean", "most_frequent", "constant"]),
    empty=st.booleans(),
    framed=st.booleans(),
    size=st.integers(1, 9),
)
def test_gaps_are_filled_as_in_memory(values, strategy, empty, framed, size):
    X = pd.DataFrame(values, columns=list("abc")) if framed else np.array(values)
    imputer = SimpleImputer(strategy=strategy, add_indicator=True, keep_empty_features=empty)
    expected, found = clone(imputer).fit(X), fitted(imputer, X, size)
    pd.testing.assert_series_equal(pd.Series(found.statistics_), pd.Series(expected.statistics_))
    np.testing.assert_array_equal(found.indicator_.features_, expected.indicator_.features_)
    assert_same(found.transform(X), expected.transform(X))
    found = fitted(MissingIndicator(), X, size)
    np.testing.assert_array_equal(found.features_, MissingIndicator().fit(X).features_)


@pytest.mark.parametrize(
    ("imputer", "columns"),
    [
        (SimpleImputer(strategy="constant", fill_value="?"), ["gappy"]),
        (SimpleImputer(strategy="most_frequent"), ["gappy", "rooms"]),
        (SimpleImputer(missing_values="Bern", strategy="most_frequent"), ["city"]),
        (SimpleImputer(missing_values=3), ["rooms", "a"]),
        (SimpleImputer(missing_values=3, strategy="constant"), ["rooms"]),
    ],
)
def test_text_and_other_gaps(scanned, imputer, columns):
    ds = scanned(columns)
    expected = clone(imputer).fit(memory(ds))
    streamed = Streamed(imputer).fit(ds).transformer_
    assert_same(streamed.transform(memory(ds)), expected.transform(memory(ds)))
    if imputer.strategy != "mean":
        assert streamed.statistics_.tolist() == expected.statistics_.tolist()


def test_text_has_no_mean(scanned):
    with pytest.raises(ValueError, match="Cannot use mean strategy with non-numeric data"):
        Streamed(SimpleImputer()).fit(scanned(["city"]))
