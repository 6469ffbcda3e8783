import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import config_context

from sklearnish.preprocessing import FrameOutputMixin


class Doubles(FrameOutputMixin):
    def get_feature_names_out(self):
        return np.array(["a", "b"], dtype=object)

    def transform(self, X):
        return self._in_output(X, np.asarray(X) * 2)


FRAME = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]}, index=[7, 9])


def test_an_array_unless_something_else_is_asked_for():
    assert isinstance(Doubles().transform(FRAME), np.ndarray)
    assert isinstance(Doubles().set_output(transform=None).transform(FRAME), np.ndarray)


def test_pandas_keeps_the_index():
    made = Doubles().set_output(transform="pandas").transform(FRAME)
    assert made.index.tolist() == [7, 9]
    assert list(made.columns) == ["a", "b"]


def test_polars():
    assert isinstance(Doubles().set_output(transform="polars").transform(FRAME), pl.DataFrame)


def test_what_is_set_for_all_of_scikit_learn_counts_where_nothing_is_asked_for_here():
    with config_context(transform_output="pandas"):
        assert isinstance(Doubles().transform(FRAME), pd.DataFrame)
        assert isinstance(Doubles().set_output(transform="default").transform(FRAME), np.ndarray)


def test_other_words_are_refused():
    with pytest.raises(ValueError, match="transform='arrow' must be"):
        Doubles().set_output(transform="arrow")
