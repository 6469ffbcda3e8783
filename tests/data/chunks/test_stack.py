"""Rows of chunked arrays, in HDF5 files as a real example."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearnish.data._chunks import stack as module
from sklearnish.data._chunks.stack import Stack, stretches
from sklearnish.data._sources.hdf5 import Hdf5File, Hdf5Files

ROWS = st.lists(st.integers(0, 59), max_size=80).map(lambda rows: np.sort(np.array(rows, int)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two files of 41 and 19 rows, one of them in chunks of 4 rows, the other without chunks."""
    folder = tmp_path_factory.mktemp("stack")
    X = np.arange(180, dtype=np.int16).reshape(60, 3)
    words = np.array([f"n{i}" * (i % 5) for i in range(60)])
    for name, rows, chunks in (("a", X[:41], 4), ("b", X[41:], None)):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file.create_dataset("X", data=rows, chunks=chunks and (chunks, 2))
            words_here = words[: len(rows)] if name == "a" else words[41:]
            file.create_dataset("words", data=words_here.tolist(), chunks=chunks and (chunks,))
    return folder, X, words


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, block=st.sampled_from([1, 30, 2**20]), gap=st.sampled_from([0, 20, 2**14]))
def test_any_ascending_rows_are_those_of_the_arrays(folder, rows, block, gap):
    path, X, words = folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", block)
        patch.setattr(module, "_GAP", gap)
        files = Hdf5Files(path)
        np.testing.assert_array_equal(Stack(files, "X").read(rows), X[rows])
        np.testing.assert_array_equal(Stack(files, "words").read(rows), words[rows])


@settings(deadline=None)
@given(rows=ROWS, chunk=st.integers(1, 9), more=st.integers(1, 3), gap=st.integers(1, 9))
def test_no_chunk_is_read_twice(rows, chunk, more, gap):
    cut = list(stretches(rows, chunk * more, chunk, gap)) if len(rows) else []
    chunks = [set((rows[a:b] // chunk).tolist()) for a, b in cut]
    assert sum(map(len, chunks)) == len(set().union(*chunks))
    assert gap > 1 or all(np.diff(sorted(numbers)).max(initial=1) == 1 for numbers in chunks)
    assert np.concatenate([rows[:0], *(rows[a:b] for a, b in cut)]).tolist() == rows.tolist()


def test_blocks_are_whole_chunks_and_finer_ones_parts(folder, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 60)  # 10 rows of 6 bytes
    stack = Stack(Hdf5Files(folder[0]), "X")
    assert stack.blocks().tolist() == [0, 8, 16, 24, 32, 40, 41, 51, 60]
    assert stack.blocks(5)[:4].tolist() == [0, 4, 8, 12]
    assert stack.blocks(3)[:4].tolist() == [0, 2, 4, 6]
    assert [stack.times_read(rows) for rows in (5, 4, 3, 1)] == [1, 1, 2, 4]


def test_neighbours_are_read_at_once_and_straight_to_their_place(folder, monkeypatch):
    calls, read = [], Hdf5File.read_into

    def counted(self, name, start, out):
        calls.append((start, len(out)))
        read(self, name, start, out)

    monkeypatch.setattr(Hdf5File, "read_into", counted)
    stack = Stack(Hdf5Files(folder[0] / "a.h5"), "X")
    stack.read(np.arange(5, 30))
    stack.read(np.array([0, 0, 2]))
    assert calls == [(5, 25), (0, 3)]


def test_files_of_other_rows_are_refused(folder, tmp_path):
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["X"] = np.zeros((4, 2), np.int16)
    with pytest.raises(ValueError, match=r"c.h5 has rows of shape \(2,\), int16 in 'X'; .*a.h5"):
        Stack(Hdf5Files([folder[0] / "a.h5", tmp_path / "c.h5"]), "X")


def test_a_row_is_named_by_its_file(folder):
    assert Stack(Hdf5Files(folder[0]), "X").row_name(43) == f"row 2 of {folder[0] / 'b.h5'}"


def test_a_few_bytes_cannot_claim_any_number_of_rows(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("X", (2**50,), "u1", chunks=(2**20,))
    with pytest.raises(ValueError, match="SKLEARNISH_MAX_ROWS_PER_BYTE"):
        Stack(Hdf5Files(tmp_path / "a.h5"), "X")
