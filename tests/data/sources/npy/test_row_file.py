"""Rows that are read from a file at their place."""

import gc
import os

import numpy as np
import pytest

from sklearnish.data._sources.npy import row_file
from sklearnish.data._sources.npy.row_file import Layout, RowFile

ARRAYS = {
    "rows": np.arange(600.0).reshape(200, 3),
    "numbers": np.arange(200, dtype=np.int16),
    "big end": np.arange(600, dtype=">i4").reshape(200, 3),
    "flags": np.arange(200) % 3 == 0,
    "text": np.arange(200).astype("U5"),
    "big text": np.arange(200).astype(">U5"),
    "days": np.arange(200).astype("M8[D]"),
    "pictures": np.arange(200 * 24, dtype=np.uint8).reshape(200, 2, 3, 4),
    "columns": np.asfortranarray(np.arange(600, dtype=np.float32).reshape(200, 3)),
    "columns of pictures": np.asfortranarray(np.arange(200 * 24).reshape(200, 2, 3, 4)),
    "columns, big end": np.asfortranarray(np.arange(600, dtype=">f8").reshape(200, 3)),
}
ROWS = {
    "all": np.arange(200),
    "neighbours": np.arange(20, 90),
    "most": np.flatnonzero(np.random.default_rng(0).random(200) < 0.8),
    "few": np.array([0, 3, 4, 5, 100, 101, 199]),
    "again": np.array([1, 1, 3, 7, 7, 7, 8]),
    "in any order": np.random.default_rng(1).integers(0, 200, 150),
    "one": np.array([199]),
    "none": np.array([], dtype=np.int64),
}


def _stored_array(path, array):
    path.write_bytes(b"head" + array.tobytes("F" if array.flags.fnc else "C"))
    return Layout(4, array.shape, bool(array.flags.fnc), array.dtype)


@pytest.mark.parametrize("sizes", [(2**14, 2**18, 2**22), (0, 64, 256), (24, 100, 100)])
@pytest.mark.parametrize("name", ARRAYS)
def test_any_rows_of_any_array(name, sizes, tmp_path, monkeypatch):
    for constant, size in zip(("_GAP", "_SPAN", "_COLUMNS_SPAN"), sizes, strict=True):
        monkeypatch.setattr(row_file, constant, size)
    array = ARRAYS[name]
    layout, file = _stored_array(tmp_path / "a", array), RowFile(str(tmp_path / "a"))
    for rows in ROWS.values():
        out = np.empty((len(rows), *array.shape[1:]), array.dtype.newbyteorder("="))
        layout.read(file, rows, out)
        np.testing.assert_array_equal(out, array[rows])


@pytest.mark.parametrize("name", ["rows", "columns"])
def test_a_file_that_is_cut_while_it_is_read_is_an_error(name, tmp_path):
    """Under a map the system would end the process, at whichever moment it happens."""
    layout, file = _stored_array(tmp_path / "a", ARRAYS[name]), RowFile(str(tmp_path / "a"))
    os.truncate(tmp_path / "a", 1000)
    for rows in (np.arange(200), np.array([0, 199])):
        with pytest.raises(EOFError, match="a ends at byte"):
            layout.read(file, rows, np.empty((len(rows), 3), ARRAYS[name].dtype))


def test_neighbours_are_read_at_once_and_others_along(tmp_path, monkeypatch):
    layout = _stored_array(tmp_path / "a", ARRAYS["rows"])
    reads = []
    monkeypatch.setattr(
        RowFile, "read_into", lambda self, array, at: reads.append((at, len(array)))
    )
    file, out = RowFile(str(tmp_path / "a")), np.empty((100, 3))
    layout.read(file, np.arange(100, 200), out)
    layout.read(file, np.arange(0, 200, 2), out)
    assert reads == [(4 + 100 * 24, 100), (4, 199)]


def test_the_file_is_closed_with_its_owner(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    file = RowFile(str(tmp_path / "a"))
    number = file._number
    del file
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    with pytest.raises(FileNotFoundError):
        RowFile(str(tmp_path / "b"))


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    with pytest.raises(OSError, match=str(tmp_path)):
        RowFile(str(tmp_path)).read_into(np.empty(3), 0)


def test_where_there_is_no_preadv(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "preadv")
    test_any_rows_of_any_array("columns", (0, 64, 256), tmp_path, monkeypatch)
