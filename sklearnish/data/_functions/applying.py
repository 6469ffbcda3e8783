"""Running functions of rows and of batches, with their randomness by address."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearnish.data._functions.functions import (
    FrameFunction,
    Function,
    PerBatch,
    RowFunction,
    uses_global_generators,
)
from sklearnish.data._functions.randomness import Randomness, one_thread, restored_generators
from sklearnish.data._functions.results import (
    Filler,
    as_features,
    check_real,
    check_rows,
    describe,
    rows_of,
)
from sklearnish.data._source import IntArray
from sklearnish.data._tensors.batch import Features, n_rows


def restored(functions: Sequence[Function], device: torch.device) -> AbstractContextManager[None]:
    """Put back what functions may draw from."""
    held = tuple(generator for f in functions for generator in f.held)
    return restored_generators(uses_global_generators(functions), device, held)


def apply_rows(
    functions: Sequence[Function],
    X: Features,
    *,
    seed: int,
    epoch: int,
    positions: IntArray,
    salt: int = 0,
    name_row: Callable[[int], str] = "row {} of these".format,
    seconds: list[float] | None = None,
) -> Features:
    """Run row and batch functions, in order, on a chunk of rows.

    Parameters
    ----------
    functions : sequence of RowFunction or BatchFunction
        What to run.
    X : Tensor or dict of Tensor, n rows
        The features. Functions may change them in place, so they must belong to the caller.
    seed, epoch : int
        Not negative.
    positions : ndarray of int64, shape (n,)
        Each row's position in the epoch's order, from which its random numbers come.
    salt : int, default=0
        Tells calls apart that share the seed, epoch and positions and must draw other numbers.
    name_row : callable, optional
        Names a row by its index in the chunk, for errors.
    seconds : list of float, default=None
        Takes the time of each function.

    Returns
    -------
    Tensor or dict of Tensor
        The new features, n rows.
    """
    if not functions or not len(positions):
        return X
    drawn = Randomness((seed, epoch, salt))
    with torch.no_grad(), one_thread(), restored(functions, torch.device("cpu")):
        chunk = _Chunk(drawn, positions, name_row)
        for index, function in enumerate(functions):
            begun = time.perf_counter()
            run = _run_rows if isinstance(function, RowFunction) else _run_chunk
            X = run(function, X, index, chunk)
            if seconds is not None:
                seconds.append(time.perf_counter() - begun)
    return X


def apply_frame(function: FrameFunction, frame: Any, rows: IntArray) -> Any:
    """Run a function on a frame; should it draw random numbers, others find theirs untouched."""
    with torch.no_grad(), one_thread(), restored([function], torch.device("cpu")):
        function.seed(int(rows[0]))
        return function.f(frame, rows) if function.takes_rows else function.f(frame)


def apply_batch(
    functions: Sequence[PerBatch],
    X: Features,
    y: Tensor | None,
    *,
    seed: int,
    epoch: int,
    batch: int,
) -> tuple[Features, Tensor | None]:
    """Run per-batch functions, in order, on one training batch where it lies.

    Parameters
    ----------
    functions : sequence of PerBatch
        What to run.
    X : Tensor or dict of Tensor, n rows
        The features; they may be changed in place.
    y : Tensor or None, n rows
        The target.
    seed, epoch, batch : int
        Where the random numbers come from; not negative.

    Returns
    -------
    X : Tensor or dict of Tensor, n rows
        The new features.
    y : Tensor or None, n rows
        The new target.
    """
    if not functions:
        return X, y
    drawn = Randomness((seed, epoch, 1, 1))  # four words: never a row function's stream
    device = next(iter(X.values())).device if isinstance(X, dict) else X.device
    with torch.no_grad(), restored(functions, device):
        for index, function in enumerate(functions):
            with noted(function, lambda: f"batch {batch} of epoch {epoch}"):
                X, y = _run_batch(function, X, y, drawn, index, batch, epoch, device)
    check_real(X, functions[-1].name)
    return X, y


class _Chunk(NamedTuple):
    """Rows that functions are run on: where their randomness comes from, and their names."""

    drawn: Randomness
    positions: IntArray
    name_row: Callable[[int], str]


def _run_rows(function: Function, X: Features, index: int, chunk: _Chunk) -> Features:
    """Run a function row by row into one new tensor per field."""
    filler: Filler | None = None
    drawn, positions, name_row = chunk
    seeded = function.uses_global_generators or function.held
    seeds = drawn.seeds(index, positions) if seeded else None
    places = positions.tolist()
    for i, x in enumerate(rows_of(X)):
        keywords = {}
        if function.names_rng:
            keywords["rng"] = drawn.generator(index, places[i])
        if seeds is not None:
            function.seed(seeds[i])
        try:
            out = as_features(function.f(x, **keywords))
            filler = filler or Filler(out, places)
            filler.put(i, out)
        except Exception as error:
            _note(error, function, name_row(i))
            raise
    assert filler is not None
    return filler.result


def _run_chunk(function: Function, X: Features, index: int, chunk: _Chunk) -> Features:
    """Run a vectorised function on the whole chunk."""
    drawn, positions, name_row = chunk
    place = int(positions[0])
    keywords = {}
    if function.names_rng:
        keywords["rng"] = drawn.generator(index, place)
    function.seed(drawn.seeds(index, positions[:1])[0])
    with noted(function, lambda: f"{len(positions)} rows, the first of them {name_row(0)}"):
        out = as_features(function.f(X, **keywords))
        check_rows(out, len(positions), "map_batches")
    return out


def _run_batch(
    function: PerBatch,
    X: Features,
    y: Tensor | None,
    drawn: Randomness,
    index: int,
    batch: int,
    epoch: int,
    device: torch.device,
) -> tuple[Features, Tensor | None]:
    """Run one per-batch function."""
    keywords: dict[str, Any] = {"epoch": epoch} if function.names_epoch else {}
    if function.names_rng:
        keywords["rng"] = drawn.generator(index, batch)
    function.seed(drawn.seeds(index, np.array([batch], np.int64))[0], device)
    n = n_rows(X)
    out = function.f(X, y, **keywords) if function.takes_y else function.f(X, **keywords)
    if isinstance(out, tuple | list):
        if not function.takes_y or len(out) != 2:
            wanted = "X or (X, y)" if function.takes_y else "X (it was not given y)"
            raise TypeError(f"expected {wanted}, got {len(out)} values")
        out, y = out
    out = as_features(out)
    check_rows(out, n, "per_batch")
    if y is not None and (not isinstance(y, Tensor) or y.ndim == 0 or y.shape[0] != n):
        raise ValueError(f"per_batch must return a tensor y of {n} rows, got {describe(y)}")
    return out, y


@contextmanager
def noted(function: Function, where: Callable[[], str]) -> Iterator[None]:
    """Say in which function and on which rows an error arose; its type stays."""
    try:
        yield
    except Exception as error:
        _note(error, function, where())
        raise


def _note(error: Exception, function: Function, where: str) -> None:
    """Say where an error arose, and what instead where a tensor was taken for a table."""
    error.add_note(f"raised in {function.name} on {where}")
    if "invalid data type 'str'" in str(error) or "'Tensor' object has no attribute" in str(error):
        error.add_note(
            "The function is given tensors, whose values have no names. They are in the order of "
            "ds.columns: in map, row[0] is the first value; in map_batches, X[:, 0] the first "
            "column. ds.select([...]) takes columns by name."
        )
