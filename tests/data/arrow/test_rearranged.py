"""Rows in a new order, through memory or through files, are the same."""

import numpy as np
import pyarrow as pa
import pytest

from sklearnish.data._arrow.rearranged import rearranged
from tests.training.full_disk import files_of_at_most


def _tables(n, size):
    texts = pa.array([f"t{i % 50}" for i in range(n)])
    for start in range(0, n, size):
        numbers = pa.array(range(start, min(n, start + size)))
        some = texts.slice(start, size)
        pairs = pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(numbers, 2)), 2)
        yield pa.table({"n": numbers, "text": some, "code": some.dictionary_encode(), "2": pairs})


@pytest.mark.parametrize("memory", [2**30, 20_000, 100])
def test_every_row_goes_to_its_place(tmp_path, memory):
    n = 3_000
    places = np.random.default_rng(0).permutation(n)
    pieces = list(rearranged(_tables(n, 700), places, tmp_path / "out", memory))
    assert (len(pieces) > 1) is (memory < 2**30)
    table = pa.concat_tables(pieces)
    rows = np.argsort(places)
    np.testing.assert_array_equal(table["n"], rows)
    assert table["text"].to_pylist() == [f"t{i % 50}" for i in rows]
    assert table["code"].to_pylist() == table["text"].to_pylist()
    assert table["2"].to_pylist() == [[i, i] for i in rows]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_where_it_ends_early(tmp_path):
    pieces = rearranged(_tables(1_000, 100), np.arange(1_000)[::-1].copy(), tmp_path / "out", 1_000)
    next(pieces)
    assert len(list(tmp_path.iterdir())) == 1
    pieces.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path):
    places = np.random.default_rng(0).permutation(3_000)
    with files_of_at_most(5_000), pytest.raises(OSError, match="File too large"):
        list(rearranged(_tables(3_000, 700), places, tmp_path / "out", 50_000))
    assert list(tmp_path.iterdir()) == []
