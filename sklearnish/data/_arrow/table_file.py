"""Tables in an Arrow file on disk, in small blocks: any rows are cheap, nothing is decoded.

A format that is slow to read (CSV) or whose blocks are too large or too uniform (huge or
label-sorted Parquet row groups) is written here once and read from here ever after.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sklearnish.data._arrow import columns as arrow
from sklearnish.data._errors import DatasetChangedError, explained, raise_system_error
from sklearnish.data._files.atomic import OwnedFile, atomic_copy, check_free_space
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.conversion import Conversion, cache_folder, make_cache_folder
from sklearnish.data._files.handles import HandlePool
from sklearnish.data._source import Column, IntArray, Source
from sklearnish.data._system.threads import ahead

_BATCH_NBYTES = 256 * 1024
_BATCH_ROWS = (256, 65_536)
_WRITE_NBYTES, _SYNC_NBYTES = 2**20, 2**24  # written, and forced to the disk, at a time


def rows_per_batch(row_nbytes: float) -> int:
    """Choose how many rows make a batch of about 256 KiB."""
    low, high = _BATCH_ROWS
    return int(min(max(_BATCH_NBYTES // max(row_nbytes, 1.0), low), high))


def write_cache(
    path: str | os.PathLike[str],
    batches: Iterable[Any],
    types: Mapping[str, Any],
    *,
    batch_rows: int | None = None,
    copy_of: Sequence[str] = (),
) -> None:
    """Write record batches into an Arrow file of small batches of equal length.

    The file appears whole or not at all; a link of its name is replaced.

    Parameters
    ----------
    path : str or path
        The file.
    batches : iterable of pyarrow.RecordBatch or pyarrow.Table
        The rows, in pieces of any length that have the columns of ``types``.
    types : mapping of str to pyarrow.DataType
        Names and types to write; values are cast to them, dictionaries to their values.
    batch_rows : int, default=None
        Rows of a batch; None chooses about 256 KiB from the width of the first piece.
    copy_of : sequence of str, default=()
        Files that the rows come from: who may not read one of them may not read the copy.

    Raises
    ------
    OSError
        The disk is full.
    """
    with atomic_copy(path, copy_of) as temporary:
        _write_table(temporary, batches, types, batch_rows)


def _write_table(
    path: Path, batches: Iterable[Any], types: Mapping[str, Any], batch_rows: int | None
) -> None:
    """Write rows, the next of which are made meanwhile, into a file that is there."""
    schema = pa.schema([(name, arrow.plain(dtype)) for name, dtype in types.items()])
    came = 0

    def counted() -> Iterator[Any]:
        nonlocal came
        for batch in batches:
            came += batch.num_rows
            yield batch

    written = _write(path, equal_batches(ahead(counted()), schema, batch_rows), schema)
    check_rows(came, written)


def check_rows(came: int, kept: int) -> None:
    """Raise if a copy has other rows than what it was made of: none may be lost in silence."""
    if came != kept:
        raise RuntimeError(
            f"{came:,} rows came to be copied, but the copy has {kept:,}. This is a fault of "
            "sklearnish: report it, please."
        )


def _write(path: Path, batches: Iterable[Any], schema: Any) -> int:
    """Write batches and count their rows; the disk is busy early, so that it is soon done."""
    with (
        path.open("rb+") as file,
        ThreadPoolExecutor(1, "sklearnish-fsync") as disk,
        pa.output_stream(str(path), buffer_size=_WRITE_NBYTES) as stream,
        pa.ipc.new_file(stream, schema) as writer,
    ):
        synced, n_bytes, n_rows = None, 0, 0
        for batch in batches:
            writer.write_batch(batch)
            n_rows += batch.num_rows
            n_bytes += batch.nbytes
            if n_bytes >= _SYNC_NBYTES:
                if synced:
                    synced.result()  # a disk that is full says so here, and to one file only
                synced, n_bytes = disk.submit(os.fsync, file.fileno()), 0
        if synced:
            synced.result()
    return n_rows


def equal_batches(pieces: Iterable[Any], schema: Any, n_rows: int | None) -> Iterator[Any]:
    """Cut and join pieces to batches of ``n_rows``; the last may be shorter."""
    held: list[Any] = []
    n_held = 0
    for piece in pieces:
        if not piece.num_rows:
            continue
        table = _as_table(piece, schema)
        n_rows = n_rows or rows_per_batch(table.nbytes / table.num_rows)
        held.append(table)
        n_held += table.num_rows
        if n_held >= n_rows:
            whole = n_held - n_held % n_rows
            table = pa.concat_tables(held)
            yield from _batches(table.slice(0, whole), n_rows)
            held, n_held = [table.slice(whole)], n_held - whole
    if n_held:
        yield from _batches(pa.concat_tables(held), n_held)


def _as_table(piece: Any, schema: Any) -> Any:
    """Make a table of the wanted columns and types."""
    columns = [arrow.cast(piece.column(field.name), field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _batches(table: Any, n_rows: int) -> Iterator[Any]:
    """Cut a table whose length is a multiple of ``n_rows``."""
    for start in range(0, table.num_rows, n_rows):
        yield from table.slice(start, n_rows).combine_chunks().to_batches()


class CacheSource(arrow.ArrowSource):
    """A table in an Arrow file that ``write_cache`` wrote.

    Parameters
    ----------
    path : str or path
        The file.
    name : str, default=None
        What errors call the table; None for the path.
    origin : Source, default=None
        What the file was made from: rows are named as there, and its files are watched too.

    Raises
    ------
    ValueError
        The file is not one that ``write_cache`` wrote.
    """

    _found_again = (*arrow.ArrowSource._found_again, "blocks")

    def __init__(
        self, path: str | os.PathLike[str], name: str | None = None, origin: Source | None = None
    ) -> None:
        self.name = name or (origin.name if origin else os.fspath(path))
        self._origin = origin
        self._manifests = [Manifest.of(path)]
        self.path = self._manifests[0].path
        reader = _open(self.path)
        with _errors_name(self.path):
            self._types: dict[str, Any] = {field.name: field.type for field in reader.schema}
            n_blocks = reader.num_record_batches
            ends = [reader.get_batch(i).num_rows for i in (0, n_blocks - 1) if n_blocks]
            self._batch_rows: int
            self._batch_rows, last = ends or (1, 1)
            if not 0 < last <= self._batch_rows:
                raise ValueError(f"its blocks are of {self._batch_rows} and {last} rows.")
        self.n_rows = self._batch_rows * (n_blocks - 1) + last
        self._row_nbytes = self._manifests[0].size / max(self.n_rows, 1)
        self._start()

    def _start(self) -> None:
        """Begin with no open file and what follows from the pickled state."""
        super()._start()
        n_blocks = -(-self.n_rows // self._batch_rows)
        offsets = np.arange(n_blocks + 1, dtype=np.int64) * self._batch_rows
        self.blocks: IntArray = np.minimum(offsets, self.n_rows)
        self._handles: HandlePool[str, Any] = HandlePool(_open)

    def read(self, rows: IntArray, columns: Sequence[str]) -> dict[str, Column]:
        """Read some columns of ascending rows; whole stretches are not copied."""
        self._check_copy()
        pieces = []
        names = list(dict.fromkeys(columns))
        with self._handles.borrow(self.path) as reader:
            for block, local in arrow.runs(rows, self.blocks):
                batch = self._batch(reader, block, names)
                pieces.append(arrow.pick(batch, local))
                self.blocks_read += 1
                self.rows_read += batch.num_rows
        return arrow.join(pieces, {name: self._types[name] for name in columns})

    def iter_batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Yield record batches of all rows in order."""
        self._check_copy()
        with self._handles.borrow(self.path) as reader:
            for block in range(reader.num_record_batches):
                yield self._batch(reader, block, list(columns))

    def _batch(self, reader: Any, block: int, names: list[str]) -> Any:
        """Read columns of a block; what it says of its own buffers is not believed."""
        with _errors_name(self.path, self._check_copy):
            batch = reader.get_batch(block).select(names)
            batch.validate(full=any(arrow.width(self._types[name]) is None for name in names))
            if batch.num_rows != self.blocks[block + 1] - self.blocks[block]:
                raise ValueError(f"its block {block} has {batch.num_rows} rows.")
        return batch

    def row_nbytes(self, columns: Sequence[str] | None = None) -> float:
        """Estimate the bytes of a row in memory (text counts a mean over all columns)."""
        if columns is None:
            return self._row_nbytes
        widths = [arrow.width(self._types[name]) for name in columns]
        return sum(self._row_nbytes if w is None else w for w in widths)

    def row_name(self, row: int) -> str:
        """Say where a row was before it was cached."""
        return self._origin.row_name(row) if self._origin else super().row_name(row)

    def check_unchanged(self) -> None:
        """Raise DatasetChangedError if the file, or one that it was made from, changed."""
        self._check_copy()
        if self._origin:
            self._origin.check_unchanged()

    def _check_copy(self) -> None:
        """Raise DatasetChangedError if the file is no longer the same."""
        self._manifests[0].check()


