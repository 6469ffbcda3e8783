"""A method of a trained module as a function of rows."""

import math

import torch
from torch import Tensor, nn

from sklearnish.data import BadRowsError, Features, current_device
from sklearnish.training._step.precision import as_taken, autocast, weight_dtype

_BLOCK = 64
"""Rows that a CPU computes at once, neither more nor less."""


class ModuleFunction:
    """Calls a method of a trained module; stands for a net before what predicts, too.

    On a CPU rows are computed in blocks of one size, so that what comes of a row does not depend on
    how many there are: products of matrices of other sizes are rounded in other ways. (Those of odd
    width may be rounded by the place of the row, still.)

    Parameters
    ----------
    module : nn.Module
        The module, on the device.
    method : str
        Its method.
    precision : {"float32", "float64", "bf16", "fp16"}
        In which numbers to compute.
    device : torch.device
        Where to compute.
    takes : tuple of int or None, default=None
        Shape of one code, if that is what comes in; None for rows.
    gives : tuple of int or None, default=(-1,)
        Shape of what comes of one row; (-1,) flattens it, and None leaves it as it is.
    """

    draws, makes_features = False, True
    """For ``map_batches``: no random numbers are drawn, and columns lose their names."""

    def __init__(
        self,
        module: nn.Module,
        method: str,
        precision: str,
        device: torch.device,
        *,
        takes: tuple[int, ...] | None = None,
        gives: tuple[int, ...] | None = (-1,),
    ) -> None:
        self.module_, self.method, self.precision = module, method, precision
        self.device, self.takes, self.gives = device, takes, gives

    def __call__(self, X: Tensor) -> Tensor:
        """Compute what comes of some rows, wherever they are; refuse NaN and infinity in them."""
        if X.is_floating_point() and not math.isfinite(X.sum()):
            _check_finite(X)
        if self.module_.training:
            self.module_.eval()
        return self.infer(X.to(self.device)).to(X.device)

    @torch.no_grad()
    def infer(self, X: Features) -> Tensor:
        """Compute what comes of rows that are on the device."""
        if not isinstance(X, Tensor):
            raise ValueError(f"Rows are dicts of {', '.join(X)}; wanted one tensor.")
        if self.device.type != "cpu":
            with current_device(self.device):
                return self._of(X)
        starts = range(0, len(X), _BLOCK)
        return torch.cat([self._of_block(X[start : start + _BLOCK]) for start in starts])

    def _of_block(self, X: Tensor) -> Tensor:
        """Fill a block up, and leave out what was added."""
        n = len(X)
        return self._of(X[torch.arange(_BLOCK).clamp(max=n - 1)] if n < _BLOCK else X)[:n]

    def _of(self, X: Tensor) -> Tensor:
        """Call the method."""
        if self.takes is not None:
            X = X.to(weight_dtype(self.precision)).reshape(len(X), *self.takes)
        elif not getattr(self.module_, "casts_inputs", False):
            X = as_taken(X, self.precision)
        with autocast(self.precision, self.device):
            found = getattr(self.module_, self.method)(X)
        if not isinstance(found, Tensor) or found.ndim == 0 or len(found) != len(X):
            shape = f" of shape {tuple(found.shape)}" if isinstance(found, Tensor) else ""
            raise ValueError(
                f"{self.method} of {type(self.module_).__name__} returned a "
                f"{type(found).__name__}{shape} for {len(X)} rows; wanted a tensor with one entry "
                "per row."
            )
        found = found.float() if found.dtype in (torch.float16, torch.bfloat16) else found
        return found if self.gives is None else found.reshape(len(X), *self.gives)


def _check_finite(X: Tensor) -> None:
    """Name the rows that are not finite, by their places; a sum may overflow where all are."""
    bad = ~torch.isfinite(X.flatten(1))
    if bad.any():
        row, value = bad.nonzero()[0].tolist()
        kind = "NaN" if X.flatten(1)[row, value].isnan() else "infinity"
        mend = (
            "Impute it, for example by sn.preprocessing.Streamed(SimpleImputer()) in a pipeline "
            "before"
            if X.ndim <= 2
            else "Replace it in the arrays before"
        )
        raise BadRowsError(
            f"Input X contains {kind}: value {value} of the row. {mend}, or leave such rows out.",
            bad.any(1).nonzero().flatten().numpy(force=True),
        )
