"""Parquet files: row groups are the blocks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sklearnish.data import _arrow
from sklearnish.data._files import HandlePool, Listing, Manifest, Paths, describe
from sklearnish.data._limits import ROWS_PER_BYTE, check_limit
from sklearnish.data._source import BadRowsError, Column, Field, IntArray, Source

_SUFFIXES = (".parquet", ".pq", ".parq")
_INDEX = "index_columns"

_KEPT_BYTES = 2**27
"""Bytes read after which Arrow is asked for the memory that it keeps for later."""


_LARGE_GROUP = 2**26
"""Bytes from which a row group is read in batches, of which those that are not wanted go."""

_BATCH_ROWS = 16_384

_HEAD, _HEAD_GROUP = 16, 2**22
"""A row group of more bytes, of which less than this share is wanted, from its beginning, is not
read to its end: so the row on which a module is tried."""


class ParquetSource(Source):
    """One table in one or many Parquet files.

    Only the footers are read to make one. What pandas stored as the index of a DataFrame is
    not a column, as in ``pandas.read_parquet``.

    Parameters
    ----------
    paths : str, path or list of them
        Files, globs or directories; all files must have the same columns and types.

    Attributes
    ----------
    files : list of str
        Absolute paths, in the order of the rows.
    rows_read, blocks_read, bytes_read : int
        Rows, row groups and bytes in memory that this object has read from disk so far.

    Raises
    ------
    FileNotFoundError
        Nothing is found at ``paths``.
    ValueError
        A file is empty, is not Parquet or differs from the first in its columns.
    """

    def __init__(self, paths: Paths) -> None:
        files, self._listing = Listing.of(paths, _SUFFIXES)
        self.name = describe(paths if isinstance(paths, str | Path) else files)
        self._manifests = [Manifest.of(file) for file in files]
        self.files = [manifest.path for manifest in self._manifests]
        scan = _Scan()
        for i, manifest in enumerate(self._manifests):
            scan.add(i, manifest)
        self._types: dict[str, Any] = scan.types
        self.schema: dict[str, Field] = {n: _arrow.to_field(t) for n, t in scan.types.items()}
        self._widths = scan.widths
        self._block_file = np.array(scan.block_file, dtype=np.int32)
        self._block_group = np.array(scan.block_group, dtype=np.int32)
        self.blocks: IntArray = np.cumsum([0, *scan.block_rows], dtype=np.int64)
        self.n_rows = int(self.blocks[-1])
        self._start()

    def _start(self) -> None:
        """Begin with no open file and the counters at zero."""
        self._handles: HandlePool[str, Any] = HandlePool(_open, limit=16)
        self.rows_read = self.blocks_read = self.bytes_read = 0

    def __getstate__(self) -> dict[str, Any]:
        """Pickle what the footers said, without files."""
        state = self.__dict__.copy()
        for name in ("_handles", "rows_read", "blocks_read", "bytes_read", "schema"):
            del state[name]
        state["_types"] = pa.schema(list(self._types.items()))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up the pickled state; files are opened when rows are read."""
        self.__dict__.update(state)
        self._types = {field.name: field.type for field in state["_types"]}
        self.schema = {n: _arrow.to_field(t) for n, t in self._types.items()}
        self._start()

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Read some columns of ascending rows; each row group is read once."""
        runs = _arrow.runs(rows, self.blocks)
        pieces = [piece for block, local in runs for piece in self._pick(block, local, columns)]
        return _arrow.join(pieces, {name: self._types[name] for name in columns})

    def _pick(self, block: int, local: IntArray, columns: Sequence[str]) -> Iterator[Any]:
        """Yield tables of some rows of a row group; a large one is neither held nor read whole."""
        n_rows = int(self.blocks[block + 1] - self.blocks[block])
        nbytes = n_rows * self.row_nbytes(columns)
        at_the_head = int(local[-1]) < n_rows // _HEAD and nbytes > _HEAD_GROUP
        if nbytes <= _LARGE_GROUP and not at_the_head:
            yield _arrow.pick(self._read_block(block, columns), local)
            return
        start, most = 0, int(local[-1]) + 1 if at_the_head else _BATCH_ROWS
        for batch in self._batches(block, columns, most):
            stop = start + batch.num_rows
            inside = local[np.searchsorted(local, start) : np.searchsorted(local, stop)]
            if len(inside):
                yield _arrow.pick(pa.Table.from_batches([batch]), inside - start)
            if stop > local[-1]:
                return
            start = stop

    def _read_block(self, block: int, columns: Sequence[str]) -> Any:
        """Read one row group."""
        with self._watched(block) as (file, group), self._handles.borrow(file) as handle:
            # One thread: a training step runs beside it.
            table = handle.read_row_group(group, list(columns), use_threads=False)
            self._check_rows(block, table.num_rows)
        self.blocks_read += 1
        self._count(table)
        return table

    @contextmanager
    def _watched(self, block: int) -> Iterator[tuple[str, int]]:
        """Give file and number of a row group; errors of the block name them.

        Looked at after a read, a file that changed before or during it is noticed.
        """
        number = self._block_file[block]
        file, group = self.files[number], int(self._block_group[block])
        try:
            yield file, group
        except MemoryError:  # Arrow's is an ArrowException, too
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            self._manifests[number].check()  # what has changed is not damaged
            raise BadRowsError(
                f"row group {group} of {file} cannot be read: {error} The file is damaged: write "
                "it again.",
                range(int(self.blocks[block]), int(self.blocks[block + 1])),
            ) from error
        self._manifests[number].check()

    def _check_rows(self, block: int, n_rows: int) -> None:
        """Raise ValueError if a row group has not the rows that the footer promises."""
        wanted = int(self.blocks[block + 1] - self.blocks[block])
        if n_rows != wanted:
            raise ValueError(f"it has {n_rows} rows where the footer promises {wanted}.")

    def _count(self, table: Any) -> None:
        """Add rows to the counters; from time to time make Arrow give memory back."""
        n_bytes = table.nbytes
        if self.bytes_read // _KEPT_BYTES != (self.bytes_read + n_bytes) // _KEPT_BYTES:
            pa.default_memory_pool().release_unused()
        self.rows_read += table.num_rows
        self.bytes_read += n_bytes

    def iter_batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Yield record batches of all rows in order, without holding a whole row group.

        Parameters
        ----------
        columns : sequence of str
            Names of columns of the schema.

        Yields
        ------
        pyarrow.RecordBatch
            The next rows.
        """
        for block in range(len(self.blocks) - 1):
            yield from self._batches(block, columns)

    def _batches(
        self, block: int, columns: Sequence[str], most: int | None = None
    ) -> Iterator[Any]:
        """Yield record batches of one row group, of at most so many rows."""
        self.blocks_read += 1
        n_rows, most = 0, min(most or _BATCH_ROWS, _BATCH_ROWS)
        # A handle of its own: a half-read one must not meet another reader.
        with self._watched(block) as (file, group), _open(file, buffer_size=1 << 20) as handle:
            batches = handle.iter_batches(most, [group], list(columns), use_threads=False)
            for batch in batches:
                self._manifests[self._block_file[block]].check()
                n_rows += batch.num_rows
                self._count(batch)
                yield batch
            self._check_rows(block, n_rows)

    def arrow_types(self, columns: Sequence[str]) -> dict[str, Any]:
        """Return the Arrow types of some columns."""
        return {name: self._types[name] for name in columns}

    def row_nbytes(self, columns: Sequence[str] | None = None) -> float:
        """Estimate the bytes of a row in memory (of text: in the widest row group)."""
        return float(sum(self._widths[name] for name in (columns or self.schema)))

    def row_name(self, row: int) -> str:
        """Say in which file a row is."""
        block = int(np.searchsorted(self.blocks, row, side="right")) - 1
        file = self._block_file[block]
        first = int(self.blocks[int(np.searchsorted(self._block_file, file))])
        return f"row {row - first} of {self.files[file]}"

    def manifests(self) -> list[Manifest]:
        """Return what the files looked like when they were scanned."""
        return list(self._manifests)

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if files are not the ones scanned, or one was added."""
        for manifest in self._manifests:
            manifest.check()
        self._listing.check(self._manifests)


class _Scan:
    """What the footers say, gathered file by file."""

    def __init__(self) -> None:
        self.types: dict[str, Any] = {}
        self.widths: dict[str, float] = {}
        self.block_file: list[int] = []
        self.block_group: list[int] = []
        self.block_rows: list[int] = []
        self._first = ""

    def add(self, i: int, manifest: Manifest) -> None:
        """Read the footer of the next file."""
        file = manifest.path
        with _open(file) as handle, _errors_name(file):
            metadata, types = handle.metadata, _column_types(handle, file)
            _check_claims(metadata, manifest)
            if not i:
                self.types, self._first = types, file
            self.types = _merge(types, file, self.types, self._first)
            for name, dtype in types.items():
                self.widths[name] = max(self.widths.get(name, 0.0), _arrow.width(dtype) or 0.0)
            varying = {name for name, t in types.items() if _arrow.width(t) is None}
            for group in range(metadata.num_row_groups):
                row_group = metadata.row_group(group)
                if row_group.num_rows:
                    self.block_file.append(i)
                    self.block_group.append(group)
                    self.block_rows.append(row_group.num_rows)
                    if varying:
                        self._measure(row_group, varying)

    def _measure(self, row_group: Any, names: set[str]) -> None:
        """Note the mean width of the columns whose width varies, where it is the largest."""
        total = dict.fromkeys(names, 0)
        for j in range(row_group.num_columns):
            column = row_group.column(j)
            name = column.path_in_schema
            name = name if name in names else name.split(".")[0]
            if name in names:
                total[name] += max(0, column.total_uncompressed_size)
        for name, size in total.items():
            self.widths[name] = max(self.widths[name], 4 + size / row_group.num_rows)


def _open(file: str, buffer_size: int = 0) -> Any:
    """Open a Parquet file; errors name it."""
    with _errors_name(file):
        # Mapped memory is a tenth faster, but a file cut short under it kills the process;
        # pre_buffer made no difference on a local disk and is not safe between threads.
        return pq.ParquetFile(
            file,
            memory_map=False,
            pre_buffer=False,
            buffer_size=buffer_size,
            page_checksum_verification=True,  # of pages that have one
        )


@contextmanager
def _errors_name(file: str) -> Iterator[None]:
    """Name the file in the errors of Arrow."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ValueError(
            f"{file} cannot be read as Parquet: {error} It may be truncated or not Parquet at all."
        ) from error