class TemporaryCopy(CacheSource):
    """Rows in a file of the cache folder that goes with the last Dataset of them.

    It goes with the process that made it at the latest; until then, others may read it, too.

    Parameters
    ----------
    name : str
        What errors call the table.
    label : str
        A readable beginning of the file's name.
    make : callable
        Is given ``write(batches, types)``, and calls it.
    batch_rows : int, default=None
        Rows of a block; None for about 256 KiB.
    origin : TemporaryCopy, default=None
        What the rows are copied from.
    """

    by_numbers = True
    _found_again = (*CacheSource._found_again, "_file", "_in_blocks")

    def __init__(
        self,
        name: str,
        label: str,
        make: Callable[[Callable[[Iterable[Any], Mapping[str, Any]], None]], None],
        batch_rows: int | None = None,
        origin: "TemporaryCopy | None" = None,
    ) -> None:
        def write(path: Path) -> None:
            make(lambda batches, types: _write_table(path, batches, types, batch_rows))

        folder = cache_folder()
        make_cache_folder(folder)
        file = OwnedFile(folder / label, write)
        super().__init__(file.path, name, origin)

    def _start(self) -> None:
        """Keep the file while this is in use, if it belongs to this process."""
        super()._start()
        self._file = OwnedFile.at(self.path)
        self._in_blocks: dict[Any, TemporaryCopy] = {}

    def in_blocks(self, names: Sequence[str], batch_rows: int | None) -> "TemporaryCopy":
        """Copy columns into other blocks, once; the copy goes with this one."""
        key = (*names, batch_rows)
        if key not in self._in_blocks:
            batches, types = self.iter_batches(names), self.arrow_types(names)
            self._in_blocks[key] = TemporaryCopy(
                self.name, "blocks", lambda write: write(batches, types), batch_rows, origin=self
            )
        return self._in_blocks[key]

    def _check_copy(self) -> None:
        """Raise DatasetChangedError if the file is gone."""
        if not Path(self.path).exists():
            raise DatasetChangedError(
                f"The copy of {self.name} is gone: without name=, it is deleted at the end of the "
                "process that scanned it. Scan again, with a name to keep the copy."
            )
        super()._check_copy()


