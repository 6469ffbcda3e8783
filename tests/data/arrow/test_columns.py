import numpy as np
import pyarrow as pa
import pytest

from sklearnish.data._arrow import columns as arrow

BLOCKS = np.array([0, 3, 6, 10])


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (pa.int8(), pa.int64(), pa.int64()),
        (pa.uint32(), pa.int32(), pa.int64()),
        (pa.int64(), pa.float32(), pa.float64()),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.int64(), pa.uint64(), pa.float64()),  # which neither of them holds
        (pa.null(), pa.string(), pa.string()),
        (pa.string(), pa.int64(), None),
    ],
    ids=str,
)
def test_types_of_several_files_become_one(one, other, both):
    assert arrow.common(one, other) == arrow.common(other, one) == both


def test_rows_are_read_block_by_block():
    runs = [(block, list(local)) for block, local in arrow.runs(np.array([1, 1, 4, 9]), BLOCKS)]
    assert runs == [(0, [1, 1]), (1, [1]), (2, [3])]
    with pytest.raises(IndexError, match="rows 1 to 10 were requested, of 10"):
        list(arrow.runs(np.array([1, 10]), BLOCKS))


def test_a_stretch_of_rows_is_not_copied():
    table = pa.table({"a": np.arange(10)})
    stretch, some = arrow.pick(table, np.array([3, 4, 5])), arrow.pick(table, np.array([3, 5]))
    assert stretch["a"].to_pylist() == [3, 4, 5]
    assert some["a"].to_pylist() == [3, 5]
    kept = table["a"].chunk(0).buffers()[1].address
    assert stretch["a"].chunk(0).buffers()[1].address == kept
    assert some["a"].chunk(0).buffers()[1].address != kept


def lists_of(offsets, known, values):
    """Make lists as Rust gives them: of no values there is no buffer."""
    buffers = [pa.py_buffer(bytes([known])), pa.py_buffer(np.array(offsets, "i4"))]
    child = pa.Array.from_buffers(
        pa.float64(), len(values), [None, pa.py_buffer(np.array(values)) if values else None]
    )
    return pa.ListArray.from_buffers(
        pa.list_(pa.float64()), len(offsets) - 1, buffers, children=[child]
    )


@pytest.mark.parametrize(
    "chunks",
    [
        [lists_of([0, 0], 0, [])],
        [lists_of([0] * 4, 0, [])],
        [lists_of([0, 0], 0, []), lists_of([0, 2, 2], 1, [1.0, 2.0])],
        [lists_of([0, 0, 2, 2, 4], 0b1010, [1.0, 2.0, 3.0, 4.0]), lists_of([0, 0, 0], 0, [])],
        [
            lists_of([0, 0, 0, 2], 0b100, [5.0, 6.0]).slice(1),
            lists_of([0, 0, 2], 2, [1.0, 2.0])[:1],
        ],
        [],
    ],
)
def test_lists_all_of_which_are_missing_become_ones_of_one_length(chunks):
    column = pa.chunked_array(chunks, pa.list_(pa.float64()))
    made = arrow.cast(column, pa.list_(pa.float64(), 2))
    made.validate(full=True)
    assert made.to_pylist() == column.to_pylist()
