"""What float32 loses of stored numbers, and the warning of it."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from sklearnish.data._system.warn import warn
from sklearnish.data._tensors.batch import Features
from sklearnish.data._views.sample import few
from sklearnish.data._views.view import View

_COARSE = 0.001
"""Rounding, as a share of a column's deviation, that is worth reading it as float64."""

IN_FLOAT64 = (
    "fit in float64: with precision='float64' or, where the estimator has no such parameter, on X "
    "of float64 (of files: ds.with_dtype(torch.float64))"
)
"""The end of a sentence for errors: what to do where float32 is too small."""


def is_coarse(mean: Tensor, deviation: Tensor) -> Tensor:
    """Say which columns float32 rounds by much, for how little they vary."""
    return torch.finfo(torch.float32).eps * mean.abs() > _COARSE * deviation


def coarse_columns(X: Features) -> list[int | str]:
    """List columns, or keys of a dict, of which float32 would lose much."""
    if isinstance(X, dict):
        return [name for name, values in X.items() if coarse_columns(values)]
    if not _may_be_rounded(X):
        return []
    known = X.isfinite()
    varies = X.where(known, -torch.inf).amax(0) > X.where(known, torch.inf).amin(0)
    X = X.where(known, torch.nan)
    mean = X.nanmean(0)
    deviation = (X - mean).square_().nanmean(0).sqrt_()
    return [*(is_coarse(mean, deviation) & varies & _changes(X)).nonzero().flatten().tolist()]


def merges_numbers(X: Features) -> bool:
    """Say whether float32 would change whole numbers, such as ids, or lose much of a column."""
    if isinstance(X, dict) or not _may_be_rounded(X):
        return False
    broken = (X - X.round()).abs() > 0
    return bool((_changes(X) & ~broken.any(0)).any()) or bool(coarse_columns(X))


def _may_be_rounded(X: Tensor) -> bool:
    """Tell rows of numbers; images and the like have no columns."""
    return X.ndim == 2 and X.dtype == torch.float64


def _changes(X: Tensor) -> Tensor:
    """Say in which columns float32 changes a number; NaN stays NaN."""
    return ((X.float() - X).abs() > 0).any(0)


def sample(view: View, seed: int = 0) -> Features:
    """Read some rows if they are numbers that float32 may change.

    Functions that were promised float64 are applied; others know what is rounded already.
    """
    if view._inputs.asked != torch.float64:
        view = view._as_stored()
    if not len(view) or view._inputs.asked != torch.float64:
        return {}
    in_memory = view.source.in_memory
    if len(view.row_shape) != 1 and not (in_memory and isinstance(view._first_row, dict)):
        return {}  # images; items of a torch Dataset
    return view.without_target().read(few(view._rows, view.source, seed)).X


def rounded_columns(view: View, seed: int = 0) -> list[int | str]:
    """List the columns of which float32 loses much, by name if they have one."""
    X = sample(view, seed)
    return name_columns(
        coarse_columns(X), view._inputs.names or (), 0 if isinstance(X, dict) else X.shape[1]
    )


def name_columns(columns: Iterable[int | str], names: Sequence[str], width: int) -> list[int | str]:
    """Name columns where each has a name."""
    known = len(names) == width
    return [names[i] if known and isinstance(i, int) else i for i in columns]


def warn_of_rounding(columns: Sequence[int | str], where: str, cure: str) -> None:
    """Name columns far from zero, of whose differences float32 keeps little, if there are any."""
    if not columns:
        return
    more = f" and {len(columns) - 5} more" if len(columns) > 5 else ""
    warn(
        f"float32 loses much of column {', '.join(map(repr, columns[:5]))}{more} of {where}: far "
        f"from zero, for how little the values vary. {cure}",
        UserWarning,
    )
