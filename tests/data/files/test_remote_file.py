import io
import os

import fsspec
import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings

from sklearnish.data._files import remote_file as module
from sklearnish.data._files.remote import RemoteManifest
from sklearnish.data._files.remote_file import RemoteFile, StreamedFile
from sklearnish.data._files.store import Store

DATA = os.urandom(300_000)


class Counted:
    """What is read in ranges, from memory; it notes which."""

    def __init__(self, data):
        self.data, self.size, self.asked = data, len(data), []

    def read_tail(self, n):
        return self.data[max(0, self.size - n) :]

    def read_ranges(self, ranges):
        self.asked += ranges
        return [self.data[start:stop] for start, stop in ranges]


places = st.integers(0, len(DATA) + 10)


@settings(max_examples=50)
@given(st.lists(st.tuples(places, st.integers(-1, 100_000))), st.lists(st.tuples(places, places)))
def test_bytes_are_those_of_the_object_wherever_they_are_held(steps, held):
    for kind in (RemoteFile, StreamedFile):
        with kind(Counted(DATA)) as file, io.BytesIO(DATA) as plain:
            if kind is RemoteFile:
                file.hold([(min(a, b, len(DATA)), min(max(a, b), len(DATA))) for a, b in held])
            for place, n in steps:
                assert file.seek(place) == plain.seek(place)
                assert file.read(n) == plain.read(n)
                assert file.tell() == plain.tell()
            assert file.seek(-5, os.SEEK_END) == plain.seek(-5, os.SEEK_END)
            assert file.read() == plain.read()


def test_neighbours_are_read_together_and_long_ranges_in_pieces(monkeypatch):
    monkeypatch.setattr(module, "_GAP", 100)
    monkeypatch.setattr(module, "_MOST", 10_000)
    counted = Counted(DATA)
    file = RemoteFile(counted)
    file.hold([(5_000, 26_000), (0, 1_000), (1_100, 1_200), (200, 300)])
    pieces = [(0, 1_200), (5_000, 15_000), (15_000, 25_000), (25_000, 26_000)]
    assert counted.asked == pieces
    file.seek(5_000)
    assert file.read(21_000) == DATA[5_000:26_000]
    assert counted.asked == pieces
    file.hold(())
    file.seek(0)
    assert file.read(10) + file.read(10) == DATA[:20]  # 64 KiB at least, but nothing is held
    assert counted.asked == [*pieces, (0, 2**16), (10, 2**16 + 10)]


def test_a_stream_reads_each_piece_once_and_ahead(monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 10_000)
    counted = Counted(DATA)
    file = StreamedFile(counted)
    assert b"".join(iter(lambda: file.read(700), b"")) == DATA
    assert sorted(counted.asked) == [(i, i + 10_000) for i in range(0, len(DATA), 10_000)]
    file.close()


def test_arrow_reads_one_and_gets_its_errors(tmp_path):
    (tmp_path / "a").write_bytes(DATA)
    store = Store(fsspec.filesystem("file"))
    manifest = RemoteManifest.of_object(store, str(tmp_path / "a"))
    with pa.PythonFile(manifest.open(), "r") as file:
        assert file.size() == len(DATA)
        file.seek(100)
        assert file.read(50) == DATA[100:150]
    (tmp_path / "a").unlink()
    with (
        pa.PythonFile(manifest.open(), "r") as file,
        pytest.raises(FileNotFoundError, match="no such object"),
    ):
        file.read(50)
