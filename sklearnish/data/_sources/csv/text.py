"""CSV files as text: their bytes as the parser wants them, and their header."""

import csv
import io
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pyarrow as pa

from sklearnish.data._errors import explained
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.limits import ROW_BYTES, check_limit, limit
from sklearnish.data._sources.csv.keywords import CsvOptions
from sklearnish.data._sources.csv.packing import packing, unpack

BLOCK = 1 << 20
_END = "\x1fend"
_LIMIT = threading.Lock()  # the standard library has one limit on values for the whole process
_LONG_ROW = "it has a row, or a quoted value that does not end,"


def open_stream(raw: Any, file: Manifest, options: CsvOptions) -> Any:
    """Open the bytes of a CSV file: unpacked, in UTF-8, without comments and leading spaces."""
    stream = raw
    if packed := packing(file, options.compression):
        chunks, kept = unpack(raw, packed)
        stream = pa.PythonFile(io.BufferedReader(_Chunks(chunks, kept), BLOCK), "r")
    if options.encoding != "utf8":
        stream = pa.transcoding_input_stream(stream, options.encoding, "utf8")
    if options.skipinitialspace or options.comment:
        stream = io.BufferedReader(_Chunks(_cleaned(stream, options)), 1 << 16)
    return stream


def _short_lines(text: Any) -> Iterator[str]:
    """Read lines, none of which fills the memory."""
    most = limit(ROW_BYTES)
    while line := text.readline(most + 1):
        check_limit(ROW_BYTES, len(line), f"{_LONG_ROW} of more than {most:,} bytes")
        yield line


def split_rows(
    stream: Any, size: int, options: CsvOptions, again: Callable[[], Any]
) -> Iterator[Any]:
    """Cut text at ends of lines into pieces that can be parsed apart from each other.

    From the first quote on, the rest is one piece, a file: whether a line ends a row is then
    known to a parser only. ``again()`` opens the text from its beginning.
    """
    special = [char.encode() for char in (options.quote, options.escapechar) if char]
    held = b""
    while chunk := stream.read(size):
        held += chunk
        cut = held.rfind(b"\n") + 1
        if not cut or any(char in chunk for char in special):
            rest = itertools.chain([held], iter(lambda: stream.read(size), b""))
            chunks = itertools.chain(check_closed(rest, options, again), [b"\n"])
            yield io.BufferedReader(_Chunks(chunks), 1 << 16)
            return
        yield held[:cut]
        held = held[cut:]
    if held:
        yield held + b"\n"  # a header alone is no line without it


class _Chunks(io.RawIOBase):
    """A file whose bytes come from an iterator."""

    def __init__(self, chunks: Iterator[bytes], kept: Any = None) -> None:
        self._chunks, self._left = chunks, b""
        self._kept = kept

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


def unreadable(file: str, options: CsvOptions, error: Exception) -> ValueError:
    """Make the error for text that is not CSV in the expected encoding."""
    text = f"{file} cannot be read as CSV: {error}"
    if isinstance(error, UnicodeError) or "invalid UTF8" in str(error):
        start = error.object[:2] if isinstance(error, UnicodeDecodeError) else b""
        right = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
        text += f" (encoding {options.encoding!r}; pass the right one, such as encoding={right!r})"
    return ValueError(text)


def read_header(manifest: Manifest, options: CsvOptions) -> tuple[list[str], int]:
    """Read the names of the columns and how many lines come before the first row."""
    file = manifest.path
    kinds = (pa.ArrowException, OSError, ValueError, csv.Error)
    tell = partial(unreadable, file, options)
    with explained(file, kinds, tell), manifest.stream() as raw:
        stream = open_stream(raw, manifest, options)
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        fields, lines = _find_header(text, options)
    if fields is None:
        raise ValueError(f"{file} has no header: all lines are blank.")
    if options.names is None:
        _check_fields(file, fields, options.sep)
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
    rows = reader(text_lines, options)
    lines = filter(None, rows)  # blank ones do not count
    fields = next(itertools.islice(lines, options.header or 0, None), None)
    n_lines = 0 if options.header is None else rows.line_num
    return fields, options.skiprows + n_lines


def _check_fields(file: str, fields: list[str], sep: str) -> None:
    """Refuse one name that holds the separator, and what is not text."""
    if any("\0" in name for name in fields):
        raise ValueError(
            f"the header of {file} holds zero bytes: it is no text, or text in another encoding, "
            "such as encoding='utf-16-le'."
        )
    if opened := re.match(r'\s*(\[\s*)?\{\s*"', fields[0]):
        lines = "" if opened[1] else ", lines=True"
        raise ValueError(
            f"{file} holds JSON, not CSV. Where it fits into memory, pass the DataFrame that "
            f"pd.read_json({file!r}{lines}) gives; else write it to Parquet and scan that."
        )
    if len(fields) > 1:
        return
    name = fields[0]
    found = next((other for other in ";\t|," if other != sep and other in name), None)
    if found is not None:
        more = ", skiprows=1" if name.startswith("sep=") else ""  # what Excel may write first
        raise ValueError(
            f"{file} has one column, {name[:200]!r}: its separator is not {sep!r}. Pass "
            f"sep={found!r}{more}; if that is the name of one column, give it another: "
            "names=[...], header=0."
        )


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


def reader(lines: Iterator[str], options: CsvOptions) -> Any:
    """Make a reader of the standard library that splits rows as these options say."""
    return csv.reader(
        lines,
        delimiter=options.sep,
        quotechar=options.quote,
        quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
        doublequote=options.doublequote,
        escapechar=options.escapechar,
    )


def check_closed(
    chunks: Iterator[bytes], options: CsvOptions, again: Callable[[], Any]
) -> Iterator[bytes]:
    """Hand on bytes; in the end, if their quotes are odd in number, look for one left open.

    A quote within a value that is not quoted (5" pipe) may make them odd, too: the file is then
    read once more, by a slower parser, from ``again()``.
    """
    quote, n_quotes = (options.quote or "").encode(), 0
    for chunk in chunks:
        n_quotes += chunk.count(quote) if quote else 0
        yield chunk
    if n_quotes % 2:
        with closing(again()) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
            _check(text, options)


def _check(text: Any, options: CsvOptions) -> None:
    """Raise ValueError if a line put behind the last one falls into a quoted value."""
    start, line, last, most = 1, 0, [""], limit(ROW_BYTES)
    with _LIMIT:
        before = csv.field_size_limit(most)
        try:
            rows = reader(itertools.chain(text, ["\n", _END]), options)
            for row in rows:
                start, line, last = line + 1, rows.line_num, row
        except csv.Error:
            raise ValueError(
                f"it has a quote that is not closed, or a value of more than {most:,} letters, in "
                f"the row of line {line + 1:,}. Close the quote, or set the environment variable "
                f"{ROW_BYTES} to more"
            ) from None
        finally:
            csv.field_size_limit(before)
    if last != [_END]:
        raise ValueError(
            f"it has a quote that is not closed, in the row of line {start:,}. Close it, or pass "
            "quoting=csv.QUOTE_NONE to read quotes as ordinary characters"
        )
