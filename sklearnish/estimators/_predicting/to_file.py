"""Predictions written to a file as they come: one window of rows is held, not all."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sklearnish.data import Dataset, Source, as_stored, atomic_path, reserve, shown
from sklearnish.estimators._predicting.answers import Piece

Array = npt.NDArray[Any]
Windows = Iterator[tuple[slice, Array]]

ROW = "row"
"""A column to be carried along that no file needs to have: the number of the row in it."""

_WINDOW = 2**25
"""Bytes of predictions and carried columns held at a time."""

_CARRIED = 64
"""Bytes of a carried value, guessed: text has no fixed width."""


def check_path(path: Any, columns: Sequence[str], X: Any, source: Source) -> Path:
    """Refuse what cannot be written, before anything is computed."""
    path = Path(path)
    if path.suffix not in (".parquet", ".npy"):
        raise ValueError(f'path must end with ".parquet" or ".npy", got {str(path)!r}.')
    if columns and path.suffix == ".npy":
        raise ValueError(
            f"A .npy file holds only predictions, so columns={list(columns)} cannot be written. "
            "Write to a .parquet file."
        )
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Pass the name of a file in it.")
    read = [*getattr(source, "files", ()), *filter(None, [getattr(X, "filename", None)])]
    if path.exists() and any(Path(file).exists() and path.samefile(file) for file in read):
        raise ValueError(
            f"{path} is one of the files of X, which are being read. Pass another name."
        )
    return path


def check_order(path: Any, call: str = "predict_to('predictions.parquet', X)") -> None:
    """Refuse rows in the place of the path."""
    if not isinstance(path, str | PathLike):
        raise TypeError(
            f"path must be the name of a file, got {type(path).__name__}. The file to write comes "
            f"before the rows: {call}."
        )


def check_columns(columns: Any, answers: Sequence[str], source: Source) -> tuple[str, ...]:
    """List the columns to be carried along, all of which exist, each once."""
    wanted = _listed(columns)
    known = [*(n for n in source.schema if source.tabular or n not in ("X", "y")), ROW]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        some = ", ".join(map(repr, known[:20])) + (" ..." if len(known) > 20 else "")
        raise ValueError(f"columns: {source.name} has no column {unknown[0]!r}. Available: {some}.")
    for i, name in enumerate(wanted):
        if name in (*wanted[:i], *answers):
            raise ValueError(
                f"The result would have two columns named {name!r}; its predictions are "
                f"{', '.join(answers[:20])}. Remove {name!r} from columns."
            )
    return wanted


def _listed(columns: Any) -> tuple[str, ...]:
    """List the names given; none, one or several."""
    if columns is None or isinstance(columns, str):
        return () if columns is None else (columns,)
    if not isinstance(columns, Iterable):
        raise TypeError(f'columns takes a list of names, such as ["id"], not {shown(columns)}.')
    return tuple(columns)


def text_type(model: Any, method: str) -> np.dtype[Any] | None:
    """Type in which labels that are Python strings are written; None where there are none."""
    classes = getattr(model, "classes_", None)
    if method != "predict" or not isinstance(classes, np.ndarray) or classes.dtype != object:
        return None
    return np.asarray(classes.tolist()).dtype


def write(
    path: Path,
    dataset: Dataset,
    pieces: Iterable[Piece],
    names: Sequence[str],
    columns: Sequence[str],
    text: np.dtype[Any] | None,
) -> None:
    """Write predictions and columns in the order of the view; the file appears when complete.

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
    """Yield predictions in the order of the view; others go through a temporary file next to it."""
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
    file.truncate(int(np.prod(shape)) * dtype.itemsize)
    reserve(file)
    return np.memmap(file, dtype, "r+", shape=shape).view(np.ndarray)


def _windows(ordered: Iterable[Array], row_nbytes: int) -> Windows:
    """Join predictions until they are worth a row group; say for which rows of the view."""
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
    """Write the header with the first predictions, then nothing but numbers."""
    with path.open("wb") as file:
        for values in ordered:
            if not file.tell():
                header = np.lib.format.header_data_from_array_1_0(values)
                header |= {"shape": (n_rows, *values.shape[1:]), "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(values.tobytes())


def _write_parquet(
    path: Path, windows: Windows, names: Sequence[str], carry: Callable[[slice], dict[str, Any]]
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
    source = dataset.source
    stored = tuple(name for name in columns if name in source.schema)
    types = source.arrow_types(stored) if hasattr(source, "arrow_types") else {}

    def read(where: slice) -> dict[str, Any]:
        if not columns:
            return {}
        rows = dataset[where].rows.astype(np.int64, copy=False)
        order = np.argsort(rows, kind="stable")  # sources want them ascending
        values = source.read(rows[order], stored) if stored else {}
        back = pa.array(np.argsort(order))
        read = {name: _to_arrow(values[name], types.get(name)).take(back) for name in stored}
        return {name: read[name] if name in read else pa.array(rows) for name in columns}

    return read


def _to_arrow(values: Any, stored: Any = None) -> Any:
    """Make an Arrow column; those of Arrow keep their type, and text that in which it is stored."""
    if isinstance(values, pa.ChunkedArray):
        return as_stored(values, stored)
    return pa.array(np.ascontiguousarray(values))