def _check_claims(metadata: Any, manifest: Manifest) -> None:
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


def _column_types(handle: Any, file: str) -> dict[str, Any]:
    """Read names and types of the columns, less the stored index of a DataFrame."""
    schema = handle.schema_arrow
    _arrow.check_names(schema.names, file)
    try:
        index = {n for n in (schema.pandas_metadata or {}).get(_INDEX, []) if isinstance(n, str)}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} is damaged: pandas' notes on it are no JSON ({error})."
        ) from error
    return {field.name: field.type for field in schema if field.name not in index}


def _merge(types: dict[str, Any], file: str, wanted: dict[str, Any], first: str) -> dict[str, Any]:
    """Return the common types; raise ValueError if a file has other columns than the first."""
    if types == wanted:
        return wanted
    advice = "All files must have the same columns and types: write them again with one schema."
    for name in wanted:
        if name not in types:
            raise ValueError(f"{file} has no column {name!r}, which {first} has. {advice}")
    for name, dtype in types.items():
        if name not in wanted:
            raise ValueError(f"{file} has a column {name!r}, which {first} has not. {advice}")
        if _arrow.common(wanted[name], dtype) is None:
            raise ValueError(
                f"column {name!r} is {dtype} in {file} and {wanted[name]} in {first}. {advice}"
            )
    return {name: _arrow.common(dtype, types[name]) for name, dtype in wanted.items()}
