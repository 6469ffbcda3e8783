"""Parquet files: row groups are the blocks."""

import copy
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from sklearnish.data._arrow import columns as arrow
from sklearnish.data._arrow.lists import of_one_length
from sklearnish.data._errors import BadRowsError, explained
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.found import found
from sklearnish.data._files.handles import HandlePool
from sklearnish.data._files.paths import Paths, describe
from sklearnish.data._source import Column, IntArray, Part
from sklearnish.data._sources.parquet.footers import Footers, open_file
from sklearnish.data._sources.parquet.partitions import Partitions
from sklearnish.data._sources.parquet.tables import refuse_tables

_SUFFIXES = (".parquet", ".pq", ".parq")

_KEPT_BYTES = 2**27
"""Bytes read after which Arrow is asked for the memory that it keeps for later."""


_LARGE_GROUP = 2**26
"""Bytes from which a row group is read in batches, of which those that are not wanted go."""

_BATCH_ROWS, _BATCH_NBYTES = 16_384, 2**26
"""Rows of such a batch, and bytes, above which it has fewer."""

_LONG_TEXTS, _LEAST_ROWS = 2**28, 64
"""Bytes that the texts of a batch may take where they share their beginnings, if that is not less
than so many rows."""

_CODE = 4.0
"""Bytes of a row of text that is stored in the name of a folder."""

_HEAD, _HEAD_GROUP = 16, 2**22
"""A row group of more bytes, of which less than this share is wanted, from its beginning, is not
read to its end: so the row on which a module is tried."""


