"""Answers of a trained net for many rows, batch by batch: only one batch of outputs is held."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sklearnish.data import Batch, Dataset, Loader
from sklearnish.data._batch import narrow, to_device
from sklearnish.data._reading import storage_order
from sklearnish.training import Net, is_out_of_memory, of_same_kind, weight_dtype

Array = npt.NDArray[Any]
Answer = Callable[[Tensor], Array]
"""Turns outputs of the module, on the CPU, into what the user asked for."""

Piece = tuple[slice | npt.NDArray[np.int64], Array]
"""Positions of some rows in X, and the answers for them."""

_NBYTES, _ROWS = 2**22, 4096
"""A batch with "auto": as many rows as fit these bytes, and not more."""


def batch_rows(row_nbytes: int, wanted: int | str) -> int:
    """Say how many rows to predict at a time."""
    if not isinstance(wanted, str):
        return wanted
    return max(1, min(_ROWS, _NBYTES // max(1, row_nbytes)))


def answers_of_array(
    net: Net, answer: Answer, X: Array, wanted: int | str, check: Callable[[], Any]
) -> Iterator[Piece]:
    """Answer for an array in memory: slices need no Loader; where one looks bad, X is checked."""
    size = batch_rows(X.itemsize * X[0].size, wanted)
    device = torch.device(net.device)
    as_is = X.dtype == np.uint8 and X.ndim > 2
    dtype = X.dtype if as_is else np.float64 if net.precision == "float64" else np.float32
    slices = (X[start : start + size] for start in range(0, len(X), size))
    batches = (Batch(_to_tensor(part, dtype, check).to(device)) for part in slices)
    return answers(net, answer, batches, wanted)


def _to_tensor(part: Array, dtype: Any, check: Callable[[], Any]) -> Tensor:
    """Cast some rows, which must be finite; torch wants them writable."""
    with np.errstate(over="ignore"):  # reported below
        cast = np.require(part, dtype=dtype, requirements=["C", "W"])
    tensor = torch.from_numpy(cast)
    if tensor.is_floating_point() and not math.isfinite(tensor.sum()):
        check()
        _check_range(part, cast)
    return tensor


def _check_range(part: Array, cast: Array) -> None:
    """Refuse numbers that were finite before the cast, and are no longer."""
    bad = ~np.isfinite(cast)
    if bad.any():
        raise ValueError(
            f"Input X contains {part[bad][0]:g}, which is beyond {cast.dtype}; scale X, for "
            "example with StandardScaler, or fit with precision='float64'."
        )


@contextmanager
def explained(row_shape: tuple[int, ...], n_fitted: int) -> Iterator[None]:
    """Say that rows are of another size than in fit, if the module fails on them.

    It may well not: a module of convolutions can take images of any size.
    """
    try:
        yield
    except (RuntimeError, IndexError) as error:
        n = math.prod(row_shape)
        if n == n_fitted or is_out_of_memory(error):
            raise
        raise ValueError(
            f"X has rows of shape {row_shape}, {n} values, but fit saw {n_fitted} values a row, "
            "and the module fails on them. Pass rows of the same size, changed by the same "
            f"functions (ds.map, ds.map_batches) as those of fit. The module says: {error}"
        ) from error


def answers_of_dataset(
    net: Net, answer: Answer, dataset: Dataset, wanted: int | str, **options: Any
) -> Iterator[Piece]:
    """Answer for a Dataset; few rows in memory are read in one go."""
    rows = dataset.without_target().with_dtype(weight_dtype(net.precision))
    if rows.in_memory and len(rows) <= batch_rows(rows.row_nbytes, wanted):
        batch = rows.read(np.arange(len(rows)), finite=True)
        yield from answers(net, answer, [to_device(batch, torch.device(net.device))], wanted)
        return
    loader, order = in_storage_order(net, dataset, wanted, **options)
    with loader:
        yield from answers(net, answer, loader, wanted, order)


def in_storage_order(
    net: Net, dataset: Dataset, wanted: int | str, **options: Any
) -> tuple[Loader, npt.NDArray[np.int64] | None]:
    """Build what reads each block once; return it with the positions in its order.

    They are None where the rows come in the order of the view.
    """
    dataset = dataset.without_target().with_dtype(weight_dtype(net.precision))
    order = storage_order(dataset)
    loader = Loader(
        dataset if order is None else dataset[order],
        batch_size=batch_rows(dataset.row_nbytes, wanted),
        sampler="sequential",
        device=torch.device(net.device),
        **options,
    )
    return loader, order


def answers(
    net: Net,
    answer: Answer,
    batches: Iterable[Batch],
    wanted: int | str,
    order: npt.NDArray[np.int64] | None = None,
) -> Iterator[Piece]:
    """Answer for batches; with "auto", one that does not fit into memory goes in halves."""
    if net.module_.training:  # a partial_fit was interrupted
        net.module_.eval()
    start, most = 0, math.inf
    for batch in batches:
        left: Batch | None = batch
        while left is not None:
            rows = left if len(left) <= most else narrow(left, 0, int(most))
            try:
                values = _compute(net, answer, rows)
            except (RuntimeError, MemoryError) as error:
                most = _half(len(rows), wanted, error)
                continue
            stop = start + len(rows)
            yield slice(start, stop) if order is None else order[start:stop], values
            left = None if rows is left else narrow(left, len(rows), len(left))
            start = stop


@torch.inference_mode()
def _compute(net: Net, answer: Answer, rows: Batch) -> Array:
    """Answer for some rows at once."""
    return answer(net.infer(rows.X).cpu())


def _half(n_rows: int, wanted: int | str, error: Exception) -> int:
    """Say how many rows to try after so many did not fit; raise if that was not the reason."""
    if not is_out_of_memory(error):
        raise error
    if n_rows == 1:
        raise of_same_kind(error, "Not even one row fits into memory to be predicted.") from error
    if wanted != "auto":
        raise of_same_kind(
            error,
            f"predict_batch_size={wanted} did not fit into memory. Set a smaller one, for example "
            f'{n_rows // 2}, or "auto", which halves it until it fits.',
        ) from error
    return n_rows // 2


def collect(n_rows: int, pieces: Iterable[Piece]) -> Array:
    """Write all answers into one array, made with the first."""
    result: Array | None = None
    for rows, values in pieces:
        if len(values) == n_rows and isinstance(rows, slice):
            return values
        if result is None:
            result = np.empty((n_rows, *values.shape[1:]), values.dtype)
        result[rows] = values
    assert result is not None
    return result
