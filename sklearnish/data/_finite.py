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
    kind = "NaN" if bool(X[(row, *column)].isnan()) else "infinity"
    source = dataset.source
    stored = int(_rows.take(dataset._rows, positions[row : row + 1])[0])
    after = f" after {', '.join(f.name for f in functions)}" if functions else ""
    made = " Or such a function makes it of finite numbers." if functions else ""
    raise ValueError(
        f"Input X contains {kind}: {where or _column_name(dataset, column)}, "
        f"{source.row_name(stored)}{after}. Fill it in (for example "
        "ds.map_batches(torch.nan_to_num)), impute it first, or leave out such rows." + made
    )


def _column_name(dataset: "Dataset", column: list[int]) -> str:
    """Name a feature: by its column if it still is one."""
    names = dataset._names
    if names is not None and len(column) == 1 and len(names) == dataset.shape[1]:
        return f"column {names[column[0]]!r}"
    return f"feature {column[0] if len(column) == 1 else tuple(column)}"
