import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pyarrow as pa
import pytest

from sklearnish.data._files.changes import Manifest
from sklearnish.data._sources.csv.packing import packing
from sklearnish.data._sources.csv.source import CsvSource

TEXT = b"a,b\n1,x\n2,y\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SKLEARNISH_CACHE", str(tmp_path_factory.mktemp("cache")))


def zipped(**files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return file.getvalue()


PACKED = {
    "gz": gzip.compress(TEXT),
    "bz2": bz2.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "zst": pa.Codec("zstd").compress(TEXT, asbytes=True),
    "zip": zipped(**{"a.csv": TEXT, "__MACOSX/._a.csv": b"of macOS", "folder/": b""}),
}


@pytest.mark.parametrize("named", ["a.csv.{}", "a.csv", "{}", "a.csv.gz"])
@pytest.mark.parametrize("kind", PACKED)
def test_packed_files_are_told_by_their_bytes(tmp_path, kind, named):
    path = tmp_path / named.format(kind)
    path.write_bytes(PACKED[kind])
    source = CsvSource(path)
    read = source.read(np.arange(2), ["a", "b"])
    assert {n: c.to_pylist() for n, c in read.items()} == {"a": [1, 2], "b": ["x", "y"]}


def test_packed_files_in_a_folder(tmp_path):
    for kind, data in PACKED.items():
        (tmp_path / f"{kind}.csv.{kind}").write_bytes(data)
    assert CsvSource(tmp_path).n_rows == 2 * len(PACKED)


def test_several_streams_of_xz_one_after_the_other(tmp_path):
    path = tmp_path / "a.csv.xz"
    path.write_bytes(lzma.compress(TEXT) + bytes(8) + lzma.compress(b"3,z\n" * 500_000))
    assert CsvSource(path).n_rows == 500_002


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("kind", PACKED)
def test_packed_files_cut_short_are_named(tmp_path, kind, kept):
    text = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(2000))
    path = tmp_path / f"a.csv.{kind}"
    whole = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": lambda text: pa.Codec("zstd").compress(text, asbytes=True),
        "zip": lambda text: zipped(**{"a.csv": text}),
    }[kind](text)
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ValueError, match=rf"a\.csv\.{kind} cannot be read as CSV") as caught:
        CsvSource(path)
    assert "latin-1" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped(**{"a.csv": TEXT, "b.csv": TEXT}), r"2 files \(a\.csv, b\.csv \.\.\.\).*Unpack it"),
        (zipped(**{"folder/": b""}), "archive of 0 files, and only one"),
        (zipped(**{"[Content_Types].xml": "", "xl/workbook.xml": ""}), "Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "Excel workbook"),
        (b"PAR1\x15\x04\x15" + bytes(500) + b"PAR1", r"sn\.scan_parquet"),
        (b"\x93NUMPY\x01\x00v\x00", r"sn\.scan_npy"),
        (b"ARROW1\0\0" + bytes(50), "read_feather"),
        (b"SQLite format 3\0" + bytes(50), "SQLite"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(50), "unpack it first"),
    ],
)
def test_files_of_other_kinds_are_told_what_reads_them(tmp_path, data, message):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"a\.csv cannot be read as CSV: .*({message})") as caught:
        CsvSource(path)
    assert "latin-1" not in str(caught.value)


def test_names_of_columns_are_not_taken_for_files_of_other_kinds(tmp_path):
    for start in ("PAR1,b", "BZh9,b", "PK,b", "%PDF,b"):
        (tmp_path / "a.csv").write_text(f"{start}\n1,2\n")
        assert packing(Manifest.of(tmp_path / "a.csv"), "infer") is None


def test_a_zip_with_a_password(tmp_path):
    data = bytearray(zipped(**{"a.csv": TEXT}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    (tmp_path / "a.csv.zip").write_bytes(data)
    with pytest.raises(ValueError, match="with a password"):
        CsvSource(tmp_path / "a.csv.zip")


@pytest.mark.parametrize("kind", ["xz", "zip"])
def test_a_bomb_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("sklearnish.data._sources.csv.packing._SMALL", 2**16)
    text = b"a,b\n" + b"1,2\n" * 2**18
    path = tmp_path / f"a.csv.{kind}"
    monkeypatch.setenv("SKLEARNISH_MAX_UNPACKED", "50")
    path.write_bytes(lzma.compress(text) if kind == "xz" else zipped(**{"a.csv": text}))
    with pytest.raises(ValueError, match=r"times its size.*SKLEARNISH_MAX_UNPACKED"):
        CsvSource(path)


def test_xz_that_asks_for_a_gigabyte(tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**20}]
    data = bytearray(lzma.compress(TEXT, filters=filters))
    at = data.index(b"\x21\x01") + 2  # the filter, the length of its settings, and these
    data[at] = 38  # a dictionary of 2 GiB
    data[20:24] = __import__("zlib").crc32(data[12:20]).to_bytes(4, "little")
    (tmp_path / "a.csv.xz").write_bytes(data)
    with pytest.raises(ValueError, match="Memory usage limit"):
        CsvSource(tmp_path / "a.csv.xz")
