"""Predictions of a trained net for many rows, batch by batch: only one batch of outputs is held."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sklearnish.data import (
    IN_FLOAT64,
    Batch,
    Dataset,
    EvaluationReader,
    Loader,
    current_device,
    narrow,
    prepare_loader,
    storage_order,
)
from sklearnish.estimators._fitting.module import check_inputs, input_dtype
from sklearnish.estimators._fitting.sizes import batch_rows
from sklearnish.training import Net, is_out_of_memory, of_same_kind

Array = npt.NDArray[Any]
Answer = Callable[[Tensor], Array]
"""Turns outputs of the module, on the CPU, into what the user asked for."""

Order = npt.NDArray[np.int64] | None
"""Positions in X of the rows that are computed, None where they come as they are there."""

Piece = tuple[slice | npt.NDArray[np.int64], Array]
"""Positions of some rows in X, and the predictions for them."""


def answers_of_array(
    net: Net, answer: Answer, X: Array, wanted: int | str, check: Callable[[], Any]
) -> Iterator[Piece]:
    """Predict for an array in memory: slices need no Loader; if one looks bad, X is checked."""
    size = batch_rows(X.itemsize * X[0].size, wanted)
    device = torch.device(net.device)
    as_is = X.dtype == np.uint8 and X.ndim > 2
    dtype = X.dtype if as_is else str(input_dtype(net)).removeprefix("torch.")
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
            f"example with StandardScaler, or {IN_FLOAT64}."
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


def in_storage_order(
    net: Net, dataset: Dataset, wanted: int | str, **options: Any
) -> tuple[Loader, npt.NDArray[np.int64] | None]:
    """Build what reads each block once; return it with the positions in its order.

    They are None where the rows come in the order of the view.
    """
    dataset = dataset.without_target()._for_module(input_dtype(net))
    check_inputs(net.module_, dataset)
    order = storage_order(dataset)
    loader = prepare_loader(
        dataset if order is None else dataset[order],
        batch_size=batch_rows(dataset.row_nbytes, wanted),
        sampler="sequential",
        reader=EvaluationReader,
        device=torch.device(net.device),
        **options,
    )
    return loader, order


def answers(
    net: Net,
    answer: Answer,
    batches: Iterable[Batch],
    wanted: int | str,
    order: Order = None,
    *,
    check: bool = True,
) -> Iterator[Piece]:
    """Predict for batches; with "auto", one for which memory runs out is halved."""
    if net.module_.training:  # someone called its train(): no fit trains it where it is
        net.module_.eval()
    start, most = 0, math.inf
    for batch in batches:
        left: Batch | None = batch
        while left is not None:
            rows = left if len(left) <= most else narrow(left, 0, int(most))
            try:
                values = _compute(net, answer, rows, start, order, check=check)
            except (RuntimeError, MemoryError) as error:
                most = _half(len(rows), wanted, error)
                continue
            stop = start + len(rows)
            yield slice(start, stop) if order is None else order[start:stop], values
            left = None if rows is left else narrow(left, len(rows), len(left))
            start = stop


@torch.inference_mode()
def _compute(
    net: Net, answer: Answer, rows: Batch, start: int, order: Order, *, check: bool
) -> Array:
    """Predict for some rows at once."""
    with current_device(torch.device(net.device)):
        outputs = net.infer(rows.X).cpu()
    if check:
        check_finite(outputs, start, order)
    return answer(outputs)


def check_finite(outputs: Tensor, start: int, order: Order) -> None:
    """Refuse outputs that say nothing; minus infinity among others is a probability of zero."""
    if not outputs.is_floating_point() or math.isfinite(outputs.sum()):
        return
    outputs = outputs.reshape(len(outputs), -1)
    bad = ~((outputs < math.inf).all(1) & (outputs > -math.inf).any(1))
    found = bad.nonzero().flatten().numpy()
    if not len(found):
        return
    rows = start + found if order is None else order[start + found]
    first = rows.argmin()
    raise ValueError(
        f"The module's output for row {rows[first]} of X is {outputs[found[first]].tolist()[:5]}, "
        "which is no prediction. Values of X may lie far beyond those of fit: look at that row, "
        "and scale X, for example with StandardScaler. If every row gives this, the weights of "
        "the module are not finite."
    )


def _half(n_rows: int, wanted: int | str, error: Exception) -> int:
    """Say how many rows to try after so many did not fit; raise if that was not the reason."""
    if not is_out_of_memory(error):
        raise error
    if n_rows == 1:
        raise of_same_kind(error, "Memory runs out even when one row is predicted.") from error
    if wanted != "auto":
        raise of_same_kind(
            error,
            f"predict_batch_size={wanted} runs out of memory. Set a smaller one, for example "
            f'{n_rows // 2}, or "auto", which halves it until it fits.',
        ) from error
    return n_rows // 2


def collect(n_rows: int, pieces: Iterable[Piece]) -> Array:
    """Write all predictions into one array, made with the first."""
    result: Array | None = None
    for rows, values in pieces:
        if len(values) == n_rows and isinstance(rows, slice):
            return values
        if result is None:
            result = np.empty((n_rows, *values.shape[1:]), values.dtype)
        result[rows] = values
    assert result is not None
    return result
