import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from sklearnish.preprocessing._streaming.chunk import Chunk, as_taken, column, pick, stack

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": ["x", "y", "z"]})


def chunk(X):
    n = np.arange(3)
    return Chunk(X, n * 10, None, n + 100, n == 1, np.arange(9))


@pytest.mark.parametrize("key", [slice(1, None), np.array([False, True, True]), np.array([1, 2])])
@pytest.mark.parametrize("X", [FRAME, FRAME[["a"]].to_numpy(), sparse.eye(3, format="csr")])
def test_rows_keep_what_is_known_of_them(X, key):
    some = chunk(X).take(key)
    assert some.X.shape == (2, X.shape[1])
    assert (some.y.tolist(), some.weight, some.rows.tolist()) == ([10, 20], None, [101, 102])
    assert some.sampled.tolist() == [True, False]
    assert len(some.all_y) == 9


def test_columns_are_picked_as_in_a_column_transformer():
    assert chunk(FRAME).columns(["b"]).X.shape == (3, 1)
    assert chunk(FRAME).columns("b").X.tolist() == ["x", "y", "z"]
    assert chunk(FRAME.to_numpy()).columns(slice(0, 1)).X.tolist() == [[1.0], [2.0], [3.0]]
    assert column(FRAME, 1).tolist() == column(FRAME.to_numpy(), 1).tolist() == ["x", "y", "z"]


@pytest.mark.parametrize(
    "X", [FRAME, FRAME["b"], FRAME[["a"]].to_numpy(), sparse.eye(3, format="csr"), [{"a": 1}] * 3]
)
def test_parts_are_put_below_each_other(X):
    whole = stack([pick(X, slice(0, 1)), pick(X, slice(1, 3))])
    assert type(whole) is type(X)
    if isinstance(X, list):
        assert whole == X
    else:
        pd.testing.assert_frame_equal(_frame(whole), _frame(X))


def _frame(X):
    return pd.DataFrame(X.toarray() if sparse.issparse(X) else X)


def test_a_transformer_of_text_is_given_the_column():
    words = HashingVectorizer()
    for transformer in (words, make_pipeline(words, Normalizer())):
        assert as_taken(transformer, FRAME[["b"]]).tolist() == ["x", "y", "z"]
        assert as_taken(transformer, ["x"]) == ["x"]
        with pytest.raises(ValueError, match="takes one column of text, got 2 columns: a, b"):
            as_taken(transformer, FRAME)
    assert as_taken(StandardScaler(), FRAME[["b"]]).shape == (3, 1)
    assert as_taken(make_pipeline("passthrough"), FRAME) is FRAME
