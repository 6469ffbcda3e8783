import numpy as np
import pytest

from sklearnish.data._source import Field, Source


class Squares(Source):
    name = "squares"
    n_rows = 5

    def __init__(self):
        self.schema = {"X": Field("float64")}

    def read(self, rows, columns):
        return dict.fromkeys(columns, rows**2.0)


def test_a_source_answers_without_more_than_read():
    source = Squares()
    assert source.blocks is None
    assert not source.in_memory
    assert source.tabular
    assert source.labels("X") is None
    assert source.row_name(3) == "row 3 of squares"
    source.check_unchanged()
    assert source.read(np.array([2, 3]), ["X"])["X"].tolist() == [4, 9]
    pieces = source.read_each([np.array([2]), np.array([3])], ["X"])
    assert [piece["X"].tolist() for piece in pieces] == [[4], [9]]


def test_a_source_must_read():
    with pytest.raises(TypeError, match=r"abstract method '?read"):
        Source()


def test_a_field_is_a_number_in_each_row_unless_it_says_more():
    assert (Field("int8").kind, Field("int8").shape) == ("number", ())
