import io

import numpy as np
import pytest

from sklearnish.data._errors import BadRowsError
from sklearnish.data._sources.shards.fields import (
    SameArray,
    array_of,
    label_reader,
    labels_of,
    split_path,
)


def saved(array, **keywords):
    file = io.BytesIO()
    np.save(file, array, **keywords)
    return file.getvalue()


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("cls", ("cls", [])),
        ("a.cls", ("a.cls", [])),
        ("json.label", ("json", ["label"])),
        ("meta.json.a.b", ("meta.json", ["a", "b"])),
    ],
)
def test_a_target_names_a_field_and_keys_in_it(target, found):
    assert split_path(target) == found


@pytest.mark.parametrize(
    ("target", "data", "wanted"),
    [
        ("cls", [b"3", b" 4\n"], [3, 4]),
        ("txt", ["Zürich".encode(), b"a"], ["Zürich", "a"]),
        ("json.a.b", [b'{"a": {"b": 1}}', b'{"a": {"b": 2.5}}'], [1, 2.5]),
        ("json.a", [b'{"a": true}', b'{"a": false}'], [True, False]),
        ("json.a", [b'{"a": [1, 2]}', b'{"a": [3, 4]}'], [[1, 2], [3, 4]]),
        ("npy", [saved(np.float32(1)), saved(np.float32(2))], [1, 2]),
    ],
)
def test_labels(target, data, wanted):
    assert labels_of(target, data, str).tolist() == wanted


@pytest.mark.parametrize(
    ("target", "data", "message"),
    [
        ("cls", [b"1", None], "1 has no field 'cls', so it has no label"),
        ("cls", [b"1", b"cat"], "'cls' of 1 cannot be read as a label: invalid literal"),
        ("txt", [b"\xff"], "cannot be read as a label: 'utf-8' codec"),
        ("json.a", [b"{"], "'json.a' of 0 cannot be read as a label"),
        ("json.a", [b'{"b": 1}'], "it has no 'a', but 'b'"),
        ("json.a.b", [b'{"a": 1}'], "it has no 'b', but no keys"),
        ("json.a", [b'{"a": 1}', b'{"a": "x"}'], "'json.a' is 'x' in 1, and 1 in 0: labels must"),
        ("json.a", [b'{"a": null}'], "holds no labels of one kind: in 0 it is None"),
        ("json.a", [b'{"a": [1]}', b'{"a": [1, 2]}'], "holds no labels of one kind"),
        ("json.a", [b"[" * 100_000], "cannot be read as a label"),
    ],
)
def test_labels_that_cannot_be_read(target, data, message):
    with pytest.raises(ValueError, match=message):
        labels_of(target, data, str)


@pytest.mark.parametrize("field", ["jpg", "json", "pickle", "nothing"])
def test_other_fields_hold_no_labels(field):
    with pytest.raises(ValueError, match="is no field of labels") as raised:
        label_reader(field, [])
    assert ('target="json.label"' in str(raised.value)) == (field == "json")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(4, dtype=">i2"),
        np.zeros((0, 3), "u1"),
        np.array(True),
    ],
)
def test_arrays_are_those_that_numpy_reads(array):
    np.testing.assert_array_equal(array_of(saved(array)), array)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no .npy file"),
        (b"\x93NUMPY\x09\x00", "no .npy file"),
        (saved(np.arange(9.0))[:-1], "truncated"),
        (saved(np.array(["a"])), "it holds <U1"),
        (saved(np.array([None]), allow_pickle=True), "it holds object"),
    ],
)
def test_arrays_that_cannot_be_read(data, message):
    with pytest.raises(ValueError, match=message):
        array_of(data)


@pytest.mark.parametrize("tail", [b"", b"1234"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_layout_are_their_own(tail, order):
    arrays = [np.asarray(np.arange(6, dtype="<i4").reshape(2, 3) * i, order=order) for i in (1, 2)]
    data = [
        saved(array) + tail
        for array in [*arrays, arrays[0].astype(">i4"), np.ascontiguousarray(arrays[1])]
    ]
    same = SameArray(np.arange(1), data[:1], str)
    out = same.decode(np.arange(4), data, str, np.arange(4))
    np.testing.assert_array_equal(out, [*arrays, *arrays])


def test_arrays_of_one_shape_are_stacked_and_others_named():
    good = [saved(np.arange(3, dtype=">f4") + i) for i in range(3)]
    arrays = SameArray(np.arange(4), [b"damaged", *good], str)
    assert (arrays.field.dtype, arrays.field.shape) == ("float32", (3,))
    out = arrays.decode(np.array([5, 6]), good[:2], str, np.array([1, 0]))
    np.testing.assert_array_equal(out, [[1, 2, 3], [0, 1, 2]])
    others = [good[0], saved(np.zeros(4, "f4")), saved(np.zeros(3)), b""]
    with pytest.raises(BadRowsError, match=r"7 has an array of shape \(4,\), float32, and 1") as e:
        arrays.decode(np.arange(6, 10), others, str, np.arange(4))
    assert e.value.rows.tolist() == [7, 8, 9]
    with pytest.raises(ValueError, match="The array of 0 cannot be read"):
        SameArray(np.arange(2), [b"", b""], str)
