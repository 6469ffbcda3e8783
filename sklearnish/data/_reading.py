"""From positions in a view to stored rows as tensors: what a Dataset does when it is read."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sklearnish.data import _rows
from sklearnish.data._batch import Batch, Features, empty_like, put
from sklearnish.data._columns import check_numeric
from sklearnish.data._matrix import as_numpy, from_numpy, to_matrix, to_tensor
from sklearnish.data._memory import empty
from sklearnish.data._outputs import check_real
from sklearnish.data._randomness import Randomness
from sklearnish.data._source import Column, IntArray
from sklearnish.data._transforms import apply_rows

if TYPE_CHECKING:
    from sklearnish.data._dataset import Dataset

Given = ParamSpec("Given")
Result = TypeVar("Result")

Columns = dict[str, Column]
Address = tuple[int, int, IntArray]
"""Seed, epoch, and places of the rows in the epoch's order."""

_PIECE_BYTES = 2**22
"""Read at a time where rows are put into another order."""

_READING = 3
"""Tells the randomness of reading from that of functions of rows and batches."""


def _never_stops(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Make an error of a StopIteration of the user's code: it would end the loop over fetches."""

    @functools.wraps(function)
    def whole(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except StopIteration as error:
            told = RuntimeError(
                "StopIteration: a function of rows, or a Dataset, asked an iterator for more than "
                "it has. Read from what can be indexed, or begin a new iterator."
            )
            for note in getattr(error, "__notes__", ()):
                told.add_note(note)
            raise told from error

    return whole


@_never_stops
def read_stored(
    dataset: "Dataset",
    positions: IntArray,
    address: Address,
    empty: Callable[..., Tensor] = empty,
) -> Batch:
    """Read features, labels and weights, all columns in one go, each block once.

    Where the user's code draws random numbers while a row is read, they come from the row's
    address: seed, epoch and place in the epoch's order.
    """
    rows = _rows.take(dataset._rows, positions)
    if dataset.source.uses_global_generators:
        seed, epoch, places = address
        seeds = Randomness((seed, epoch, _READING)).seeds(0, places)
        return _read(dataset, rows, positions, empty, seeds=seeds)
    blocks = dataset.source.blocks
    if blocks is None:
        return _read(dataset, rows, positions, empty)
    if _rows.is_ascending(rows):
        return _read_in_order(dataset, rows, positions, blocks, empty)
    order = np.argsort(rows)
    return _read_pieces(dataset, rows[order], positions[order], order, blocks, empty)


@_never_stops
def transformed(
    dataset: "Dataset",
    stored: Batch,
    positions: IntArray,
    address: Address,
    augment: tuple[Any, ...],
    seconds: list[float] | None = None,
) -> Batch:
    """Apply the functions of rows, those of the view first; `seconds` takes the time of each."""
    functions = (*dataset._transforms, *augment)
    if not functions:
        check_real(stored.X, dataset.source.name)
        return stored
    seed, epoch, places = address

    def name_row(i: int) -> str:
        row = _rows.take(dataset._rows, positions[i : i + 1])[0]
        return dataset.source.row_name(int(row))

    X = apply_rows(
        functions,
        stored.X,
        seed=seed,
        epoch=epoch,
        positions=places,
        name_row=name_row,
        seconds=seconds,
    )
    check_real(X, functions[-1].name)  # between functions they may be, as torch.fft makes them
    return Batch(X, stored.y, stored.weight)


def _read_in_order(
    dataset: "Dataset",
    rows: IntArray,
    positions: IntArray,
    blocks: IntArray,
    empty: Callable[..., Tensor],
) -> Batch:
    """Read ascending rows; columns of a table a few blocks at a time, while the cache has them."""
    if dataset._names is None or len(rows) == 0:
        return _read(dataset, rows, positions, empty)
    X = empty((len(rows), len(dataset._names)), dataset._dtype)
    for start, stop in _pieces(rows, blocks, max(1, _PIECE_BYTES // _stored_nbytes(dataset))):
        columns = dataset.source.read(rows[start:stop], dataset._names)
        _features(dataset, columns, _given(X[start:stop]))
    return Batch(
        X,
        _labels(dataset, {}, rows, positions),
        _values(dataset, dataset._weight, rows, positions),
    )


def _given(tensor: Tensor) -> Callable[..., Tensor]:
    """Allocate what is there already."""
    return lambda shape, dtype: tensor


def _read_pieces(
    dataset: "Dataset",
    rows: IntArray,
    positions: IntArray,
    order: IntArray,
    blocks: IntArray,
    empty: Callable[..., Tensor],
) -> Batch:
    """Read ascending rows a few blocks at a time, each row to its place among the wanted ones.

    A piece is small enough for the processor's cache, and only one is held beside the result.
    """
    scattered: Batch | None = None
    for start, stop in _pieces(rows, blocks, max(1, _PIECE_BYTES // _stored_nbytes(dataset))):
        piece = _read(dataset, rows[start:stop], positions[start:stop], empty)
        if scattered is None:
            scattered = empty_like(piece, len(rows), empty)
        put(scattered, order[start:stop], piece)
        del piece  # its memory serves the next
    assert scattered is not None
    return scattered


def nearest_to_block(dataset: "Dataset") -> int:
    """Find the row of a view in order that is nearest to the beginning of its block.

    To read it alone, what lies before it in the block is read, too.

    Returns
    -------
    int
        Its position; 0 in a view in another order, and where there are no blocks.
    """
    rows, blocks = dataset._rows, dataset.source.blocks
    if blocks is None or (isinstance(rows, range) and rows.step < 1):
        return 0
    if not isinstance(rows, range) and not _rows.is_ascending(rows):
        return 0
    places = np.minimum(_rows.offsets(rows, blocks[:-1]), len(rows) - 1)
    distances = _rows.take(rows, places) - blocks[:-1]
    distances[distances < 0] = np.iinfo(np.int64).max  # of blocks behind the last row
    return int(places[np.argmin(distances)])


def _pieces(rows: IntArray, blocks: IntArray, least: int) -> Iterator[tuple[int, int]]:
    """Cut ascending rows at borders of blocks, into pieces of so many rows or a block."""
    start = 0
    of_row = np.searchsorted(blocks, rows, side="right")  # there may be millions of blocks
    for stop in [*(np.flatnonzero(np.diff(of_row)) + 1).tolist(), len(rows)]:
        if stop - start >= least or stop == len(rows) > start:
            yield start, stop
            start = stop


def _stored_nbytes(dataset: "Dataset") -> int:
    """Bytes of the features of one row, transforms aside."""
    if dataset._names is not None:
        return max(1, len(dataset._names) * dataset._dtype.itemsize)
    return max(1, math.prod(dataset.source.schema["X"].shape) * dataset._dtype.itemsize)


def _read(
    dataset: "Dataset",
    rows: IntArray,
    positions: IntArray,
    empty: Callable[..., Tensor],
    **seeds: list[int],
) -> Batch:
    """Read rows in an order that suits the source."""
    labelled = not dataset.source.tabular and isinstance(dataset._target, str)
    wanted = [*(dataset._names or ("X",)), *(["y"] if labelled else [])]
    read: Any = dataset.source.read
    columns = read(rows, tuple(wanted), **seeds)
    return Batch(
        _features(dataset, columns, empty),
        _labels(dataset, columns, rows, positions),
        _values(dataset, dataset._weight, rows, positions),
    )


def _features(dataset: "Dataset", columns: Columns, empty: Callable[..., Tensor]) -> Features:
    """Features as one matrix, or as the array that each row is."""
    if dataset._names is not None:
        check_numeric(dataset.source, dataset._names)
        stored = [columns[name] for name in dataset._names]
        matrix = to_matrix(stored, dataset._dtype, empty)
        return _with_constants(matrix, dataset._constants, dataset._names)
    X = to_tensor(columns["X"], dataset._dtype)
    if isinstance(X, dict) or (dataset._picked is None and not dataset._constants):
        return X
    picked = np.arange(X.shape[1]) if dataset._picked is None else dataset._picked
    return _with_constants(X[:, torch.from_numpy(picked)], dataset._constants, picked.tolist())


def _with_constants(
    X: Tensor, constants: Mapping[Any, float], features: Sequence[str | int]
) -> Tensor:
    """Overwrite the columns that a copy has set to one value."""
    for j, feature in enumerate(features):
        if feature in constants:
            X[:, j] = constants[feature]
    return X


def _labels(
    dataset: "Dataset", columns: Columns, rows: IntArray, positions: IntArray
) -> Tensor | None:
    """Labels as a tensor; several targets as a matrix."""
    target = dataset._target
    if isinstance(target, tuple):
        return to_matrix([whole_column(dataset, name)[rows] for name in target], dataset._dtype)
    if "y" in columns and isinstance(target, str) and not dataset.source.tabular:
        return _to_labels(dataset, as_numpy(columns["y"]))
    return _values(dataset, target, rows, positions)


def _values(
    dataset: "Dataset",
    role: str | npt.NDArray[Any] | None,
    rows: IntArray,
    positions: IntArray,
) -> Tensor | None:
    """Look up values of a column or an attached array.

    A column is looked up in memory, so that its type is that of all its values: a piece of a
    file without missing ones would have another.
    """
    if role is None:
        return None
    if isinstance(role, str):
        return _to_labels(dataset, whole_column(dataset, role)[rows])
    return _to_labels(dataset, role[positions])


def _to_labels(dataset: "Dataset", array: npt.NDArray[Any]) -> Tensor:
    """Make a tensor: of int64 for whole numbers; of text, its number among the classes."""
    if array.dtype.kind not in "biuf":
        array = np.searchsorted(dataset.classes, array)
    if array.dtype.kind in "iu":
        array = array.astype(np.int64, copy=False)
    tensor = from_numpy(array)
    return tensor.to(dataset._dtype) if tensor.is_floating_point() else tensor


def storage_order(dataset: "Dataset") -> IntArray | None:
    """Return the order in which rows of blocks are read once each; None if they are in it."""
    rows = dataset.rows
    if dataset.source.blocks is None or _rows.is_ascending(rows):
        return None
    return np.argsort(rows, kind="stable")


def hold_labels(dataset: "Dataset") -> "Dataset":
    """Attach labels and weights that are columns, text as numbers: workers read neither."""
    if not dataset.source.tabular:
        return dataset
    target, weight = dataset._target, dataset._weight
    if isinstance(target, str | tuple):
        labels = dataset.target
        assert labels is not None
        if isinstance(target, tuple):
            labels = labels.astype(str(dataset._dtype).removeprefix("torch."))
        elif labels.dtype.kind not in "biuf":
            labels = np.searchsorted(dataset.classes, labels)
        dataset = dataset.with_target(labels)
    return dataset.with_weight(dataset.weight) if isinstance(weight, str) else dataset


def attach(dataset: "Dataset", batch: Batch, positions: IntArray) -> Batch:
    """Add labels and weights that are in memory to rows read without them."""
    y, weight = dataset._target, dataset._weight
    return Batch(
        batch.X,
        _to_labels(dataset, y[positions]) if isinstance(y, np.ndarray) else batch.y,
        _to_labels(dataset, weight[positions]) if isinstance(weight, np.ndarray) else batch.weight,
    )


def column(dataset: "Dataset", name: str) -> npt.NDArray[Any]:
    """Values of a column for the rows of a view."""
    whole, rows = whole_column(dataset, name), dataset._rows
    if isinstance(rows, range) and len(rows):
        stop = rows.stop if rows.stop >= 0 else None
        return whole[rows.start : stop : rows.step]
    values: npt.NDArray[Any] = whole[_rows.as_array(rows)]
    return values


def whole_column(dataset: "Dataset", name: str) -> npt.NDArray[Any]:
    """All values of a column, read once for all views, which must not be written to."""
    known, source = dataset._known, dataset.source
    if name not in known:
        labels = source.labels(name)
        if labels is None:
            labels = as_numpy(source.read(np.arange(source.n_rows), [name])[name])
        known[name] = labels.view()
        known[name].flags.writeable = False
    return known[name]


def find_classes(labels: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Find the distinct labels, ascending; a set is quicker than sorting Python objects.

    Raises
    ------
    ValueError
        If one is missing; the message names the row.
    """
    if labels.dtype != object:
        return np.unique(labels)
    distinct = set(labels.flat)
    if None in distinct:
        row = next(i for i, label in enumerate(labels.flat) if label is None)
        raise ValueError(f"A label is missing in row {row} of {name}. Leave out such rows.")
    return np.array(sorted(distinct), dtype=object)
