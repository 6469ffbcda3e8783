"""CSV files: converted once to an Arrow file in the cache folder, read from there."""

import json
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from sklearnish.data._ahead import in_threads
from sklearnish.data._cache import CacheSource, write_cache
from sklearnish.data._conversion import Conversion
from sklearnish.data._csv_keywords import CsvOptions, read_keywords
from sklearnish.data._csv_text import (
    BLOCK,
    open_stream,
    read_header,
    split_rows,
    unreadable,
)
from sklearnish.data._csv_types import NULL, mostly_numbers, odd_one, promote
from sklearnish.data._files import (
    Listing,
    Manifest,
    Paths,
    atomic_path,
    cache_folder,
    check_free_space,
    describe,
)
from sklearnish.data._limits import ROW_BYTES, limit
from sklearnish.data._processes import n_cores

_LOOKED_AT = 2**16
"""Values of a column that are searched at once for the one that makes it text."""

_SUFFIXES = tuple(
    kind + packed
    for kind in (".csv", ".tsv", ".txt")
    for packed in ("", ".gz", ".bz2", ".zst", ".lz4")
)


class CsvSource(CacheSource):
    """One table in one or many CSV files, read from its converted copy.

    Parameters
    ----------
    paths : str, path or list of them
        Files, globs or directories; all files must have the same header.
    **keywords
        Keywords of ``pandas.read_csv``, with the same meaning.

    Attributes
    ----------
    files : list of str
        Absolute paths, in the order of the rows.

    Raises
    ------
    FileNotFoundError
        Nothing is found at ``paths``.
    TypeError
        A keyword is not supported.
    ValueError
        A file is empty, headers differ, a row has too few or too many fields, or a value is not
        of the ``dtype`` that was asked for.
    OSError
        There is too little room on the disk.
    """

    def __init__(self, paths: Paths, **keywords: Any) -> None:
        options = read_keywords(keywords)
        files, self._listing = Listing.of(paths, _SUFFIXES)
        self._csv_manifests = [Manifest.of(file) for file in files]
        self.files = [manifest.path for manifest in self._csv_manifests]
        plan = Conversion(
            cache_folder(),
            label=files[0].stem,
            request=["csv", self.files, options.as_json()],
            manifests=self._csv_manifests,
        )
        path = plan.find_or_make(lambda path: _Converter(self._csv_manifests, options).run(path))
        for manifest in self._csv_manifests:
            manifest.check()
        super().__init__(path, describe(paths if isinstance(paths, str | Path) else files))
        self._first_rows = _read_sidecar(path)
        self._decimal = options.decimal

    def row_name(self, row: int) -> str:
        """Say in which file a row is."""
        file = int(np.searchsorted(self._first_rows, row, side="right")) - 1
        return f"data row {row - self._first_rows[file]} of {self.files[file]}"

    def why_text(self, column: str) -> str:
        """Name the first value that is no number where most are, and what reads it."""
        for start in range(0, self.n_rows, _LOOKED_AT):
            rows = np.arange(start, min(start + _LOOKED_AT, self.n_rows))
            texts = self.read(rows, [column])[column]
            if start == 0 and not mostly_numbers(texts):
                return ""
            place = odd_one(texts, self._decimal)
            if place is not None:
                return self._oddity(column, start + place, texts[place].as_py())
        return ""

    def _oddity(self, column: str, row: int, value: str) -> str:
        """Word it."""
        comma = "." if self._decimal == "," else ","
        return (
            f"Most values of {column!r} are numbers, but {self.row_name(row)} has {value!r}: "
            f"scan_csv(..., na_values=[{value!r}]) reads it as missing, and decimal={comma!r} "
            f"reads numbers such as '1{comma}5'. "
        )

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if a CSV file or the copy changed, or a file was added."""
        super().check_unchanged()
        for manifest in self._csv_manifests:
            manifest.check()
        self._listing.check(self._csv_manifests)


def _sidecar(path: Path) -> Path:
    """Return where the first row of each file is noted."""
    return path.with_suffix(".json")


def _read_sidecar(path: Path) -> list[int]:
    """Read it; it was written before the converted file."""
    note = _sidecar(path)
    try:
        first_rows = json.loads(note.read_text())
        return np.array(first_rows, np.int64).reshape(-1).tolist()
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{note} is damaged ({error}). Delete it and {path}: they will be made again."
        ) from error


class _Converter:
    """The conversion of some CSV files with one header."""

    def __init__(self, manifests: list[Manifest], options: CsvOptions) -> None:
        self.manifests, self.options = manifests, options
        self.files = [manifest.path for manifest in manifests]
        self.header, self.skips = self._headers()
        self.included = self._included()
        self.dates = set(_resolve(options.parse_dates, self.header, "parse_dates"))
        self.types = {name: self._first_type(name) for name in self.included}
        self.block_size = min(BLOCK, limit(ROW_BYTES))

    def _headers(self) -> tuple[list[str], list[int]]:
        """Read the names, and for each file how many lines precede its first row."""
        names, skips = [], []
        for file in self.files:
            header, skip = read_header(file, self.options)
            names.append(header)
            skips.append(skip)
            if header != names[0]:
                raise ValueError(
                    f"the header of {file} is {_short(header)}, that of {self.files[0]} is "
                    f"{_short(names[0])}. All files must have the same columns in the same order."
                )
        return names[0], skips

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
            except _LongRowError:
                if self.block_size >= limit(ROW_BYTES):
                    raise
                self.block_size = min(16 * self.block_size, limit(ROW_BYTES))

    def _convert(self, path: Path) -> None:
        """Write with the types of the first block; if they do not hold, with those of all."""
        self._check_space(path, self._infer(sample=True))
        try:
            return self._write(path)
        except _WrongTypeError as error:
            self._raise_if_chosen(error)
        self._infer()
        for _ in self.included:
            try:
                return self._write(path)
            except _WrongTypeError as error:  # the parser is stricter than the inference
                self._raise_if_chosen(error)
                self.types[error.column] = pa.string()
        return self._write(path)

    def _raise_if_chosen(self, error: "_WrongTypeError") -> None:
        """Raise if the user asked for the type that did not fit."""
        if self.options.chosen_type(error.column) is not None:
            raise ValueError(f"{error} Its dtype was asked for; leave it out or change it.")

    def _infer(self, sample: bool = False) -> Any:
        """Promote the types over all rows, or over the first block; return that block."""
        as_text = dict.fromkeys(self.included, pa.string())
        first = None
        for _, batch in self._batches(as_text):
            first = batch if first is None else first
            for name in self.included:
                if self.options.chosen_type(name) is None:
                    self.types[name] = promote(self.types[name], batch[name], self.options)
            if sample:
                break
        return first

    def _check_space(self, path: Path, sample: Any) -> None:
        """Raise OSError if the converted file would not fit on the disk."""
        if sample is None or not sample.num_rows:
            return
        texts = sample.nbytes - 3 * sample.num_rows * len(self.included)
        values = sum(
            sample[name].nbytes if t == pa.string() else sample.num_rows * 8
            for name, t in self.types.items()
        )
        packed = 5 if self.options.compression is not None and self._packed() else 1
        size = sum(Path(file).stat().st_size for file in self.files) * packed
        check_free_space(path.parent, int(size * values / max(texts, 1)))

    def _packed(self) -> bool:
        """Say whether the files are compressed."""
        return self.options.compression != "infer" or self.files[0].endswith(
            (".gz", ".bz2", ".zst", ".lz4")
        )

    def _write(self, path: Path) -> None:
        """Write the converted file with the types found so far."""
        from tqdm import tqdm

        final = {n: pa.float64() if t == NULL else t for n, t in self.types.items()}
        total = sum(Path(file).stat().st_size for file in self.files)
        with tqdm(
            total=total, unit="B", unit_scale=True, desc="converting CSV", delay=2, disable=None
        ) as bar:
            write_cache(path, self._noted(path, bar), final)

    def _noted(self, path: Path, bar: Any) -> Iterator[Any]:
        """Yield typed rows; note, before the file is whole, which file begins at which row."""
        counts = [0] * len(self.files)
        for i, batch in self._batches(self.types, bar):
            counts[i] += batch.num_rows
            yield batch
        for manifest in self.manifests:  # else rows of two versions might be found again
            manifest.check()
        first_rows = [0, *np.cumsum(counts[:-1]).tolist()]
        with atomic_path(_sidecar(path)) as note:
            note.write_text(json.dumps(first_rows))

    def _batches(self, types: dict[str, Any], bar: Any = None) -> Iterator[tuple[int, Any]]:
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
        """Parse one file; errors name it and the row."""
        at = first_row = 0  # the latter of the piece that is awaited
        with (
            pa.OSFile(self.files[i]) as raw,
            open_stream(raw, self.files[i], self.options) as stream,
            closing(self._pieces(i, stream, types)) as pieces,
        ):
            try:
                for batches in pieces:
                    n_rows = 0 if first_row else self.skips[i]
                    for batch in batches:
                        if bar is not None:
                            bar.update(raw.tell() - at)
                            at = raw.tell()
                        yield batch
                        n_rows += batch.num_rows
                    first_row += n_rows
            except (pa.ArrowException, OSError, ValueError) as error:
                self.manifests[i].check()  # what has changed is not damaged
                self._fail(self.files[i], _with_row(error, first_row))

    def _pieces(
        self, i: int, stream: Any, types: dict[str, Any]
    ) -> Generator[Iterable[Any], None, None]:
        """Parse the pieces of one file, several at once."""
        texts = enumerate(split_rows(stream, self.block_size, self.options))
        return in_threads(partial(self._parse, i, types), texts, n_cores())

    def _parse(self, i: int, types: dict[str, Any], piece: tuple[int, Any]) -> Iterable[Any]:
        """Parse a piece of text; batch by batch if it is a file."""
        options, (number, text) = self.options, piece
        whole = isinstance(text, bytes)
        reader = pacsv.open_csv(
            pa.BufferReader(text) if whole else text,
            read_options=pacsv.ReadOptions(
                use_threads=False,  # errors then know the row
                block_size=max(self.block_size, len(text)) if whole else self.block_size,
                column_names=self.header,
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
                include_columns=self.included,
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

    def _fail(self, file: str, error: Exception) -> NoReturn:
        """Raise an error that names the file, the row and the column."""
        text = str(error)
        if match := re.search(r"In CSV column #(\d+): (.*)", text, re.DOTALL):
            column = self.header[int(match[1])]
            raise _WrongTypeError(f"column {column!r} of {file}: {match[2]}.", column) from error
        if "straddling" in text:
            raise _LongRowError(
                f"{file} has a row of more than {self.block_size:,} bytes, or a quote that is not "
                f"closed. If it is right, set the environment variable {ROW_BYTES} to more."
            ) from error
        raise unreadable(file, error, self.options) from error


def _with_row(error: Exception, first_row: int) -> Exception:
    """Count the row that an error of the parser names from the beginning of the file."""
    text = re.sub(r"(?<=Row #)\d+", lambda m: str(int(m[0]) + first_row), str(error))
    return error if isinstance(error, UnicodeError) else ValueError(text)


class _LongRowError(ValueError):
    """A row does not fit into a block."""


class _WrongTypeError(ValueError):
    """A value is not of the type of its column."""

    def __init__(self, message: str, column: str) -> None:
        super().__init__(message)
        self.column = column


def _short(names: list[str]) -> str:
    """Show the beginning of a header."""
    return str(names) if len(names) <= 8 else f"{names[:8]}... ({len(names)} columns)"


def _resolve(chosen: tuple[int | str, ...], header: list[str], keyword: str) -> list[str]:
    """Turn names or numbers of columns into names."""
    names = []
    for item in chosen:
        if isinstance(item, int) and not -len(header) <= item < len(header):
            raise ValueError(f"{keyword} asks for column {item}, of {len(header)}.")
        name = header[item] if isinstance(item, int) else item
        if name not in header:
            raise ValueError(f"{keyword} names {name!r}; the columns are {_short(header)}.")
        names.append(name)
    return names
