"""CSV files: converted once to an Arrow file in the cache folder, read from there."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sklearnish.data._arrow.table_file import CacheSource
from sklearnish.data._files.conversion import Conversion, cache_folder
from sklearnish.data._files.found import found
from sklearnish.data._files.paths import Paths, describe
from sklearnish.data._sources.csv.conversion import Converter, read_note
from sklearnish.data._sources.csv.keywords import PANDAS_NA, read_keywords
from sklearnish.data._sources.csv.packing import ENDINGS
from sklearnish.data._sources.csv.types import mostly_numbers, odd_one, what_reads

_LOOKED_AT = 2**16
"""Values of a column that are searched at once for the one that makes it text."""

_SUFFIXES = tuple(kind + packed for kind in (".csv", ".tsv", ".txt") for packed in ENDINGS)


class CsvSource(CacheSource):
    """One table in one or many CSV files, read from its converted copy.

    Parameters
    ----------
    paths : str, path or list of them
        Files, globs or directories; all files must have the same header, or, with ``usecols``,
        those columns.
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem, default=None
        Where the files are; None for the local disk.
    **keywords
        Keywords of ``pandas.read_csv``, with the same meaning.

    Attributes
    ----------
    files : list of str
        Absolute paths, or URLs, in the order of the rows.

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

    def __init__(self, paths: Paths, filesystem: Any = None, **keywords: Any) -> None:
        options = read_keywords(keywords)
        self._csv_manifests, self._listing = found(paths, _SUFFIXES, filesystem)
        self.files = [manifest.path for manifest in self._csv_manifests]
        plan = Conversion(
            cache_folder(),
            label=Path(self.files[0]).stem,
            request=["csv", self.files, asdict(options)],
            manifests=self._csv_manifests,
        )
        name = describe(paths, self.files)
        plan.open_or_make(
            lambda path: self._open(path, name),
            lambda path: Converter(self._csv_manifests, options).run(path),
        )
        for manifest in self._csv_manifests:
            manifest.check()
        self._options = options

    def _open(self, path: Path, name: str) -> None:
        """Map the copy, and read what is noted beside it."""
        super().__init__(path, name)
        self._first_rows = read_note(path, len(self.files))

    def identity(self) -> tuple[type, dict[str, Any]]:
        """Return the CSV files and the options, not the copy, which may be made again."""
        return type(self), {"copy": Path(self.path).name, "files": self._csv_manifests}

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
            place = odd_one(texts, self._options.decimal)
            if place is None:
                continue
            if column.startswith("#"):
                return f"If the line of {column!r} is a comment: scan_csv(..., comment='#'). "
            return (
                f"Most values of {column!r} are numbers, but {self.row_name(start + place)} has "
                f"{texts[place].as_py()!r}: {what_reads(texts, place, self._options.decimal)}. "
            )
        return ""

    def why_missing(self, row: int, columns: Sequence[str]) -> str:
        """Name the words in a row that are read as missing, and what keeps them."""
        plain = replace(self._options, na=(), dtype={}, all_dtypes=None, parse_dates=())
        text = Converter(self._csv_manifests, plain)
        batches = text.batches(dict.fromkeys(text.included, pa.string()))
        for _, batch in batches:
            if row < batch.num_rows:
                found = {name: batch[name][row].as_py() for name in columns or text.included}
                break
            row -= batch.num_rows
        batches.close()
        words = {n: v for n, v in found.items() if v in self._options.na and v in PANDAS_NA[1:]}
        if not words:
            return ""
        return (
            f"The file has {' and '.join(f'{v!r} in {n!r}' for n, v in words.items())}, which "
            "scan_csv reads as missing, as pandas does; scan_csv(..., keep_default_na=False, "
            'na_values=[""]) keeps it as a word. '
        )

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if a CSV file or the copy changed, or a file was added."""
        super().check_unchanged()
        self._listing.check(self._csv_manifests)
