"""ds.to_parquet: the rows of a view, in its order, in one Parquet file that is good to train on."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sklearnish.data._arrow import columns as arrow
from sklearnish.data._arrow.frames import NameRow, as_arrow
from sklearnish.data._arrow.rearranged import rearranged
from sklearnish.data._arrow.table_file import equal_batches
from sklearnish.data._files.atomic import atomic_path
from sklearnish.data._order.samplers import Order, storage_order
from sklearnish.data._shown import shown
from sklearnish.data._source import Column, IntArray, Source
from sklearnish.data._sources.parquet.source import ParquetSource
from sklearnish.data._system.threads import ahead
from sklearnish.data._views import row_numbers
from sklearnish.data._views.gather import read_columns
from sklearnish.data._views.inputs import Inputs
from sklearnish.data._views.labels import Labels
from sklearnish.data._views.view import View
from sklearnish.data._whole import is_whole

V = TypeVar("V", bound=View)

_GROUP_NBYTES, _LEAST_ROWS = 2**22, 256
"""Bytes of a row group: a window of a shuffle, 32 MB by default, mixes several of them."""

_READ_ROWS = 65_536
"""Rows that are read at a time, or a block of the source, if that has more."""


def write_parquet(
    view: V,
    path: str | os.PathLike[str],
    *,
    shuffle: bool,
    seed: int,
    rows_per_group: int | Literal["auto"],
    compression: str,
) -> V:
    """Write a view to a new Parquet file.

    Parameters
    ----------
    view : View
        A table.
    path : path-like
        The file; one that exists is replaced.
    shuffle : bool
        Whether to write the rows in an order that is exactly random.
    seed : int
        Seed of that order.
    rows_per_group : int or "auto"
        Rows of a row group.
    compression : str
        As pyarrow names it.

    Returns
    -------
    View
        The rows in the file, of the class of `view`.

    Raises
    ------
    ValueError
        If the rows are not a table, or the view reads the file at `path`.
    IsADirectoryError
        If `path` is a folder.
    OSError
        If the disk is full.
    """
    path = _checked(path, getattr(view.source, "files", ()))
    _check_options(rows_per_group, compression)
    roles = _roles(view)
    if shuffle:
        view = view[np.random.default_rng(seed).permutation(len(view))]
    order = storage_order(view)
    with atomic_path(path) as part:
        tables = _of_one_schema(ahead(_tables(view if order is None else view[order], roles)))
        if order is not None:
            tables = rearranged(tables, order, path)
        _write(part, tables, rows_per_group, compression)
        view.source.check_unchanged()
    return _opened(path, view, roles)


def _opened(path: Path, like: V, roles: "_Roles") -> V:
    """Open the file as a view of the class of another, with the same roles of columns."""
    source = ParquetSource(path)
    return replace(
        like,
        source=source,
        _rows=range(source.n_rows),
        _inputs=Inputs(roles.features, asked=like._inputs.asked),
        _target=Labels(roles.target),
        _weight=Labels(roles.weight),
    )


def _checked(path: str | os.PathLike[str], read: Iterable[str]) -> Path:
    """Refuse a folder, and a file that the view reads."""
    path = Path(path).absolute()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Pass the name of a file in it.")
    if path.exists() and any(Path(file).exists() and path.samefile(file) for file in read):
        raise ValueError(f"{path} is one of the files that the rows are read from. Pass another.")
    return path


def _check_options(rows_per_group: Any, compression: Any) -> None:
    """Refuse what no row group can have, and what pyarrow cannot compress by."""
    if rows_per_group != "auto" and not is_whole(rows_per_group, 1):
        raise ValueError(
            f'rows_per_group must be "auto" or an integer of at least 1, got {rows_per_group!r}.'
        )
    try:
        known = compression == "none" or pa.Codec.is_available(compression)
    except (ValueError, AttributeError, TypeError):
        known = False
    if not known:
        raise ValueError(
            'compression must be "zstd", "snappy", "lz4", "gzip", "brotli" or "none", got '
            f"{shown(compression)}."
        )


class _Roles(NamedTuple):
    """Names of the columns of the file."""

    features: tuple[str, ...]
    target: tuple[str, ...]
    weight: tuple[str, ...]


def _roles(view: View) -> _Roles:
    """Name the columns of the file.

    Raises
    ------
    ValueError
        If the rows are no table, or two columns would have one name.
    """
    _check_table(view)
    features = tuple(view._inputs.columns(view.source))
    target = _names(view, view._target, "target")
    weight = _names(view, view._weight, "weight")
    taken = {*features, *(n for n in (*target, *weight) if n in view.source.schema)}
    for name in (*target, *weight):
        if name in taken and name not in (*view._target.names, *view._weight.names):
            raise ValueError(
                f"{view.source.name} has a column {name!r}, the name that labels or weights in "
                "memory get in the file. Rename the column."
            )
    return _Roles(features, target, weight)


def _check_table(view: View) -> None:
    """Refuse rows that are no rows of a table."""
    if view.transforms:
        raise ValueError(
            "Functions of tensors (map, map_batches) make no columns. Write their results with "
            "ds.cache(path), or use map_frames, whose results are columns."
        )
    names, field = view._inputs.names, view.source.schema.get("X")
    if names is None and (field is None or field.kind != "number" or len(field.shape) != 1):
        raise ValueError(
            f"The rows of {view.source.name} are not a table. Write them with ds.cache(path)."
        )
    if 0 in (len(view), *view.row_shape):
        raise ValueError(f"The view of {view.source.name} has no rows, or no columns.")


def _names(view: View, labels: Labels, name: str) -> tuple[str, ...]:
    """Name columns of labels: as they are stored, else "target" or "target0", "target1"..."""
    if labels.names and view.source.tabular:
        return labels.names
    values = labels.of(view.source, view._rows)
    if values is None:
        return ()
    return (name,) if values.ndim == 1 else tuple(f"{name}{i}" for i in range(values.shape[1]))


def _tables(view: View, roles: _Roles) -> Iterator[pa.Table]:
    """Read a view in its order, in which its rows are cheap to read."""
    inputs = view._inputs
    held: dict[str, npt.NDArray[Any]] = {}
    for labels, names in ((view._target, roles.target), (view._weight, roles.weight)):
        if inputs.names is not None and labels.names:
            inputs = replace(inputs, names=tuple(dict.fromkeys((*inputs.names, *names))))
            continue
        values = labels.of(view.source, view._rows)
        if values is not None:
            held |= dict(zip(names, values.reshape(len(view), -1).T, strict=True))
    for positions in _stretches(view):
        rows = row_numbers.take(view._rows, positions)
        for piece, columns in read_columns(view.source, inputs, rows, _READ_ROWS):
            columns |= {name: values[positions[piece]] for name, values in held.items()}
            name_row = partial(_name_row, view.source, rows[piece])
            yield pa.table({n: _exact(view.source, n, c, name_row) for n, c in columns.items()})


def _stretches(view: View) -> Iterator[IntArray]:
    """Cut positions where blocks end; a block is read once."""
    blocks = view.source.blocks
    most = _READ_ROWS if blocks is None else max(_READ_ROWS, int(np.diff(blocks).max()))
    return (fetch.positions for fetch in Order(view, "sequential", 0, most).epoch(0))


def _name_row(source: Source, rows: IntArray, i: int) -> str:
    """Name a row for errors."""
    return source.row_name(int(rows[i]))


def _exact(source: Source, name: str, column: Column, name_row: NameRow) -> Any:
    """Make an Arrow column of the stored type, in which NaN is NaN and null is null."""
    if not isinstance(column, np.ndarray):
        known = source.stored(name) if name in source.schema else source
        types = known.arrow_types([name]) if hasattr(known, "arrow_types") else {}
        return arrow.unsliced(arrow.as_stored(column, types.get(name)))
    if column.dtype.kind not in "biuf":
        return as_arrow(column, name, name_row)
    array = pa.array(np.ascontiguousarray(column).reshape(-1), from_pandas=False)
    for length in column.shape[:0:-1]:
        array = pa.FixedSizeListArray.from_arrays(array, length)
    return array


def _of_one_schema(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Give all tables the types of the first: functions of frames may return others."""
    schema = None
    for table in tables:
        schema = schema or table.schema
        columns = [_cast(table.column(field.name), field) for field in schema]
        yield pa.table(columns, schema=schema)


def _cast(column: Any, field: Any) -> Any:
    """Convert a column; whole numbers are whole without those that are missing.

    Raises
    ------
    ValueError
        If that would change values.
    """
    if pa.types.is_integer(field.type) and pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    try:
        return arrow.cast(column, field.type)
    except pa.ArrowException as error:
        raise ValueError(
            f"Column {field.name!r} is {field.type} in the first rows, and {column.type} in later "
            f"ones: {error} Give it one type in the function of map_frames, as astype does."
        ) from error


def _write(
    path: Path, tables: Iterator[pa.Table], rows: int | Literal["auto"], compression: str
) -> None:
    """Write row groups of equal length."""
    import pyarrow.parquet as pq

    first = next(tables)
    row_nbytes = max(1, first.nbytes) / first.num_rows
    n_rows = max(_LEAST_ROWS, int(_GROUP_NBYTES / row_nbytes)) if rows == "auto" else rows
    texts = [f.name for f in first.schema if arrow.to_field(f.type).kind == "text"]
    options: dict[str, Any] = {"compression": compression, "use_dictionary": texts}
    with pq.ParquetWriter(path, first.schema, **options) as writer:
        for batch in equal_batches(chain([first], tables), first.schema, n_rows):
            writer.write_batch(batch)
