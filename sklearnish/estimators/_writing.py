"""Answers written to a file as they come: one window of rows is held, not all."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sklearnish.data import Dataset
from sklearnish.data._files import atomic_path
from sklearnish.data._source import Source
from sklearnish.estimators._predicting import Piece

Array = npt.NDArray[Any]
Windows = Iterator[tuple[slice, Array]]

ROW = "row"
"""A column to be carried along that no file needs to have: the number of the row in it."""

_WINDOW = 2**25
"""Bytes of answers and carried columns held at a time."""

_CARRIED = 64
"""Bytes of a carried value, guessed: text has no fixed width."""


def check_path(path: Any, columns: Sequence[str], X: Any, source: Source) -> Path:
    """Refuse what cannot be written, before anything is computed."""
    path = Path(path)
    if path.suffix not in (".parquet", ".npy"):
        raise ValueError(f'path must end with ".parquet" or ".npy", got {str(path)!r}.')
    if columns and path.suffix == ".npy":
        raise ValueError(
            f"A .npy file holds the answers alone, but columns={list(columns)} are to be carried "
            "along; write to a .parquet file."
        )
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it.")
    read = [*getattr(source, "files", ()), *filter(None, [getattr(X, "filename", None)])]
    if path.exists() and any(Path(file).exists() and path.samefile(file) for file in read):
        raise ValueError(f"{path} is being read: it holds rows of X. Give another name.")
    return path


def check_order(path: Any) -> None:
    """Refuse rows in the place of the path."""
    if not isinstance(path, str | PathLike):
        raise TypeError(
            f"path must be the name of a file, got {type(path).__name__}. The file to write comes "
            "first, then the rows: predict_to('answers.parquet', X)."
        )


def check_columns(columns: Any, answers: Sequence[str], source: Source) -> tuple[str, ...]:
    """List the columns to be carried along, all of which exist, each once."""
    wanted = _listed(columns)
    known = [*(source.schema if source.tabular else ()), ROW]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        some = ", ".join(map(repr, known[:20])) + (" ..." if len(known) > 20 else "")
        raise ValueError(f"{source.name} has no column {unknown[0]!r} to carry along, of {some}.")
    for i, name in enumerate(wanted):
        if name in (*wanted[:i], *answers):
            raise ValueError(
                f"The result would have two columns named {name!r}; its answers are "
                f"{', '.join(answers[:20])}. Leave {name!r} out of columns."
            )
    return wanted


def _listed(columns: Any) -> tuple[str, ...]:
    """List the names given; none, one or several."""
    if columns is None or isinstance(columns, str):
        return () if columns is None else (columns,)
    if not isinstance(columns, Iterable):
        raise TypeError(
            f'columns takes a list of names to carry along, such as ["id"], not {columns!r}.'
        )
    return tuple(columns)


def write(
    path: Path,
    dataset: Dataset,
    pieces: Iterable[Piece],
    names: Sequence[str],
    columns: Sequence[str],
    text: np.dtype[Any] | None,
) -> None:
    """Write answers and carried columns in the order of the view; the file appears when whole.

    Python strings are written as `text`, which has a fixed width.
    """
    with atomic_path(path) as temporary:
        if text is not None:
            pieces = ((rows, values.astype(text)) for rows, values in pieces)
        ordered = _in_order(pieces, len(dataset), temporary.parent)
        if path.suffix == ".npy":
            _write_npy(temporary, len(dataset), ordered)
        else:
            windows = _windows(ordered, 8 * len(names) + _CARRIED * len(columns))
            _write_parquet(temporary, windows, names, _carry(dataset.without_target(), columns))


def _in_order(pieces: Iterable[Piece], n_rows: int, folder: Path) -> Iterator[Array]:
    """Yield answers in the order of the view; others go through a scratch file beside it."""
    with ExitStack() as stack:
        scratch: Array | None = None
        for rows, values in pieces:
            if isinstance(rows, slice):
                yield values
                continue
            if scratch is None:
                file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
                scratch = _mapped(file, (n_rows, *values.shape[1:]), values.dtype)
            scratch[rows] = values
        if scratch is not None:
            step = max(1, _WINDOW // max(1, scratch[:1].nbytes))
            for start in range(0, n_rows, step):
                yield scratch[start : start + step]


def _mapped(file: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Map a new file; without its room on the disk, writing to it would kill the process."""
    nbytes = int(np.prod(shape)) * dtype.itemsize
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, nbytes)
    return np.memmap(file, dtype, "r+", shape=shape).view(np.ndarray)


def _windows(ordered: Iterable[Array], row_nbytes: int) -> Windows:
    """Join answers until they are worth a row group; say for which rows of the view."""
    held: list[Array] = []
    start, n = 0, 0
    for values in ordered:
        held.append(values)
        n += len(values)
        if n * row_nbytes >= _WINDOW:
            yield slice(start, start + n), np.concatenate(held)
            held, start, n = [], start + n, 0
    if held:
        yield slice(start, start + n), np.concatenate(held)


def _write_npy(path: Path, n_rows: int, ordered: Iterable[Array]) -> None:
    """Write the header with the first answers, then nothing but numbers."""
    with path.open("wb") as file:
        for values in ordered:
            if not file.tell():
                header = np.lib.format.header_data_from_array_1_0(values)
                header |= {"shape": (n_rows, *values.shape[1:]), "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(values.tobytes())


def _write_parquet(
    path: Path,
    windows: Windows,
    names: Sequence[str],
    carry: Callable[[slice], dict[str, Any]],
) -> None:
    """Write a row group per window."""
    import pyarrow.parquet as pq

    with ExitStack() as stack:
        writer = None
        for rows, values in windows:
            columns = values.reshape(len(values), -1).T
            answers = dict(zip(names, map(_to_arrow, columns), strict=True))
            table = pa.table(carry(rows) | answers)
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table.cast(writer.schema))


def _carry(dataset: Dataset, columns: Sequence[str]) -> Callable[[slice], dict[str, Any]]:
    """Build the function that reads columns of some rows of the view."""
    stored = tuple(name for name in columns if name in dataset.source.schema)

    def read(where: slice) -> dict[str, Any]:
        if not columns:
            return {}
        rows = dataset[where].rows.astype(np.int64, copy=False)
        order = np.argsort(rows, kind="stable")  # sources want them ascending
        values = dataset.source.read(rows[order], stored) if stored else {}
        back = pa.array(np.argsort(order))
        read = {name: _to_arrow(values[name]).take(back) for name in stored}
        return {name: read[name] if name in read else pa.array(rows) for name in columns}

    return read


def _to_arrow(values: Any) -> Any:
    """Make an Arrow column; those of Arrow keep their type."""
    return values if isinstance(values, pa.ChunkedArray) else pa.array(np.ascontiguousarray(values))
