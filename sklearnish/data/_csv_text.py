"""CSV files as text: their bytes as the parser wants them, and their header."""

import csv
import io
import itertools
import os
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from sklearnish.data._csv_keywords import CsvOptions
from sklearnish.data._limits import ROW_BYTES, UNPACKED, check_limit, limit

BLOCK = 1 << 20
_SMALL = 2**26  # bytes that any packed file may unpack to
_LONG_ROW = "it has a row, or a quoted value that does not end,"


def open_stream(raw: Any, file: str, options: CsvOptions) -> Any:
    """Open the bytes of a CSV file: unpacked, in UTF-8, without comments and leading spaces."""
    packing = options.compression
    if packing == "infer":
        endings = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
        packing = endings.get(os.path.splitext(file)[1].lower())  # noqa: PTH122 - it is a str
    stream = pa.input_stream(raw, compression=packing)
    if packing:
        chunks = _Chunks(_bounded(stream, raw.size()), stream)
        stream = pa.PythonFile(io.BufferedReader(chunks, BLOCK), "r")
    if options.encoding != "utf8":
        stream = pa.transcoding_input_stream(stream, options.encoding, "utf8")
    if options.skipinitialspace or options.comment:
        stream = io.BufferedReader(_Chunks(_cleaned(stream, options)), 1 << 16)
    return stream


def _bounded(stream: Any, packed: int) -> Iterator[bytes]:
    """Unpack a file, unless it grows beyond belief."""
    unpacked = 0
    while chunk := stream.read(BLOCK):
        unpacked += len(chunk)
        if unpacked > _SMALL:
            times = unpacked // max(1, packed)
            check_limit(UNPACKED, times, f"it unpacks to {times:,} times its size")
        yield chunk


def _short_lines(text: Any) -> Iterator[str]:
    """Read lines, none of which fills the memory."""
    most = limit(ROW_BYTES)
    while line := text.readline(most + 1):
        check_limit(ROW_BYTES, len(line), f"{_LONG_ROW} of more than {most:,} bytes")
        yield line


def split_rows(stream: Any, size: int, options: CsvOptions) -> Iterator[Any]:
    """Cut text at ends of lines into pieces that can be parsed apart from each other.

    From the first quote on, the rest is one piece, a file: whether a line ends a row is then
    known to a parser only.
    """
    special = [char.encode() for char in (options.quote, options.escapechar) if char]
    held = b""
    while chunk := stream.read(size):
        held += chunk
        cut = held.rfind(b"\n") + 1
        if not cut or any(char in chunk for char in special):
            rest = iter(lambda: stream.read(size), b"")
            yield io.BufferedReader(_Chunks(itertools.chain([held], rest)), 1 << 16)
            return
        yield held[:cut]
        held = held[cut:]
    if held:
        yield held


class _Chunks(io.RawIOBase):
    """A file whose bytes come from an iterator."""

    def __init__(self, chunks: Iterator[bytes], source: Any = None) -> None:
        self._chunks, self._left = chunks, b""
        self._source = source  # which closes the file under it when it goes

    def readable(self) -> bool:
        """Say that this file is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the next bytes."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = chunk
        n = min(len(buffer), len(self._left))
        buffer[:n], self._left = self._left[:n], self._left[n:]
        return n


def _cleaned(stream: Any, options: CsvOptions) -> Iterator[bytes]:
    """Remove comments and the spaces before fields, outside quotes."""
    sep, quote = re.escape(options.sep.encode()), re.escape((options.quote or "").encode())
    quoted = b"(%b(?:[^%b]|%b%b)*%b)?" % (quote, quote, quote, quote, quote) if quote else b"()"
    spaces = b"[ ]*" if options.skipinitialspace else b""
    comment = re.escape(options.comment.encode()) + rb"[^\r\n]*" if options.comment else b"(?!)"
    pattern = re.compile(rb"(^|%b)%b%b|%b" % (sep, spaces, quoted, comment), re.MULTILINE)
    held = b""
    while chunk := stream.read(BLOCK):
        held += chunk
        cut = held.rfind(b"\n") + 1
        if not quote or held.count(options.quote.encode(), 0, cut) % 2 == 0:  # type: ignore[union-attr]
            yield pattern.sub(rb"\1\2", held[:cut])
            held = held[cut:]
        check_limit(ROW_BYTES, len(held), f"{_LONG_ROW} of {len(held):,} bytes")
    yield pattern.sub(rb"\1\2", held)


def unreadable(file: str, error: Exception, options: CsvOptions) -> ValueError:
    """Make the error for text that is not CSV in the expected encoding."""
    text = f"{file} cannot be read as CSV: {error}"
    if isinstance(error, UnicodeError) or "invalid UTF8" in str(error):
        text += f" (encoding {options.encoding!r}; pass the right one, such as encoding='latin-1')"
    return ValueError(text)


def read_header(file: str, options: CsvOptions) -> tuple[list[str], int]:
    """Read the names of the columns and how many lines come before the first row."""
    try:
        with pa.OSFile(file) as raw:
            stream = open_stream(raw, file, options)
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            fields, lines = _find_header(text, options)
    except (pa.ArrowException, OSError, ValueError, csv.Error) as error:
        raise unreadable(file, error, options) from error
    if fields is None:
        raise ValueError(f"{file} has no header: nothing but blank lines.")
    if options.names is not None:
        if len(options.names) != len(fields):
            raise ValueError(f"{file} has {len(fields)} columns, names has {len(options.names)}.")
        fields = list(options.names)
    elif options.header is None:
        fields = [str(i) for i in range(len(fields))]
    return _unique(fields), lines


def _find_header(text: Any, options: CsvOptions) -> tuple[list[str] | None, int]:
    """Find the header, or the first row; count the lines up to the first row."""
    text_lines = _short_lines(text)
    for _ in range(options.skiprows):
        next(text_lines, None)
    rows = csv.reader(
        text_lines,
        delimiter=options.sep,
        quotechar=options.quote,
        quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
        doublequote=options.doublequote,
        escapechar=options.escapechar,
    )
    lines = filter(None, rows)  # blank ones do not count
    fields = next(itertools.islice(lines, options.header or 0, None), None)
    n_lines = 0 if options.header is None else rows.line_num
    return fields, options.skiprows + n_lines


def _unique(names: list[str]) -> list[str]:
    """Name the nameless and number the repeated, as pandas does."""
    names = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    taken, result = set(names), []
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        unique = name
        while counts[name] > 1 and unique in taken:
            unique = f"{name}.{counts[name] - 1}"
            counts[name] += unique in taken
        taken.add(unique)
        result.append(unique)
    return result
