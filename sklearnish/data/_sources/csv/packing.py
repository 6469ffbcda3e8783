"""How a CSV file is packed, told by its first bytes, and its bytes unpacked as they are read."""

import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.limits import UNPACKED, check_limit

_CHUNK = 2**20
_SMALL = 2**26  # bytes that any packed file may unpack to
_XZ_MEMORY = 2**28  # that unpacking xz may ask for; a header can claim gigabytes
_ENDINGS = {
    ".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4", ".xz": "xz", ".zip": "zip",
}  # fmt: skip
ENDINGS = ("", *_ENDINGS)
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh91AY&SY": "bz2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xfd7zXZ\0": "xz",
    b"PK\x03\x04": "zip",
}
_WORKBOOK = (
    "is an Excel workbook. Save it as CSV there, or pass pandas.read_excel(...) to fit as it is"
)
_OTHER = {
    b"PAR1": "is a Parquet file: read it with sn.scan_parquet",
    b"\x93NUMPY": "is a .npy file: read it with sn.scan_npy",
    b"\xd0\xcf\x11\xe0": _WORKBOOK,
    b"ARROW1": "is an Arrow file: pass pandas.read_feather(...) to fit as it is",
    b"\x89HDF": "is an HDF5 file: pass pandas.read_hdf(...) to fit as it is",
    b"SQLite format": "is a SQLite database: pass pandas.read_sql(...) to fit as it is",
    b"7z\xbc\xaf": "is a 7z archive: unpack it first",
    b"Rar!": "is a RAR archive: unpack it first",
    b"%PDF": "is a PDF document",
}


def packing(file: Manifest, compression: str | None) -> str | None:
    """Say how a file is packed, whatever its name; None if it is not.

    Raises
    ------
    ValueError
        It is a file of another kind; the message says which, and what reads it.
    """
    if compression != "infer":
        return compression
    with file.open() as stream:
        start = stream.read(64)
    for magic, what in _OTHER.items():
        if start.startswith(magic) and any(byte < 9 or byte > 127 for byte in start):
            raise ValueError(f"it {what}")
    for magic, found in _MAGIC.items():
        if start.startswith(magic):
            return found
    return _ENDINGS.get(os.path.splitext(file.path)[1].lower())  # noqa: PTH122 - it is a str


def unpack(raw: Any, packed: str) -> tuple[Iterator[bytes], Any]:
    """Return the bytes of a packed file, and what has to be kept as long as ``raw`` is open."""
    if packed in ("xz", "zip"):
        return _bounded(_unxz(raw) if packed == "xz" else _unzip(raw), raw, packed), None
    stream = pa.input_stream(raw, compression=packed)  # which closes raw when it goes
    return _bounded(iter(lambda: stream.read(_CHUNK), b""), raw, packed), stream


def _bounded(chunks: Iterator[bytes], raw: Any, packed: str) -> Iterator[bytes]:
    """Hand on bytes, unless they grow beyond belief."""
    unpacked = 0
    try:
        for chunk in chunks:
            unpacked += len(chunk)
            if unpacked > _SMALL:
                times = unpacked // max(1, raw.size())
                check_limit(UNPACKED, times, f"it unpacks to {times:,} times its size")
            yield chunk
    except (EOFError, lzma.LZMAError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"it is not {packed}, or damaged: {error}") from error


def _unxz(raw: Any) -> Iterator[bytes]:
    """Unpack one xz stream after the other."""
    data = raw.read(_CHUNK)
    while data:
        one = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        while not one.eof:
            yield one.decompress(data, _CHUNK)
            data = raw.read(_CHUNK) if one.needs_input else b""
            if one.needs_input and not data:
                raise EOFError("it ends too early")
        data = (one.unused_data or raw.read(_CHUNK)).lstrip(b"\0")


def _unzip(raw: Any) -> Iterator[bytes]:
    """Unpack the only file of a zip archive."""
    with zipfile.ZipFile(raw) as archive:
        files = [info for info in archive.infolist() if _is_meant(info)]
        if any(info.filename == "xl/workbook.xml" for info in files):
            raise ValueError(f"it {_WORKBOOK}")
        if len(files) != 1:
            some = ", ".join(info.filename for info in files[:3])
            raise ValueError(
                f"it is a zip archive of {len(files)} files{f' ({some} ...)' * bool(files)}, and "
                "only one can be read. Unpack it first, then scan the folder"
            )
        if files[0].flag_bits & 1:
            raise ValueError("it is a zip archive with a password. Unpack it first")
        try:
            member = archive.open(files[0])
        except NotImplementedError as error:  # zipfile's word for a compression it does not know
            raise ValueError(f"it cannot be unpacked ({error}). Unpack it first") from error
        with member:
            yield from iter(lambda: member.read(_CHUNK), b"")


def _is_meant(info: zipfile.ZipInfo) -> bool:
    """Tell files from folders, and from what macOS adds."""
    return not info.is_dir() and not info.filename.startswith("__MACOSX/")