class ParquetSource(arrow.ArrowSource):
    """One table in one or many Parquet files.

    Only the footers are read to make one. What pandas stored as the index of a DataFrame is
    not a column, as in ``pandas.read_parquet``.

    Parameters
    ----------
    paths : str, path or list of them
        Files, globs or directories; all files must have the same columns and types.
    asked : collection of str, default=None
        The only columns that have to; None for all. Others in which files differ are left out.
    filesystem : fsspec.AbstractFileSystem or pyarrow.fs.FileSystem, default=None
        Where the files are; None for the local disk.

    Attributes
    ----------
    files : list of str
        Absolute paths, or URLs, in the order of the rows.
    bytes_read : int
        Bytes in memory that this object has read from disk so far.

    Raises
    ------
    FileNotFoundError
        Nothing is found at ``paths``.
    ValueError
        A file is empty, encrypted, not Parquet or differs from the first in its columns, or a
        folder is a table of Delta or Iceberg.
    OSError
        A file cannot be opened or read just now.
    """

    _found_again = (*arrow.ArrowSource._found_again, "bytes_read", "_read_types", "_converted")

    def __init__(
        self, paths: Paths, asked: Collection[str] | None = None, filesystem: Any = None
    ) -> None:
        self._manifests, self._listing = found(paths, _SUFFIXES, filesystem)
        refuse_tables(self._listing)
        self._listing.warn_if_unwatched(self._manifests)
        self.files = [manifest.path for manifest in self._manifests]
        self.name = describe(paths, self.files)
        footers = Footers(asked)
        for i, manifest in enumerate(self._listing.with_ends(self._manifests)):
            footers.add(i, manifest)
        footers.finish()
        self._partitions = Partitions(self.files, self._listing.places, asked)
        self._partitions.as_stored(footers.types)
        self._types = footers.types | self._partitions.types
        self._lists = footers.lists
        self._dictionaries = tuple(sorted(footers.dictionaries))
        self._longest = footers.longest
        folders = {n: arrow.width(t) or _CODE for n, t in self._partitions.types.items()}
        self._widths = footers.widths | folders
        self.left_out = footers.differing | self._partitions.differing
        self._block_file = np.array(footers.block_file, dtype=np.int32)
        self._block_group = np.array(footers.block_group, dtype=np.int32)
        self.blocks: IntArray = np.cumsum([0, *footers.block_rows], dtype=np.int64)
        self.n_rows = int(self.blocks[-1])
        self._start()

    def _start(self) -> None:
        """Begin with no open file, the counters at zero and what follows from the types."""
        super()._start()
        self._read_types = {n: arrow.coded(t) for n, t in self._types.items()}
        self._read_types |= self._lists  # are they of one length? who wants to know finds out
        self._converted = frozenset(
            n for n, t in self._types.items() if t != self._read_types[n] or pa.types.is_nested(t)
        )
        opener = partial(open_file, dictionaries=self._dictionaries)
        self._handles: HandlePool[Manifest, Any] = HandlePool(opener, limit=16)
        self.bytes_read = 0

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Read some columns of ascending rows; each row group is read once."""
        with self._listing.checking(partial(self._files_of, [rows])):
            return self._read(rows, columns)

    def read_each(
        self, pieces: Sequence[IntArray], columns: Sequence[str]
    ) -> Generator[dict[str, Column], None, None]:
        """Read some columns of several pieces; of a store, a few at once, and a few ahead."""
        most = max(map(len, pieces), default=0)
        nbytes = most * self.row_nbytes(columns) if columns else 0.0
        read = self._listing.each(lambda rows: self._read(rows, columns), pieces, nbytes)
        with self._listing.checking(partial(self._files_of, pieces)), closing(read):
            yield from read

    def _files_of(self, pieces: Sequence[IntArray]) -> list[Manifest]:
        """List the files that rows are in."""
        blocks = [np.searchsorted(self.blocks, rows, side="right") - 1 for rows in pieces]
        numbers = np.unique(self._block_file[np.concatenate(blocks)]) if blocks else ()
        return [self._manifests[number] for number in numbers]

    def _read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Read rows; whether the files changed is checked by who calls."""
        stored = [name for name in columns if name not in self._partitions]
        read = arrow.join(self._pieces(rows, stored), {n: self._read_types[n] for n in stored})
        if len(stored) == len(columns):
            return read
        files = self._block_file[np.searchsorted(self.blocks, rows, side="right") - 1]
        folders = {n: self._partitions.take(n, files) for n in columns if n not in read}
        return {name: read[name] if name in read else folders[name] for name in columns}

    def _pieces(self, rows: IntArray, columns: Sequence[str]) -> list[Any]:
        """Read tables of ascending rows; of a store, several row groups at once."""
        runs = list(arrow.runs(rows, self.blocks)) if columns else []
        group = self.n_rows / max(1, len(self.blocks) - 1)
        nbytes = self.row_nbytes(columns) * group if columns else 0.0
        picked = self._listing.each(lambda run: list(self._pick(*run, columns)), runs, nbytes)
        with closing(picked):
            return [piece for of_block in picked for piece in of_block]

    def _pick(self, block: int, local: IntArray, columns: Sequence[str]) -> Iterator[Any]:
        """Yield tables of some rows of a row group; a large one is neither held nor read whole."""
        n_rows = int(self.blocks[block + 1] - self.blocks[block])
        nbytes = n_rows * self.row_nbytes(columns)
        at_the_head = int(local[-1]) < n_rows // _HEAD and nbytes > _HEAD_GROUP
        in_batches = at_the_head or any(name in self._longest for name in columns)
        if nbytes <= _LARGE_GROUP and not in_batches:
            table = self._read_block(block, columns)
            yield self._typed(arrow.pick(table, local), block, self._read_types)
            return
        start, most = 0, int(local[-1]) + 1 if at_the_head else _BATCH_ROWS
        for batch in self._batches(block, columns, most):
            stop = start + batch.num_rows
            inside = local[np.searchsorted(local, start) : np.searchsorted(local, stop)]
            if len(inside):
                table = arrow.pick(pa.Table.from_batches([batch]), inside - start)
                yield self._typed(table, block, self._read_types)
            if stop > local[-1]:
                return
            start = stop

    def _read_block(self, block: int, columns: Sequence[str]) -> Any:
        """Read one row group."""
        with self._watched(block) as (manifest, group), self._handles.borrow(manifest) as handle:
            # One thread: a training step runs beside it.
            table = handle.read_row_group(group, list(columns), use_threads=False)
            self._check_rows(block, table.num_rows)
        self.blocks_read += 1
        self._count(table)
        return table

    def _typed(self, table: Any, block: int, types: dict[str, Any]) -> Any:
        """Give text and what is nested their types, unless that would take gigabytes."""
        manifest = self._manifests[self._block_file[block]]
        for i, name in enumerate(table.column_names):
            if name in self._converted:
                where = f"column {name!r} of {manifest.path}"
                column = arrow.converted(table.column(i), types[name], manifest.size, where)
                table = table.set_column(i, name, column)
        return table

    @contextmanager
    def _watched(self, block: int) -> Iterator[tuple[Manifest, int]]:
        """Give file and number of a row group; errors of the block name them.

        Looked at after a read, a file that changed before or during it is noticed; objects of a
        store are looked at once while several are read.
        """
        number = self._block_file[block]
        group, manifest = int(self._block_group[block]), self._manifests[number]
        file = manifest.path

        def tell(error: Exception) -> BadRowsError:
            text = f"row group {group} of {file} cannot be read: {error} The file is damaged"
            rows = range(int(self.blocks[block]), int(self.blocks[block + 1]))
            return BadRowsError(f"{text}: write it again.", rows)

        with explained(file, (pa.ArrowException, OSError, ValueError), tell, manifest.check):
            yield manifest, group
        manifest.glance()

    def _check_rows(self, block: int, n_rows: int) -> None:
        """Raise ValueError if a row group has not the rows that the footer promises."""
        wanted = int(self.blocks[block + 1] - self.blocks[block])
        if n_rows != wanted:
            raise ValueError(f"it has {n_rows} rows, and {wanted} according to the footer.")

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
        pyarrow.Table
            The next rows.
        """
        stored = [name for name in columns if name not in self._partitions]
        start = 0
        for block in range(len(self.blocks) - 1):
            for piece in self._batches(block, stored) if stored else self._nothing(block):
                table = self._with_lists(pa.Table.from_batches([piece]), start)
                table = self._typed(table, block, self._types)
                start += piece.num_rows
                files = np.full(piece.num_rows, self._block_file[block])
                for name in columns:
                    if name not in stored:
                        table = table.append_column(name, self._partitions.take(name, files))
                yield table.select(list(columns))
        self._listing.check_read(self.manifests)

    def _with_lists(self, table: Any, start: int) -> Any:
        """Convert lists of one length; `start` is the number of the first row."""
        for i, name in enumerate(table.column_names):
            if name in self._lists:
                length = self._types[name].list_size
                column = of_one_length(
                    table.column(i), length, name, lambda row: self.row_name(start + row)
                )
                table = table.set_column(i, name, column)
        return table

    def _nothing(self, block: int) -> Iterator[Any]:
        """Yield the rows of a block without columns."""
        n_rows = int(self.blocks[block + 1] - self.blocks[block])
        for start in range(0, n_rows, _BATCH_ROWS):
            empty = pa.nulls(min(_BATCH_ROWS, n_rows - start))
            yield pa.RecordBatch.from_arrays([empty], names=[""])

    def _batches(
        self, block: int, columns: Sequence[str], most: int | None = None
    ) -> Iterator[Any]:
        """Yield record batches of one row group, of at most so many rows."""
        self.blocks_read += 1
        n_rows, most = 0, min(most or _BATCH_ROWS, self._batch_rows(columns))
        # A handle of its own: a half-read one must not meet another reader.
        of_its_own = partial(open_file, dictionaries=self._dictionaries, buffer_size=1 << 20)
        with self._watched(block) as (manifest, group), of_its_own(manifest) as handle:
            batches = handle.iter_batches(most, [group], list(columns), use_threads=False)
            for batch in batches:
                manifest.glance()
                n_rows += batch.num_rows
                self._count(batch)
                yield batch
            self._check_rows(block, n_rows)

    def _batch_rows(self, columns: Sequence[str]) -> int:
        """Choose how many rows to decode at once, whatever their text may be."""
        rows = min(_BATCH_ROWS, max(1, int(_BATCH_NBYTES / max(1.0, self.row_nbytes(columns)))))
        longest = max((self._longest.get(name, 0) for name in columns), default=0)
        return min(rows, max(_LEAST_ROWS, _LONG_TEXTS // longest)) if longest else rows

    def row_nbytes(self, columns: Sequence[str] | None = None) -> float:
        """Estimate the bytes of a row in memory (of text: in the widest row group)."""
        return float(sum(self._widths[name] for name in (columns or self.schema)))

    def manifests(self) -> list[Manifest]:
        """Return what the files that have rows looked like when they were scanned."""
        return [self._manifests[i] for i in np.unique(self._block_file)]

    def part(self, blocks: IntArray) -> Part | None:
        """Return the files of some blocks, if they hold less than half of all rows."""
        kept, sizes = np.isin(self._block_file, self._block_file[blocks]), np.diff(self.blocks)
        if 2 * sizes[kept].sum() >= self.n_rows:
            return None
        made = copy.copy(self)
        made._block_file, made._block_group = self._block_file[kept], self._block_group[kept]
        made.blocks = np.cumsum([0, *sizes[kept]], dtype=np.int64)
        made.n_rows = int(made.blocks[-1])
        made._start()
        edges = np.flatnonzero(np.diff([0, *kept, 0]))
        return Part(made, self.blocks[edges[::2]], self.blocks[edges[1::2]])

    def row_name(self, row: int) -> str:
        """Say in which file a row is."""
        block = int(np.searchsorted(self.blocks, row, side="right")) - 1
        file = self._block_file[block]
        first = int(self.blocks[int(np.searchsorted(self._block_file, file))])
        return f"row {row - first} of {self.files[file]}"

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if files are not the ones scanned, or one was added."""
        self._listing.check(self._manifests)
