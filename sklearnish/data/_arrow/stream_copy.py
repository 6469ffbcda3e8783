"""Streams of record batches, copied once into the cache folder and found there by a key."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.data._arrow import columns as arrow
from sklearnish.data._arrow.conversion import Conversion, cache_folder
from sklearnish.data._arrow.table_file import CacheSource, write_cache
from sklearnish.data._system.bar import with_own_lock


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

    Raises
    ------
    OSError
        There is too little room on the disk.
    """

    def __init__(
        self,
        name: str,
        label: str,
        key: list[Any],
        open_stream: Callable[[], tuple[Any, Iterable[Any]]],
        copy_of: Sequence[str] = (),
    ) -> None:
        super_init = super().__init__

        def make(path: Path) -> None:
            _write(path, name, open_stream, copy_of)

        plan = Conversion(cache_folder(), label=label, request=key, manifests=())
        plan.open_or_make(lambda path: super_init(path, name), make)

    def identity(self) -> tuple[type, dict[str, Any]]:
        """Return the name of the copy, which the key made: it may be deleted and made again."""
        return type(self), {"copy": Path(self.path).name}


class _OtherLengthError(ValueError):
    """Lists that were of one length at the beginning are not."""


def _write(
    path: Path,
    name: str,
    open_stream: Callable[[], tuple[Any, Iterable[Any]]],
    copy_of: Sequence[str],
) -> None:
    """Write all rows; lists of one length become features, unless a later one is longer."""
    for of_one_length in (True, False):
        schema, batches = open_stream()
        arrow.check_names(schema.names, name)
        types = {field.name: field.type for field in schema}
        pieces = _shown(batches, name)
        first = next(pieces, None)
        if first is not None and of_one_length:
            types = {n: _list_type(first.column(n), dtype) for n, dtype in types.items()}
        try:
            return write_cache(path, _checked(first, pieces, types), types, copy_of=copy_of)
        except _OtherLengthError:
            continue


def _list_type(column: Any, dtype: Any) -> Any:
    """Give lists of numbers the length that those of the first rows have, if it is one."""
    if arrow.list_width(dtype) is None:
        return dtype
    lengths = pc.min_max(pc.list_value_length(column)).as_py()
    one = lengths["min"] and lengths["min"] == lengths["max"]
    return pa.list_(dtype.value_type, lengths["max"]) if one else dtype


def _checked(first: Any, pieces: Iterator[Any], types: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the pieces; raise for a list of another length than the first."""
    lists = {n: t.list_size for n, t in types.items() if pa.types.is_fixed_size_list(t)}
    while first is not None:
        for name, length in lists.items():
            column = first.column(name)
            if pa.types.is_fixed_size_list(column.type):
                continue
            if not pc.all(pc.equal(pc.list_value_length(column), length), min_count=0).as_py():
                raise _OtherLengthError(name)
        yield first
        first = next(pieces, None)


def _shown(batches: Iterable[Any], name: str) -> Iterator[Any]:
    """Yield the batches that have rows, under a progress bar if it takes long."""
    from tqdm import tqdm

    bar = with_own_lock(tqdm)(
        unit=" rows", unit_scale=True, desc=f"copying {name}", delay=2, disable=None
    )
    with bar:
        for batch in batches:
            if batch.num_rows:
                yield batch
                bar.update(batch.num_rows)
