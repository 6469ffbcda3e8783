"""What the footers of Parquet files say, gathered file by file."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sklearnish.data._arrow import columns as arrow
from sklearnish.data._errors import explained
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.limits import ROWS_PER_BYTE, check_limit
from sklearnish.data._sources.parquet.ranges import RemoteParquetFile
from sklearnish.data._sources.parquet.thrift import Chunk, EncryptedError, read_chunks

_INDEX = "index_columns"

_VALUE = 8
"""Bytes of a number; of longer values, every eight count as one."""

_LENGTHS, _PREFIXED = 6, 7
"""DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY: text that Arrow does not read as dictionaries. In
the latter, it repeats the beginning of the one before: a small file may hold many long ones."""

_ADVICE = (
    "Write the files again with one schema, or name the columns you need, columns=[...]: the "
    "others may differ."
)


def open_file(manifest: Manifest, dictionaries: Collection[str] = (), buffer_size: int = 0) -> Any:
    """Open a Parquet file, whose text is read as dictionaries where they are named."""
    with _errors_name(manifest.path):
        source = manifest.for_arrow()
        kind = pq.ParquetFile if isinstance(source, str) else RemoteParquetFile
        # Mapped memory is a tenth faster, but a file cut short under it kills the process;
        # pre_buffer made no difference on a local disk and is not safe between threads.
        return kind(
            source,
            read_dictionary=list(dictionaries),
            memory_map=False,
            pre_buffer=False,
            buffer_size=buffer_size,
            page_checksum_verification=True,  # of pages that have one
        )


def _errors_name(file: str) -> AbstractContextManager[None]:
    """Name the file in the errors of Arrow; those of the system stay what they are."""

    def tell(error: Exception) -> ValueError:
        text = (
            f"{file} cannot be read as Parquet: {error} It may be truncated or not Parquet at all"
        )
        return ValueError(f"{text}{'; sn.scan_csv reads CSV' * ('.csv' in Path(file).suffixes)}.")

    return explained(file, (pa.ArrowException, OSError, UnicodeError), tell)


class Footers:
    """What the footers say of columns and row groups.

    Parameters
    ----------
    asked : collection of str or None
        The columns in which files must agree; None for all.

    Attributes
    ----------
    types : dict of str to pyarrow.DataType
        Of the columns in which files agree.
    widths : dict of str to float
        Bytes of a value in memory; of text, the mean of the row group where it is largest.
    block_file, block_group, block_rows : list of int
        File, number and rows of each row group that has rows.
    lists : dict of str to pyarrow.DataType
        Columns of lists of numbers which, by the footers, may all be of one length, and their
        types as stored.
    dictionaries : set of str
        Paths of the columns of text that can be read as dictionaries.
    longest : dict of str to int
        Bytes that no text has more of, for columns where texts share their beginnings.
    differing : dict of str to str
        Columns in which files differ, and how.
    """

    def __init__(self, asked: Collection[str] | None = None) -> None:
        self.types: dict[str, Any] = {}
        self.widths: dict[str, float] = {}
        self.block_file: list[int] = []
        self.block_group: list[int] = []
        self.block_rows: list[int] = []
        self.lists: dict[str, Any] = {}
        self.dictionaries: set[str] = set()
        self.longest: dict[str, int] = {}
        self.differing: dict[str, str] = {}
        self._asked = asked
        self._first = ""
        self._lengths: dict[str, set[float]] = {}
        self._not_as_dictionary: set[str] = set()

    def add(self, i: int, manifest: Manifest) -> None:
        """Read the footer of the next file."""
        file = manifest.path
        _check_readable(manifest)
        with open_file(manifest) as handle, _errors_name(file):
            metadata, types = handle.metadata, _column_types(handle, file)
            _check_claims(metadata, manifest, types)
            self._merge(types, file)
            for name, dtype in types.items():
                self.widths[name] = max(self.widths.get(name, 0.0), arrow.width(dtype) or 0.0)
            varying = {name: t for name, t in types.items() if arrow.width(t) is None}
            self.dictionaries |= _texts(handle.schema) if varying else set()
            chunks = _read_chunks(manifest, metadata.num_row_groups) if varying else []
            for group in range(metadata.num_row_groups):
                row_group = metadata.row_group(group)
                if row_group.num_rows:
                    self.block_file.append(i)
                    self.block_group.append(group)
                    self.block_rows.append(row_group.num_rows)
                    if varying:
                        self._measure(chunks[group], row_group, varying, manifest)

    def finish(self) -> None:
        """Leave out columns that differ; give lists that may be of one length that length."""
        self.dictionaries -= self._not_as_dictionary
        for name in self.differing:
            self.types.pop(name, None)
        for name, lengths in self._lengths.items():
            if lengths and name in self.types:
                self.lists[name] = self.types[name]
                self.types[name] = pa.list_(self.types[name].value_type, int(min(lengths)))
                self.widths[name] = arrow.width(self.types[name]) or self.widths[name]

    def _merge(self, types: dict[str, Any], file: str) -> None:
        """Find the common types; raise ValueError where a column that is asked for differs."""
        if not self._first:
            self.types, self._first = types, file
        if types == self.types:
            return
        for name in [*self.types, *(name for name in types if name not in self.types)]:
            if name in self.differing:
                continue
            if how := self._difference(name, types, file):
                self.differing[name] = how
                if self._asked is None or name in self._asked:
                    raise ValueError(f"{how} {_ADVICE}")
            elif self.types[name] != types[name]:
                self.types[name] = arrow.common(self.types[name], types[name])

    def _difference(self, name: str, types: dict[str, Any], file: str) -> str:
        """Say how a column of a file differs from the same in the files before; "" if it fits."""
        if name not in types:
            return f"{file} has no column {name!r}, which {self._first} has."
        if name not in self.types:
            return f"{file} has a column {name!r}, which {self._first} has not."
        one, other = self.types[name], types[name]
        if one == other or arrow.common(one, other) is not None:
            return ""
        return f"column {name!r} is {other} in {file} and {one} in {self._first}."

    def _measure(
        self, chunks: list[Chunk], group: Any, varying: dict[str, Any], manifest: Manifest
    ) -> None:
        """Note what is known of columns whose width varies: mean width, encoding, length."""
        total = dict.fromkeys(varying, 0)
        for place, chunk in enumerate(chunks):
            name = chunk.path if chunk.path in varying else chunk.path.split(".")[0]
            if name not in varying:
                continue
            size = max(0, chunk.size)
            total[name] += size
            if chunk.path in self.dictionaries and not {_LENGTHS, _PREFIXED}.isdisjoint(
                chunk.encodings
            ):
                self._not_as_dictionary.add(chunk.path)
                if _PREFIXED in chunk.encodings:
                    self.longest[name] = max(self.longest.get(name, 0), size)
            if pa.types.is_nested(varying[name]):
                _check_values(manifest, name, chunk.n_values)
                if inner := arrow.list_width(varying[name]):
                    known = group.column(place).statistics
                    n_missing = (known.null_count or 0) if known is not None else 0
                    self._note_length(name, chunk.n_values, n_missing, group.num_rows, inner)
        for name, size in total.items():
            self.widths[name] = max(self.widths[name], 4 + size / group.num_rows)

    def _note_length(
        self, name: str, n_values: int, n_missing: int, n_rows: int, inner: int
    ) -> None:
        """Note which lengths all lists can have: what is missing are numbers in them, or lists.

        A list without numbers counts as one that is missing, so a length of 1 tells nothing.
        """
        if n_values == n_missing == n_rows:
            return
        lengths = {n_values / (n_rows * inner)}
        if n_missing < n_rows:
            lengths.add((n_values - n_missing) / ((n_rows - n_missing) * inner))
        whole = {length for length in lengths if length > 1 and length.is_integer()}
        self._lengths[name] = whole & self._lengths.get(name, whole)


def _check_readable(manifest: Manifest) -> None:
    """Raise ValueError if the footer is encrypted."""
    if manifest.read_tail(4) == b"PARE":
        raise ValueError(_encrypted(manifest.path, "it is"))


def _read_chunks(manifest: Manifest, n_groups: int) -> list[list[Chunk]]:
    """Read what the footer says of columns; raise ValueError if they are encrypted."""
    file = manifest.path
    size = int.from_bytes(manifest.read_tail(8)[:4], "little")
    footer = manifest.read_tail(size + 8)
    try:
        chunks = read_chunks(footer)
        if len(chunks) != n_groups:
            raise ValueError(f"its footer has {len(chunks)} row groups, of {n_groups}.")
    except EncryptedError:
        raise ValueError(_encrypted(file, "columns of it are")) from None
    except ValueError as error:
        raise ValueError(f"{file} cannot be read as Parquet: {error}") from error
    return chunks


def _encrypted(file: str, what: str) -> str:
    """Say what to do with an encrypted file, at whose columns Arrow would end the process."""
    return (
        f"{file} cannot be read: {what} encrypted. Decrypt it first: read it with "
        "pyarrow.parquet.ParquetFile(file, decryption_properties=...), and write the table "
        "without encryption."
    )


def _check_claims(metadata: Any, manifest: Manifest, types: dict[str, Any]) -> None:
    """Raise ValueError for a footer that contradicts itself or claims rows beyond belief."""
    rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    if min(rows, default=0) < 0 or sum(rows) != metadata.num_rows:
        raise ValueError(
            f"{manifest.path} is damaged: its footer promises {metadata.num_rows} rows, and "
            f"{sum(rows)} in row groups. Write it again."
        )
    check_limit(
        ROWS_PER_BYTE,
        metadata.num_rows // max(1, manifest.size),
        f"{manifest.path} claims {metadata.num_rows:,} rows in {manifest.size:,} bytes",
    )
    widths = {name: arrow.width(dtype) or 0.0 for name, dtype in types.items()}
    widest = max(widths, key=widths.__getitem__, default=None)
    if widest is not None:
        _check_values(manifest, widest, int(metadata.num_rows * widths[widest] / _VALUE))


def _check_values(manifest: Manifest, name: str, n_values: int) -> None:
    """Raise ValueError for a column of more values, or bytes, than are to be believed."""
    check_limit(
        ROWS_PER_BYTE,
        n_values // max(1, manifest.size),
        f"{manifest.path} claims {n_values:,} values of column {name!r} in {manifest.size:,} bytes",
    )


def _texts(schema: Any) -> set[str]:
    """List the paths of the columns of text, at any depth."""
    columns = (schema.column(j) for j in range(len(schema)))
    return {
        column.path
        for column in columns
        if column.physical_type == "BYTE_ARRAY" and column.logical_type.type != "DECIMAL"
    }


def _column_types(handle: Any, file: str) -> dict[str, Any]:
    """Read names and types of the columns, less the stored index of a DataFrame."""
    schema = handle.schema_arrow
    arrow.check_names(schema.names, file)
    try:
        index = {n for n in (schema.pandas_metadata or {}).get(_INDEX, []) if isinstance(n, str)}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} is damaged: pandas' notes on it are no JSON ({error})."
        ) from error
    return {field.name: field.type for field in schema if field.name not in index}
