import numpy as np
import pyarrow as pa
import pytest

from sklearnish.data._errors import DatasetChangedError
from sklearnish.data._sources.hugging_face import features as hf

datasets = pytest.importorskip("datasets")

CLASSES = datasets.ClassLabel(names=["cat", "dog"])


def chunked(values, dtype=None):
    """Make a column of two chunks."""
    return pa.chunked_array([pa.array(values[:1], dtype), pa.array(values[1:], dtype)])


@pytest.mark.parametrize(
    ("feature", "dtype", "kind", "shape"),
    [
        (CLASSES, pa.int64(), "text", ()),
        (datasets.Value("float32"), pa.float32(), "number", ()),
        (datasets.Value("string"), pa.string(), "text", ()),
        (datasets.Array2D((2, 3), "int8"), pa.list_(pa.list_(pa.int8())), "number", (6,)),
        (datasets.Array2D((None, 3), "int8"), pa.list_(pa.list_(pa.int8())), "other", ()),
        (datasets.Value("timestamp[s]"), pa.timestamp("s"), "datetime", ()),
    ],
)
def test_what_columns_hold(feature, dtype, kind, shape):
    field = hf.field_of(feature, dtype)
    assert (field.kind, field.shape) == (kind, shape)


def test_classes_are_their_names():
    column = hf.values_of(CLASSES, chunked([1, 0, -1, None, 1], pa.int64()))
    assert column.to_pylist() == ["dog", "cat", None, None, "dog"]
    assert column.type == pa.dictionary(pa.int32(), pa.string())


def test_a_class_without_a_name_is_an_error():
    with pytest.raises((pa.ArrowException, IndexError)):
        hf.values_of(CLASSES, chunked([0, 2], pa.int64()))


def test_arrays_are_arrays():
    lists = [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [0, 1, 2]], None]
    array = hf.values_of(datasets.Array2D((2, 3), "int64"), chunked(lists[:2]), (2, 3))
    np.testing.assert_array_equal(array, lists[:2])
    assert array.dtype == np.int64
    flat = hf.values_of(datasets.Array2D((2, 3), "int64"), chunked(lists), (6,))
    np.testing.assert_array_equal(flat, [range(1, 7), [7, 8, 9, 0, 1, 2], [np.nan] * 6])


def test_arrays_of_another_shape_are_found():
    square = datasets.Array2D((2, 2), "int64")
    lists = [[[1, 2], [3, 4]], None, [[1, 2, 3], [4]], [[1, 2], [3, 4]], [[1, 2, 3, 4]]]
    lists += [[[1, 2], None], [[5, 6], [7, 8]]]
    column = chunked(lists, pa.list_(pa.list_(pa.int64())))
    assert hf.of_other_shape(square, column).tolist() == [2, 4, 5]
    assert hf.of_other_shape(square, column.slice(2, 2)).tolist() == [0]
    assert hf.of_other_shape(square, column.slice(0, 2)).tolist() == []
    assert hf.of_other_shape(square, column.slice(1, 1)).tolist() == []


def test_images_lie_in_the_table_or_in_files(tmp_path):
    (tmp_path / "a").write_bytes(b"in a file")
    images = [
        {"bytes": b"in the table", "path": "a.png"},
        {"bytes": None, "path": str(tmp_path / "a")},
        {"bytes": None, "path": None},
        None,
    ]
    column = chunked(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    assert list(hf.contents(column)) == [b"in the table", b"in a file", b"", b""]


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("nowhere.png", DatasetChangedError, "nowhere.png, an image of a Hugging Face Dataset"),
        ("https://a.b/c.png", ValueError, r"https://a.b/c.png is not on this .*X.to_parquet\("),
    ],
)
def test_images_that_are_elsewhere(path, error, message):
    column = pa.chunked_array(
        [
            pa.array(
                [{"bytes": None, "path": path}],
                pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            )
        ]
    )
    with pytest.raises(error, match=message):
        list(hf.contents(column))
