"""What a function of frames returned: columns, or the array or dict that rows are."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from sklearnish.data._arrow.columns import cast, common, plain, to_coded, to_field, unsliced
from sklearnish.data._arrow.frames import as_arrow, holds_objects
from sklearnish.data._source import Column, Field
from sklearnish.data._sources.arrays import as_rows
from sklearnish.data._sources.frames import FrameSource, is_frame
from sklearnish.data._tensors.convert import as_numpy, as_tensor
from sklearnish.data._views.columns import kind_of


class Made(NamedTuple):
    """What a function of frames returned: columns, or the array or dict that rows are, "X"."""

    columns: dict[str, Column]
    schema: dict[str, Field]
    named: bool


def made_of(result: Any, n_rows: int) -> Made:
    """Take what a function returned apart.

    Raises
    ------
    ValueError
        If it has another number of rows, or they are in another order.
    """
    if nw.dependencies.is_into_series(result):
        result = nw.from_native(result, series_only=True).to_frame().to_native()
    if is_frame(result):
        source = FrameSource(result)
        made = Made(source.columns, dict(source.schema), True)
        _check_rows(source.n_rows, n_rows)
        _check_order(result, n_rows)
        return made
    if isinstance(result, Mapping):
        X: Column = {key: as_tensor(_array(value)) for key, value in result.items()}
        for value in X.values():
            _check_rows(len(value), n_rows)
        parts = (f"{k!r} {tuple(v.shape[1:])} {v.dtype}" for k, v in X.items())
        return Made({"X": X}, {"X": Field(f"dict of {', '.join(parts)}", "other")}, False)
    X = _array(result)
    _check_rows(len(X), n_rows)
    X = X.reshape(-1, 1) if X.ndim == 1 else X
    dtype = str(X.dtype).removeprefix("torch.")
    return Made({"X": X}, {"X": Field(dtype, "number", tuple(X.shape[1:]))}, False)


def some_rows(column: Column, rows: slice) -> Column:
    """Take some rows of a column."""
    if isinstance(column, dict):
        return {key: value[rows] for key, value in column.items()}
    return (unsliced(column) if isinstance(column, pa.ChunkedArray) else column)[rows]


def _array(values: Any) -> Any:
    """Make a dense array or tensor of numbers."""
    rows = as_rows(values)
    return rows if isinstance(rows, torch.Tensor) else as_numpy(rows)


def _check_rows(n: int, wanted: int) -> None:
    """Refuse more or fewer rows than the function was given."""
    if n != wanted:
        raise ValueError(
            f"map_frames: the function must return as many rows as it was given ({wanted}), got "
            f"{n}. To leave out rows, pick others: ds[ds.column('age') >= 18]."
        )


def _check_order(frame: Any, n_rows: int) -> None:
    """Refuse rows of pandas whose index shows that they were put into another order."""
    if not nw.dependencies.is_pandas_dataframe(frame) or frame.index.name is not None:
        return
    places = frame.index.to_numpy()
    if places.dtype.kind != "i" or (np.diff(places) >= 0).all():
        return
    if np.array_equal(np.sort(places), np.arange(n_rows)):
        raise ValueError(
            "map_frames: the function returned the rows in another order, as sort_values does. "
            "Labels would no longer be those of their rows: keep the order."
        )


def agree(one: Field, other: Field) -> bool:
    """Say whether two columns may be put end to end."""
    return _type(one) == _type(other)


def _type(field: Field) -> tuple[str, tuple[int, ...], str]:
    """Say what is the same in all chunks: the kind, of times the zone, of objects the type."""
    kind = "text" if field.kind == "text" else kind_of(field)
    exact = field.kind == "other" and kind != "duration"
    return kind, field.shape, field.dtype if exact else field.dtype.partition("tz=")[2]


def all_missing(column: Column) -> bool:
    """Tell a column without a value, whose type nobody can know."""
    if isinstance(column, np.ndarray):
        return column.dtype.kind == "f" and bool(np.isnan(column).all())
    return isinstance(column, pa.ChunkedArray) and column.null_count == len(column)


def missing(n_rows: int, like: Column) -> Column:
    """Make a column without a value of the type of another."""
    if isinstance(like, np.ndarray) and like.ndim > 1:
        return np.full((n_rows, *like.shape[1:]), np.nan)
    return pa.chunked_array([pa.nulls(n_rows, as_arrow(like).type)])


def spell(field: Field) -> str:
    """Name a type, and the shape of a row if it is no single value."""
    return f"{field.dtype} {field.shape}" if field.shape else field.dtype


def joined(parts: Sequence[Column]) -> Column:
    """Put the results for chunks end to end."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, dict):
        return {key: torch.cat([part[key] for part in parts]) for key in first}
    if isinstance(first, torch.Tensor):
        return torch.cat(list(parts))
    if isinstance(first, np.ndarray) and first.ndim > 1:
        return np.concatenate(parts)
    arrays = [as_arrow(part) for part in parts]  # of numbers without a copy
    if len({array.type for array in arrays}) > 1:
        if all(to_field(array.type).kind == "number" for array in arrays):
            return np.concatenate([as_numpy(array) for array in arrays])
        arrays = [to_coded(array) for array in arrays]
    tables = [pa.table([array], [""]) for array in arrays]
    return pa.concat_tables(tables, promote_options="permissive").column(0)


def equal(one: Column, other: Column, field: Field) -> bool:
    """Say whether values are the same, but for rounding."""
    if isinstance(one, dict):
        return all(equal(one[key], other[key], Field("", "number")) for key in one)
    if field.kind == "number":
        return _close(as_numpy(one).astype(np.float64), as_numpy(other).astype(np.float64))
    if any(isinstance(c, np.ndarray) and holds_objects(c) for c in (one, other)):
        return _written(one) == _written(other)
    arrays = [cast(array, plain(array.type)) for array in (as_arrow(one), as_arrow(other))]
    dtype = common(*(array.type for array in arrays))
    if dtype is None:
        return False
    a, b = (pa.table([array.cast(dtype)], [""]).column(0) for array in arrays)
    return bool(a.equals(b)) or (pa.types.is_nested(dtype) and _written(a) == _written(b))


def _close(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> bool:
    """Compare numbers; what is small is compared with the largest."""
    largest = np.abs(a, where=np.isfinite(a), out=np.zeros_like(a)).max(initial=0)
    return np.allclose(a, b, rtol=1e-4, atol=1e-5 * largest, equal_nan=True)


def _written(column: Column) -> list[str]:
    """Write values out, so that NaN is equal to NaN inside of lists and objects too."""
    values = column.to_pylist() if isinstance(column, pa.ChunkedArray) else column.tolist()
    return [repr(value) for value in values]
