"""Columns to tensors: one row-major matrix of numbers, allocated once and copied once."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from sklearnish.data._arrow.columns import is_text
from sklearnish.data._source import Column, IntArray
from sklearnish.data._tensors.batch import Features
from sklearnish.data._tensors.buffers import empty

_STRIPE = 2048
"""Rows written at a time, so that the lines of the matrix stay in the processor's cache."""

_BLOCK = 2**20
"""Bytes of columns that are laid side by side in the cache before they are turned into rows."""

_TURNED = range(16, 513)
"""Numbers of columns for which that is quicker: where rows are a power of two long, as with 64 or
256 columns, the lines that a column is written to push each other out of the cache."""

_EXACT = {"bool", "int8", "uint8", "int16", "uint16", "float16", "bfloat16", "float32"}
_EXACT |= {"halffloat", "float"}  # as Arrow spells what lists hold
"""Types of columns that float32 holds as they are."""


def as_numpy(column: Column) -> npt.NDArray[Any]:
    """Convert a column to numpy: missing numbers become NaN, missing text None."""
    if isinstance(column, pa.ChunkedArray | pa.Array):
        return np.asarray(_arrow_to_numpy(column))
    if isinstance(column, Tensor):
        return column.numpy(force=True)
    if hasattr(column, "toarray"):
        return np.asarray(column.toarray())
    return np.asarray(column)


def as_tensor(x: Column) -> Tensor:
    """Wrap rows in a tensor; torch cannot compute with unsigned numbers but bytes."""
    if isinstance(x, Tensor):
        return x
    array = as_numpy(x)
    wide = array.dtype.kind == "u" and array.dtype.itemsize > 1
    return from_numpy(array.astype(np.int64) if wide else array)


def to_matrix(
    columns: Sequence[Column], dtype: torch.dtype, empty: Callable[..., Tensor] = empty
) -> Tensor:
    """Join columns of numbers side by side.

    Parameters
    ----------
    columns : sequence of array-like of shape (n,) or (n, k)
        Numbers only; null counts as NaN.
    dtype : torch.dtype
        Floating point type of the matrix.
    empty : callable
        Allocates it, given shape and type.

    Returns
    -------
    Tensor of shape (n, number of columns)
        Row-major.
    """
    pieces = list(_pieces(columns))
    widths = [1 if a.ndim == 1 else a.shape[1] for a in pieces[0]] if pieces else []
    starts = np.cumsum([0, *widths])
    out = empty((sum(len(p[0]) for p in pieces), int(starts[-1])), dtype)
    view, first = out.numpy(), 0
    for arrays in pieces:
        _write(view[first : first + len(arrays[0])], arrays, starts)
        first += len(arrays[0])
    return out


def _pieces(columns: Sequence[Column]) -> Iterator[list[npt.NDArray[Any]]]:
    """Split columns at their common chunk borders, so that no chunk is copied to be joined."""
    layouts = {_chunk_lengths(c) for c in columns}
    if len(layouts) == 1 and (lengths := layouts.pop()):
        for i in range(len(lengths)):
            yield [as_numpy(c.chunk(i)) for c in columns]
    elif columns:
        yield [as_numpy(c) for c in columns]


def _chunk_lengths(column: Column) -> tuple[int, ...]:
    """Lengths of the chunks of an Arrow column; of anything else, none."""
    return tuple(map(len, column.chunks)) if isinstance(column, pa.ChunkedArray) else ()


def _write(out: npt.NDArray[Any], arrays: list[npt.NDArray[Any]], starts: IntArray) -> None:
    """Write arrays side by side into the rows of a matrix."""
    if len(arrays) in _TURNED and all(x.ndim == 1 and x.dtype == out.dtype for x in arrays):
        _write_turned(out, arrays)
        return
    spans = itertools.pairwise(starts.tolist())
    targets = [
        out[:, a] if x.ndim == 1 else out[:, a:b] for x, (a, b) in zip(arrays, spans, strict=True)
    ]
    pairs = list(zip(targets, arrays, strict=True))
    for first in range(0, len(out), _STRIPE):
        rows = slice(first, first + _STRIPE)
        for target, array in pairs:
            target[rows] = array[rows]


