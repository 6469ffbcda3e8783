"""Streams of record batches, copied once into the cache folder and found there by a key."""

import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.data._arrow import columns as arrow
from sklearnish.data._arrow.table_file import CacheSource, TemporaryCopy, check_rows, write_cache
from sklearnish.data._files.conversion import Conversion, cache_folder, make_cache_folder
from sklearnish.data._source import Source
from sklearnish.data._system.bar import with_own_lock

Stream = tuple[Any, Iterable[Any]]
"""An Arrow schema, and record batches or tables of it."""

_VALUES, _ROWS = 2**20, (2048, 65_536)
"""Values of a batch where that may be chosen, and rows between which it must lie."""


def batch_rows(n_columns: int) -> int:
    """Choose how many rows of a stream to ask for at a time: some are on their way at once."""
    return min(max(_VALUES // max(1, n_columns), _ROWS[0]), _ROWS[1])


class StreamCopy(CacheSource):
    """Rows that came as a stream, read from their copy in the cache folder.

    Parameters
    ----------
    name : str
        What errors call the table.
    label : str
        A readable beginning of the copy's name.
    key : list
        What tells these rows from all others, as JSON can hold it: the copy is found by it.
    open_stream : callable
        Gives the Arrow schema, and an iterable of the record batches; called if there is no copy.
    copy_of : sequence of str, default=()
        Files that the rows come from: who may not read one of them may not read the copy, and
        nobody else may if it is not known which.
    version : str, default=""
        What tells these rows from others of the same key, of which there is one copy at a time.
    refresh : bool, default=False
        Whether to make the copy again.

    Raises
    ------
    ValueError
        There are no rows, or two columns of one name.
    OSError
        There is too little room on the disk.
    """

    def __init__(
        self,
        name: str,
        label: str,
        key: list[Any],
        open_stream: Callable[[], Stream],
        copy_of: Sequence[str] = (),
        *,
        version: str = "",
        refresh: bool = False,
    ) -> None:
        super_init = super().__init__

        def make(path: Path) -> None:
            _copy(name, open_stream, lambda *what: write_cache(path, *what, copy_of=copy_of))

        plan = Conversion(cache_folder(), label, key, manifests=(), version=version)
        plan.open_or_make(lambda path: super_init(path, name), make, again=refresh)

    def identity(self) -> tuple[type, dict[str, Any]]:
        """Return the name of the copy, which the key made: it may be deleted and made again."""
        return type(self), {"copy": Path(self.path).name}


class _NamedCopy(StreamCopy):
    """Rows that a user gave a name: made again, the copy may have others."""

    def identity(self) -> tuple[type, dict[str, Any]]:
        """Return what tells this copy from one that was made before or later."""
        return Source.identity(self)


def copy_once(
    title: str,
    kind: str,
    open_stream: Callable[[], Stream],
    *,
    name: str | None,
    version: str,
    refresh: bool,
) -> CacheSource:
    """Copy a stream that can be read once, or find the copy of that name.

    Parameters
    ----------
    title : str
        What errors call the rows.
    kind : str
        What gives the stream: copies of one name differ by it.
    open_stream : callable
        Begins to read, if there is no copy.
    name : str or None
        Under which the copy is kept; None for one that goes with the process, since nothing tells
        it from others.
    version : str
        What else tells the rows from those of an earlier copy of that name.
    refresh : bool
        Whether to make it again.

    Returns
    -------
    CacheSource
        The rows.
    """
    with ExitStack() as opened:
        stream = _twice(open_stream, opened)
        if name is None:
            return TemporaryCopy(title, kind, lambda write: _copy(title, stream, write))
        key = [kind, name]
        return _NamedCopy(title, name, key, stream, [""], version=version, refresh=refresh)


def picked(stream: Stream, asked: Collection[str] | None, title: str) -> Stream:
    """Take the columns of a stream that are asked for.

    Raises
    ------
    ValueError
        There is no such column, or two columns have one name.
    """
    schema, batches = stream
    arrow.check_names(schema.names, title)
    names = arrow.chosen(schema.names, asked, title)
    some = pa.schema([schema.field(name) for name in names])
    return some, (batch.select(names) for batch in batches)


class Spill:
    """Tables on disk, to be read again; the file has no name and is gone when it is closed.

    Several may read them at the same time: what reads ahead may not be done when others begin.
    """

    def __init__(self, opened: ExitStack) -> None:
        make_cache_folder(cache_folder())
        file = tempfile.TemporaryFile(dir=cache_folder())  # noqa: SIM115 - `opened` closes it
        self._file, self._lock = opened.enter_context(file), Lock()
        self._places: list[tuple[int, int, int]] = []  # first byte, bytes and rows of a table

    def add(self, table: Any) -> None:
        """Write a table, whatever its types are."""
        with self._lock:
            start = self._file.seek(0, os.SEEK_END)
            with pa.ipc.new_stream(self._file, table.schema) as writer:
                writer.write(table)
            self._places.append((start, self._file.tell() - start, table.num_rows))

    def __iter__(self) -> Iterator[Any]:
        """Yield the tables."""
        return map(self._read, self._places)

    def _read(self, place: tuple[int, int, int]) -> Any:
        """Read a table, all of its rows."""
        start, n_bytes, n_rows = place
        with self._lock:
            self._file.seek(start)
            stored = self._file.read(n_bytes)
        with pa.ipc.open_stream(stored) as reader:
            table = reader.read_all()
        check_rows(n_rows, table.num_rows)
        return table


def _twice(open_stream: Callable[[], Stream], opened: ExitStack) -> Callable[[], Stream]:
    """Make a stream that comes once one that can be asked for again, where lists need it.

    Whether they are of one length is known at their end.
    """
    kept: list[tuple[Any, Spill]] = []

    def again() -> Stream:
        if not kept:
            schema, batches = open_stream()
            if all(arrow.list_width(field.type) is None for field in schema):
                return schema, batches
            kept.append((schema, Spill(opened)))
            for batch in batches:
                kept[0][1].add(batch)
        return kept[0]

    return again


class _OtherLengthError(ValueError):
    """Lists that were of one length at the beginning are not."""


def _copy(
    name: str, open_stream: Callable[[], Stream], write: Callable[[Iterable[Any], Any], None]
) -> None:
    """Write all rows; lists of one length become features, unless a later one is longer."""
    ragged: set[str] = set()
    while True:
        schema, batches = open_stream()
        arrow.check_names(schema.names, name)
        types = {field.name: field.type for field in schema}
        pieces = with_bar(batches, f"copying {name}")
        first = next(pieces, None)
        if first is None:
            raise ValueError(f"{name} has 0 rows; at least one is needed.")
        for column in types.keys() - ragged:
            types[column] = _list_type(first.column(column), types[column])
        try:
            return write(_checked(first, pieces, types, name), types)
        except _OtherLengthError as error:
            ragged.add(str(error))


def _list_type(column: Any, dtype: Any) -> Any:
    """Give lists of numbers the length that those of the first rows have, if it is one."""
    if arrow.list_width(dtype) is None:
        return dtype
    lengths = pc.min_max(pc.list_value_length(column)).as_py()
    one = lengths["min"] and lengths["min"] == lengths["max"]
    return pa.list_(dtype.value_type, lengths["max"]) if one else dtype


def _checked(
    first: Any, pieces: Iterator[Any], types: Mapping[str, Any], name: str
) -> Iterator[Any]:
    """Yield the pieces; raise for a list of another length than the first, and for nonsense."""
    lists = {n: t.list_size for n, t in types.items() if pa.types.is_fixed_size_list(t)}
    while first is not None:
        try:
            first.validate(full=True)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{name} gives values that are not valid Arrow: {error}") from error
        for listed, length in lists.items():
            column = first.column(listed)
            if pa.types.is_fixed_size_list(column.type):
                continue
            if not pc.all(pc.equal(pc.list_value_length(column), length), min_count=0).as_py():
                raise _OtherLengthError(listed)
        yield first
        first = next(pieces, None)


def with_bar(batches: Iterable[Any], text: str) -> Iterator[Any]:
    """Yield the batches that have rows, under a progress bar if it takes long."""
    from tqdm import tqdm

    bar = with_own_lock(tqdm)(unit=" rows", unit_scale=True, desc=text, delay=2, disable=None)
    with bar:
        for batch in batches:
            if batch.num_rows:
                yield batch
                bar.update(batch.num_rows)
