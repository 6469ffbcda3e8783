from io import BytesIO

import numpy as np
import pytest

from sklearnish.data._npy_header import npy_header


def written(array, version=None):
    file = BytesIO()
    np.lib.format.write_array(file, array, version)
    return BytesIO(file.getvalue())


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_headers_tell_shape_order_type_and_where_values_begin(version, order):
    array = np.arange(6, dtype=">i4").reshape(2, 3, order=order)
    file = written(array, version)
    header = npy_header(file)
    assert header[:3] == (array.shape, order == "F", array.dtype)
    assert file.tell() == header.offset == len(file.getvalue()) - array.nbytes


def test_records_with_names_in_unicode_are_told_from_damage():
    with pytest.raises(KeyError):
        npy_header(written(np.zeros(2, [("\u4e2d", "f4")]), (3, 0)))


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n", b"\x93NUMPY\x01\x00\x10\x00{'shape': "])
def test_what_is_no_npy_file_is_an_error(data):
    with pytest.raises((ValueError, SyntaxError)):
        npy_header(BytesIO(data))
