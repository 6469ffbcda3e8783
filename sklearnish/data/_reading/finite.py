"""Finding NaN and infinity in rows that were read, and saying where they are."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sklearnish.data._functions.functions import Function
from sklearnish.data._source import IntArray
from sklearnish.data._tensors.batch import Batch, Features
from sklearnish.data._views.rounding import IN_FLOAT64
from sklearnish.data._views.row_numbers import positions_of, take
from sklearnish.data._views.view import View

_IMPUTE = (
    "Impute it: make_pipeline(SimpleImputer(), model).fit(ds, ds.target) if the rows fit into "
    "memory; else as rows are read, make_pipeline(sn.preprocessing.Streamed(SimpleImputer()), "
    "model). torch.nan_to_num would write zeros."
)
_REPLACE = (
    "Replace it in the arrays before, as np.nan_to_num(array) does: the imputers of scikit-learn "
    "take tables alone."
)
_FILL = "Fill gaps of the series before windows are made, as DataFrame.interpolate() does."


def read_finite(dataset: View, positions: Any) -> Batch:
    """Read rows as :meth:`View.read` does, and refuse NaN and infinity.

    Raises
    ------
    ValueError
        Naming the file, row and column.
    """
    positions = positions_of(len(dataset), positions)
    batch = dataset.read(positions)
    check_finite(batch.X, dataset, positions, (*dataset.source.functions, *dataset.transforms))
    return batch


def check_finite(
    X: Features, dataset: View, positions: IntArray, functions: Sequence[Function] = ()
) -> None:
    """Raise if features hold NaN or infinity, once `functions` have been applied to them.

    Raises
    ------
    ValueError
        Naming the file, row and column.
    """
    parts = {f"key {key!r}": x for key, x in X.items()} if isinstance(X, dict) else {"": X}
    for where, part in parts.items():
        # To add everything up is quick.
        if part.is_floating_point() and not math.isfinite(part.sum()):
            _look_closer(part, where, dataset, positions, functions)


def _look_closer(
    X: Tensor, where: str, dataset: View, positions: IntArray, functions: Sequence[Function]
) -> None:
    """Raise for the first number that is not finite; a sum may overflow without one."""
    bad = ~torch.isfinite(X)
    if not bool(bad.any()):
        return
    row, *column = (int(i) for i in bad.nonzero()[0])
    number = int(take(dataset._rows, positions[row : row + 1])[0])
    known = "" if where or dataset.transforms else dataset.source.value_name(number, column)
    feature = where or _column_name(dataset, column)
    place = known or f"{feature}, {dataset.source.row_name(number)}"
    is_nan = bool(X[(row, *column)].isnan())
    stored_as_is = not (is_nan or where or functions)
    large = _too_large(dataset, positions[row : row + 1], column) if stored_as_is else None
    if large is not None:
        raise ValueError(
            f"Input X contains {large:g}, which is beyond float32: {place}. Scale X, for example "
            f"with StandardScaler, or {IN_FLOAT64}."
        )
    kind = "NaN" if is_nan else "infinity"
    after = f" after {', '.join(f.name for f in functions)}" if functions else ""
    made = (
        " Or check the functions applied to them: one may turn finite values into NaN."
        if functions
        else ""
    )
    mend = _FILL if known else _REPLACE if where or len(column) > 1 else _IMPUTE
    raise ValueError(
        f"Input X contains {kind}: {place}{after}. {mend} Or drop these "
        f"rows, as fit does with on_bad_rows='skip'.{made}"
    )


def _too_large(dataset: View, position: IntArray, column: list[int]) -> float | None:
    """Read what became infinity again, in float64; return it if it is finite there."""
    X = dataset._with_inputs(asked=torch.float64).read(position).X
    value = float("nan") if isinstance(X, dict) else float(X[(0, *column)])
    return value if math.isfinite(value) else None


def _column_name(dataset: View, column: list[int]) -> str:
    """Name a feature: by its column if it still is one."""
    names = getattr(dataset, "columns", None)
    if names is not None and len(column) == 1:
        return f"column {names[column[0]]!r}"
    return f"feature {column[0] if len(column) == 1 else tuple(column)}"
