"""CSV files to an Arrow file: parsed on all cores, with the types that all rows have."""

import json
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from sklearnish.data._arrow.table_file import write_cache
from sklearnish.data._errors import raise_system_error
from sklearnish.data._files.atomic import atomic_copy, check_free_space
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.limits import ROW_BYTES, limit
from sklearnish.data._sources.csv import types as csv_types
from sklearnish.data._sources.csv.keywords import CsvOptions
from sklearnish.data._sources.csv.packing import packing
from sklearnish.data._sources.csv.text import (
    BLOCK,
    open_stream,
    read_header,
    split_rows,
    unreadable,
)
from sklearnish.data._sources.csv.types import NULL, WrongTypeError
from sklearnish.data._system.bar import with_own_lock
from sklearnish.data._system.machine import n_threads
from sklearnish.data._system.threads import in_threads


class LongRowError(ValueError):
    """A row does not fit into a block; larger blocks are tried."""


class Converter:
    """The conversion of some CSV files with one header."""

    def __init__(self, manifests: list[Manifest], options: CsvOptions) -> None:
        self.manifests, self.options = manifests, options
        self.files = [manifest.path for manifest in manifests]
        read = [read_header(manifest, options) for manifest in manifests]
        self.headers, self.skips = [header for header, _ in read], [skip for _, skip in read]
        self.header = self.headers[0]
        self.included = self._included()
        self._check_headers()
        self.dates = set(_resolve(options.parse_dates, self.header, "parse_dates"))
        self.types = {name: self._first_type(name) for name in self.included}
        self.block_size = min(BLOCK, limit(ROW_BYTES))

    def _check_headers(self) -> None:
        """Raise ValueError if headers differ, but for columns that usecols leaves out."""
        chosen = self.options.usecols is not None
        for file, header in zip(self.files, self.headers, strict=True):
            if header != self.header and not (chosen and set(self.included) <= set(header)):
                raise ValueError(
                    f"the header of {file} is {_short(header)}, that of {self.files[0]} is "
                    f"{_short(self.header)}. All files must have the same columns in the same "
                    "order. Or name the columns you need, usecols=[...]: others may differ."
                )

    def _included(self) -> list[str]:
        """List the columns to keep, in the order of the file."""
        chosen = self.options.usecols
        kept = set(self.header if chosen is None else _resolve(chosen, self.header, "usecols"))
        kept -= set(_resolve(self.options.index_col, self.header, "index_col"))
        if missing := [name for name in self.options.dtype if name not in self.header]:
            raise ValueError(f"dtype names a column {missing[0]!r} that is not in the file.")
        return [name for name in self.header if name in kept]

    def _first_type(self, name: str) -> Any:
        """Return the type asked for, or the bottom from which types are promoted."""
        if (chosen := self.options.chosen_type(name)) is not None:
            return chosen
        return pa.timestamp("us") if name in self.dates else NULL

    def run(self, path: Path) -> None:
        """Write the converted file; a row longer than a block is met with larger blocks."""
        while True:
            try:
                return self._convert(path)
            except WrongTypeError as error:
                raise ValueError(str(error)) from None
            except LongRowError as error:
                if self.block_size >= limit(ROW_BYTES):
                    raise ValueError(str(error)) from None
                self.block_size = min(16 * self.block_size, limit(ROW_BYTES))

    def _convert(self, path: Path) -> None:
        """Write with the types of the first block; if they do not hold, with those of all."""
        self._check_space(path, self._infer(sample=True))
        try:
            return self._write(path)
        except WrongTypeError as error:
            self._raise_if_chosen(error)
        self._infer()
        for _ in self.included:
            try:
                return self._write(path)
            except WrongTypeError as error:  # the parser is stricter than the inference
                self._raise_if_chosen(error)
                if error.column in self.dates:
                    raise
                self.types[error.column] = pa.string()
        return self._write(path)

    def _raise_if_chosen(self, error: "WrongTypeError") -> None:
        """Raise if the user asked for the type that did not fit."""
        if self.options.chosen_type(error.column) is not None:
            raise ValueError(f"{error} Remove this dtype, or change it.") from None

    def _infer(self, sample: bool = False) -> Any:
        """Promote the types over all rows, or over the first block; return that block."""
        as_text = dict.fromkeys(self.included, pa.string())
        first = None
        for i, batch in self.batches(as_text):
            first = batch if first is None else first
            for name in self.included:
                if self.options.chosen_type(name) is None:
                    found = csv_types.promote(self.types[name], batch[name], self.options)
                    if name in self.dates and found == pa.string():
                        self._refuse_dates(name, self.files[i], batch[name])
                    self.types[name] = found
            if sample:
                break
        return first

    def _refuse_dates(self, name: str, file: str, texts: Any) -> NoReturn:
        """Raise for a column that holds no dates, or dates written in a way of their own."""
        value = csv_types.first_that_fails(texts.drop_null(), pa.timestamp("us"))
        raise ValueError(
            f"parse_dates names {name!r}, but {file} has {value!r} in it. Dates are read as "
            "2001-12-31 or 2001-12-31 23:59:59 (ISO 8601, without a time zone). Leave the column "
            "out of parse_dates to read it as it is: a number, or text."
        )

    def _check_space(self, path: Path, sample: Any) -> None:
        """Raise OSError if the converted file would not fit on the disk."""
        if sample is None or not sample.num_rows:
            return
        texts = sample.nbytes - 3 * sample.num_rows * len(self.included)
        values = sum(
            sample[name].nbytes if t == pa.string() else sample.num_rows * 8
            for name, t in self.types.items()
        )
        packed = 5 if packing(self.manifests[0], self.options.compression) else 1
        size = sum(manifest.size for manifest in self.manifests) * packed
        check_free_space(path.parent, int(size * values / max(texts, 1)))

    def _write(self, path: Path) -> None:
        """Write the converted file with the types found so far."""
        from tqdm import tqdm

        final = {n: pa.float64() if t == NULL else t for n, t in self.types.items()}
        total = sum(manifest.size for manifest in self.manifests)
        with with_own_lock(tqdm)(
            total=total, unit="B", unit_scale=True, desc="converting CSV", delay=2, disable=None
        ) as bar:
            write_cache(path, self._noted(path, bar), final, copy_of=self.files)

    def _noted(self, path: Path, bar: Any) -> Iterator[Any]:
        """Yield typed rows; note, before the file is whole, which file begins at which row."""
        counts = [0] * len(self.files)
        for i, batch in self.batches(self.types, bar):
            counts[i] += batch.num_rows
            yield batch
        for manifest in self.manifests:  # else rows of two versions might be found again
            manifest.check()
        first_rows = [0, *np.cumsum(counts[:-1]).tolist()]
        write_note(path, first_rows, self.files)

    def batches(
        self, types: dict[str, Any], bar: Any = None
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield (number of the file, record batch), up to ``nrows`` rows."""
        left = self.options.nrows
        for i in range(len(self.files)):
            for batch in self._file_batches(i, types, bar):
                if left is not None:
                    batch = batch.slice(0, left)
                    left -= batch.num_rows
                yield i, batch
                if left == 0:
                    return

    def _file_batches(self, i: int, types: dict[str, Any], bar: Any) -> Iterator[Any]:
        """Parse one file, several pieces at once; errors name it and the row."""
        manifest, options = self.manifests[i], self.options
        at = first_row = 0  # the latter of the piece that is awaited
        again = lambda: open_stream(manifest.stream(), manifest, options)  # noqa: E731
        with manifest.stream() as raw, open_stream(raw, manifest, options) as stream:
            texts = enumerate(split_rows(stream, self.block_size, options, again))
            parse = partial(self._parse, i, csv_types.parsed_as(types, options))
            with closing(in_threads(parse, texts, n_threads())) as pieces:
                try:
                    for batches in pieces:
                        n_rows = 0 if first_row else self.skips[i]
                        for batch in batches:
                            if bar is not None:
                                bar.update(raw.tell() - at)
                                at = raw.tell()
                            yield csv_types.typed(batch, types, options)
                            n_rows += batch.num_rows
                        first_row += n_rows
                except (pa.ArrowException, OSError, ValueError) as error:
                    manifest.check()  # what has changed is not damaged
                    raise_system_error(error, manifest.path)
                    self._fail(i, error, first_row - self.skips[i])

    def _parse(self, i: int, types: dict[str, Any], piece: tuple[int, Any]) -> Iterable[Any]:
        """Parse a piece of text, as the keywords of pandas say; batch by batch if it is a file."""
        (number, text), options = piece, self.options
        whole = isinstance(text, bytes)
        reader = pacsv.open_csv(
            pa.BufferReader(text) if whole else text,
            read_options=pacsv.ReadOptions(
                use_threads=False,  # errors then know the row
                block_size=max(self.block_size, len(text) if whole else 0),
                column_names=self.headers[i],
                skip_rows=0 if number else self.skips[i],
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=options.sep,
                quote_char=options.quote or False,
                double_quote=options.doublequote,
                escape_char=options.escapechar or False,
                newlines_in_values=options.quote is not None,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=list(options.na),
                true_values=list(options.true_values),
                false_values=list(options.false_values),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                decimal_point=options.decimal,
                timestamp_parsers=[pacsv.ISO8601],
            ),
        )
        return list(reader) if whole else reader

    def _fail(self, i: int, error: Exception, first_row: int) -> NoReturn:
        """Raise an error that names the file, the row (of data, from 0) and the column."""
        if isinstance(error, WrongTypeError):
            raise error
        file, header, text = self.files[i], self.headers[i], str(error)
        if not isinstance(error, UnicodeError):
            count = r"Row #(\d+)", lambda row: f"data row {int(row[1]) + first_row - 1}"
            error = ValueError(text := re.sub(*count, text))
        column = re.search(r"In CSV column #(\d+): (.*)", text, re.DOTALL)
        if column and "invalid UTF8" not in text:
            name = header[int(column[1])]
            raise WrongTypeError(f"column {name!r} of {file}: {column[2]}.", name) from error
        if "straddling" in text:
            raise LongRowError(
                f"{file} has a row of more than {self.block_size:,} bytes, or a quote that is not "
                f"closed. If the row is right, set the environment variable {ROW_BYTES} to a "
                "larger number."
            ) from error
        commented = header[0].startswith("#") or "columns, got 1: #" in text
        if self.options.comment is None and commented:
            text += ". If lines that begin with '#' are comments, pass comment='#'."
            error = ValueError(text)
        raise unreadable(file, self.options, error) from error


def _short(names: list[str]) -> str:
    """Show the beginning of a header."""
    return str(names) if len(names) <= 8 else f"{names[:8]}... ({len(names)} columns)"


def _resolve(chosen: tuple[int | str, ...], header: list[str], keyword: str) -> list[str]:
    """Turn names or numbers of columns into names."""
    names = []
    for item in chosen:
        if isinstance(item, int) and not -len(header) <= item < len(header):
            raise ValueError(f"{keyword} selects column {item}, of {len(header)}.")
        name = header[item] if isinstance(item, int) else item
        if name not in header:
            raise ValueError(f"{keyword} names {name!r}; the columns are {_short(header)}.")
        names.append(name)
    return names


def write_note(copy: Path, first_rows: list[int], files: Sequence[str]) -> None:
    """Note beside a copy with which row each CSV file begins, before the copy is whole."""
    with atomic_copy(_note(copy), files) as path:
        path.write_text(json.dumps(first_rows))


def read_note(copy: Path, n_files: int) -> list[int]:
    """Read the note; a ValueError if it is missing or damaged, or not about so many files."""
    note = _note(copy)
    try:
        rows: list[int] = np.array(json.loads(note.read_text()), np.int64).reshape(n_files).tolist()
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{note}, which belongs to {copy}, cannot be read: {error}") from error
    return rows


def _note(copy: Path) -> Path:
    """Name the note."""
    return copy.with_suffix(".json")