def _write_turned(out: npt.NDArray[Any], columns: list[npt.NDArray[Any]]) -> None:
    """Write columns into the rows of a matrix: torch turns a block tile by tile."""
    n_rows = max(1, min(len(out), _BLOCK // (len(columns) * out.itemsize)))
    block = np.empty((len(columns), n_rows), out.dtype)
    target, source = torch.from_numpy(out), torch.from_numpy(block)
    for first in range(0, len(out), n_rows):
        stop = min(first + n_rows, len(out))
        for line, column in zip(block, columns, strict=True):
            line[: stop - first] = column[first:stop]
        target[first:stop].copy_(source[:, : stop - first].T)


def to_tensor(value: Column, dtype: torch.dtype) -> Features:
    """Convert the values of one field to a tensor.

    Numbers of numpy, Arrow and scipy are cast to `dtype`; images (uint8 of two and more
    dimensions a row) stay bytes; torch tensors are cast only if they are floating point, since
    a torch user chose integers on purpose.
    """
    if isinstance(value, dict):
        return {k: _cast_floating(v, dtype) for k, v in value.items()}
    if isinstance(value, Tensor):
        return _cast_floating(value, dtype)
    array = as_numpy(value)
    tensor = from_numpy(array)
    return tensor if is_image(array.dtype, array.shape[1:]) else tensor.to(dtype)


def float32_holds(types: Iterable[str]) -> bool:
    """Say whether float32 holds all values of stored types, or of lists of them."""
    return all(_item(name) in _EXACT for name in types)


def _item(name: str) -> str:
    """Take what is in a list: "list<element: float not null>" holds "float"."""
    return name.rsplit(": ", 1)[-1].split(">")[0].split(" ")[0]


def from_numpy(array: npt.NDArray[Any]) -> Tensor:
    """Wrap an array in a tensor, after a copy where torch needs another layout or number type."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def is_image(dtype: npt.DTypeLike, row_shape: Sequence[int]) -> bool:
    """Tell bytes of two and more dimensions a row, which travel as bytes."""
    return np.dtype(dtype) == np.uint8 and len(row_shape) >= 2


def _cast_floating(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast floating point tensors and pass on the others."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _arrow_to_numpy(column: Any) -> Any:
    """Convert an Arrow array, without a copy where it has one chunk and no null."""
    if pa.types.is_dictionary(column.type):
        if not is_text(column.type.value_type):
            column = column.cast(column.type.value_type)
    elif is_text(column.type):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type):
        return _coded_to_numpy(column)
    if isinstance(column.type, pa.FixedShapeTensorType):
        column = column.cast(column.type.storage_type)
    if pa.types.is_fixed_size_list(column.type):
        return _lists_to_numpy(column)
    if column.type == pa.time64("ns"):
        column = column.cast(pa.time64("us"), safe=False)  # a Python time has no nanoseconds
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_boolean(column.type) and column.null_count:
        column = column.cast(pa.float32())
    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks == 1:
            return _arrow_to_numpy(column.chunk(0))
        return column.to_numpy()
    return column.to_numpy(zero_copy_only=False)


def _coded_to_numpy(column: Any) -> npt.NDArray[Any]:
    """Convert text so that equal ones share an object: 8 bytes a row for labels, not 64."""
    if isinstance(column, pa.Array):
        column = pa.chunked_array([column])
    if not column.num_chunks:
        return np.empty(0, dtype=object)
    if any(chunk.dictionary.null_count for chunk in column.chunks):  # Arrow cannot unify them
        column = column.cast(column.type.value_type).dictionary_encode()
    chunks = column.unify_dictionaries().chunks
    texts = np.append(chunks[0].dictionary.to_numpy(zero_copy_only=False), [None])
    codes = pa.chunked_array([chunk.indices for chunk in chunks]).fill_null(len(texts) - 1)
    found: npt.NDArray[Any] = texts[codes.to_numpy()]
    return found


def _lists_to_numpy(column: Any) -> npt.NDArray[Any]:
    """Convert lists of one length to the rows of a matrix; a missing list is a row of NaN."""
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else column.combine_chunks()
    shape, inner = [len(column) - column.null_count], column.type
    while pa.types.is_fixed_size_list(inner):
        shape.append(inner.list_size)
        inner = inner.value_type
    # flatten() leaves out the values of missing lists.
    flat = _arrow_to_numpy(column.flatten()).reshape(shape[0], math.prod(shape[1:]))
    if not column.null_count:
        return np.asarray(flat)
    out = np.full((len(column), flat.shape[1]), np.nan)
    out[column.is_valid().to_numpy(zero_copy_only=False)] = flat
    return out
