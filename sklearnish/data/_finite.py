"""Finding NaN and infinity in rows that were read, and saying where they are."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sklearnish.data import _rows
from sklearnish.data._batch import Features
from sklearnish.data._source import IntArray
from sklearnish.data._transforms import Function

if TYPE_CHECKING:
    from sklearnish.data._dataset import Dataset


def check_finite(
    X: Features, dataset: "Dataset", positions: IntArray, functions: Sequence[Function] = ()
) -> None:
    """Raise if features hold NaN or infinity, once `functions` have been applied to them.

    Raises
    ------
    ValueError
        Naming the file, row and column.
    """
    if isinstance(X, dict):
        for name, tensor in X.items():
            _check_tensor(tensor, dataset, positions, f"key {name!r}", functions)
    else:
        _check_tensor(X, dataset, positions, "", functions)


def _check_tensor(
    X: Tensor,
    dataset: "Dataset",
    positions: IntArray,
    where: str,
    functions: Sequence[Function],
) -> None:
    """Add everything up, which is quick, and look closer only if the sum is not finite."""
    if not X.is_floating_point() or math.isfinite(X.sum()):
        return
    bad = ~torch.isfinite(X)
    if not bool(bad.any()):
        return
    row, *column = (int(i) for i in bad.nonzero()[0])
    source = dataset.source
    stored = int(_rows.take(dataset._rows, positions[row : row + 1])[0])
    place = f"{where or _column_name(dataset, column)}, {source.row_name(stored)}"
    is_nan = bool(X[(row, *column)].isnan())
    stored_as_is = not (is_nan or where or functions)
    large = _too_large(dataset, positions[row : row + 1], column) if stored_as_is else None
    if large is not None:
        raise ValueError(
            f"Input X contains {large:g}, which is beyond float32: {place}. Scale X, for example "
            "with StandardScaler, or fit with precision='float64'."
        )
    kind = "NaN" if is_nan else "infinity"
    after = f" after {', '.join(f.name for f in functions)}" if functions else ""
    made = " Or such a function makes it of finite numbers." if functions else ""
    raise ValueError(
        f"Input X contains {kind}: {place}{after}. Fill it in (for example "
        "ds.map_batches(torch.nan_to_num)), impute it first, or leave out such rows." + made
    )


def _too_large(dataset: "Dataset", position: IntArray, column: list[int]) -> float | None:
    """Read what became infinity again, in float64; return it if it is finite there."""
    X = dataset.with_dtype(torch.float64).read(position).X
    value = float("nan") if isinstance(X, dict) else float(X[(0, *column)])
    return value if math.isfinite(value) else None


def _column_name(dataset: "Dataset", column: list[int]) -> str:
    """Name a feature: by its column if it still is one."""
    names = dataset._names
    if names is not None and len(column) == 1 and len(names) == dataset.shape[1]:
        return f"column {names[column[0]]!r}"
    return f"feature {column[0] if len(column) == 1 else tuple(column)}"