def _open(path: str) -> Any:
    """Open an Arrow file; errors name it."""
    try:
        # Not mapped: a file that is cut short under a map kills the process.
        file = pa.OSFile(path)
    except FileNotFoundError as error:
        raise DatasetChangedError(f"{path} cannot be opened: {error}") from error
    except OSError as error:
        raise_system_error(error, path)
        raise
    with _errors_name(path):
        # Not with included_fields, under which Arrow copies every column once more.
        return pa.ipc.open_file(file)


def _errors_name(path: str, *check: Callable[[], object]) -> AbstractContextManager[None]:
    """Name the file, in errors of Arrow and of what is checked beside."""

    def tell(error: Exception) -> ValueError:
        text = f"{path} cannot be read as an Arrow file: {error}"
        return ValueError(f"{text} Delete it; it will be made again.")

    return explained(path, (pa.ArrowException, OSError, ValueError), tell, *check)


def rechunk(source: Any, names: Sequence[str], batch_rows: int | None = None) -> CacheSource:
    """Copy columns of a source in files into small blocks on disk, or find the earlier copy.

    The rows keep their order and so their numbers.

    Parameters
    ----------
    source : ParquetSource or CacheSource
        Any source with ``iter_batches``, ``arrow_types``, ``row_nbytes`` and ``manifests``.
    names : sequence of str
        Columns to copy.
    batch_rows : int, default=None
        Rows of a block; None for about 256 KiB.

    Returns
    -------
    CacheSource
        The same rows. It watches the files of ``source`` too.

    Raises
    ------
    OSError
        There is too little room on the disk.
    DatasetChangedError
        The files of ``source`` are not the ones that were scanned.
    """
    if isinstance(source, TemporaryCopy):
        return source.in_blocks(names, batch_rows)
    manifests = source.manifests()
    paths = [manifest.path for manifest in manifests]
    types = source.arrow_types(names)
    plan = Conversion(
        cache_folder(),
        label=Path(paths[0]).stem,
        request=["rechunk", paths, [[name, str(t)] for name, t in types.items()], batch_rows],
        manifests=manifests,
    )

    def make(path: Path) -> None:
        row_nbytes = source.row_nbytes(names)
        check_free_space(path.parent, int(row_nbytes * source.n_rows))
        write_cache(path, source.iter_batches(names), types, batch_rows=batch_rows, copy_of=paths)
        source.check_unchanged()

    return plan.open_or_make(lambda path: CacheSource(path, origin=source), make)
