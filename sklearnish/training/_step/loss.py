"""The loss of a batch: weighted by row, and reported in units that the user knows."""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sklearnish.data import Batch

Criterion = Callable[[Tensor, Tensor], Tensor]


class BatchLoss:
    """Loss of a batch as ``sum(weight * loss) / sum(weight)``.

    ``units`` turns a loss into the one reported: a number for all, or one per target. Where
    outputs of members come ``apart``, as (n_rows, n_members, n_outputs), the loss of a row is the
    mean of theirs.
    """

    def __init__(
        self, criterion: Criterion, units: float | Tensor = 1.0, *, apart: bool = False
    ) -> None:
        self.criterion = criterion
        self.units = units
        self.apart = apart
        self.per_row = _unreduced(criterion)

    def __call__(self, y_pred: Tensor, batch: Batch) -> tuple[Tensor, Tensor, int | Tensor]:
        """Return the loss to descend, the one to report, and the weight of the batch."""
        y, weight = batch.y, batch.weight
        if y is None:
            raise ValueError(
                "A batch came without y: a function in augment=per_batch(...) returned (X, None). "
                "Let it return (X, y), or X alone to leave y as it is."
            )
        if y.dtype == torch.float64 and y_pred.dtype == torch.float32:  # of rows read as float64
            y = y.float()
        members = y_pred.shape[1] if self.apart and y_pred.ndim == 3 else 0
        if members:
            y_pred, y = y_pred.flatten(0, 1), y.repeat_interleave(members, 0)
            weight = None if weight is None else weight.repeat_interleave(members, 0)
        loss, reported, size = self._of_rows(_align(y_pred, y), y, weight)
        return loss, reported, _shared(size, members) if members else size

    def _of_rows(
        self, y_pred: Tensor, y: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor, int | Tensor]:
        """Compare outputs with targets."""
        if weight is None and not isinstance(self.units, Tensor):
            loss = _called(self.criterion, y_pred, y)
            if loss.ndim:
                loss = loss.mean()
            return loss, loss.detach(), y.shape[0]
        return self._weighted(y_pred, y, weight)

    def of_each(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each row; for each that of all, where the criterion has no other."""
        y_pred = _align(y_pred, y)
        if self.per_row is None:
            return _called(self.criterion, y_pred, y).mean().expand(len(y))
        return _row_means(_called(self.per_row, y_pred, y))

    def _weighted(
        self, y_pred: Tensor, y: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor, int | Tensor]:
        """Weigh the rows, and the targets' units."""
        if self.per_row is None:
            raise ValueError(
                f"Rows are weighted, but criterion {self.criterion!r} has no `reduction`, so "
                "there is no loss per row. Give it a `reduction` argument that accepts 'none', "
                "or fit without sample_weight and class_weight."
            )
        losses = _called(self.per_row, y_pred, y)
        reported = self._reported(losses)
        if weight is None:
            assert reported is not None
            return losses.mean(), reported.mean(), y.shape[0]
        weight = weight.to(losses.dtype)
        total = weight.sum()
        loss = _row_means(losses).dot(weight) / total
        if reported is not None:
            return loss, _row_means(reported).dot(weight) / total, total
        return loss, loss.detach(), total

    def _reported(self, losses: Tensor) -> Tensor | None:
        """Losses in the targets' own units, None where one number converts them all."""
        if not isinstance(self.units, Tensor):
            return None
        return losses.detach() * self.units.to(losses.device)

    def report(self, loss: float) -> float:
        """Convert a mean loss into the reported units (done already where they differ)."""
        return loss if isinstance(self.units, Tensor) else loss * self.units


def _called(criterion: Criterion, y_pred: Tensor, y: Tensor) -> Tensor:
    """Call a criterion; refuse what is no tensor, which has no gradients."""
    loss = criterion(y_pred, y)
    if isinstance(loss, Tensor):
        return loss
    function = criterion.function if isinstance(criterion, FunctionLoss) else criterion
    raise TypeError(
        f"criterion {spell(function)} returned {loss!r}; wanted a tensor of the loss that torch "
        "has computed from the outputs, such as (y_pred - y).abs().mean(). Return it, and do not "
        "convert it with .item() or float()."
    )


def _shared(size: int | Tensor, members: int) -> int | Tensor:
    """Count rows, or their weight, that were repeated for each member once."""
    return size / members if isinstance(size, Tensor) else size // members


def spell(function: Any) -> str:
    """Name a function or a class, or show what has no name."""
    return str(getattr(function, "__name__", None) or repr(function))


def _row_means(losses: Tensor) -> Tensor:
    """Average what is left of each row."""
    return losses if losses.ndim == 1 else losses.flatten(1).mean(1)


def _align(y_pred: Tensor, y: Tensor) -> Tensor:
    """Reconcile outputs of shape (n,) and (n, 1) with the target, which would broadcast."""
    if y_pred.ndim == y.ndim or not y.is_floating_point():
        return y_pred
    return y_pred.reshape(y.shape) if y_pred.numel() == y.numel() else y_pred


def _unreduced(criterion: Criterion) -> Criterion | None:
    """Return the criterion with one loss per row, None if it has no such form."""
    if not hasattr(criterion, "reduction"):
        return None
    unreduced = copy.copy(criterion)
    unreduced.reduction = "none"
    return unreduced


class FunctionLoss(nn.Module):
    """A loss function, such as ``F.mse_loss`` or a partial of it, as a module."""

    def __init__(self, function: Criterion) -> None:
        super().__init__()
        self.function = function
        if "reduction" in (parameters := _parameters(function)):
            self.reduction = parameters["reduction"].default

    def forward(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Call the function, with the reduction if it takes one."""
        reduction = getattr(self, "reduction", inspect.Parameter.empty)
        options = {} if reduction is inspect.Parameter.empty else {"reduction": reduction}
        return self.function(y_pred, y, **options)


def make_criterion(criterion: Any, params: dict[str, Any]) -> nn.Module:
    """Build the criterion from a class, a ready instance or a function."""
    if isinstance(criterion, type):
        check_arguments(criterion, params, "criterion")
        built = criterion(**params)
    elif params:
        raise ValueError(
            f"criterion_params={params} need a criterion class, but criterion is "
            f"{criterion!r}; pass its class, or a functools.partial of a function."
        )
    else:
        built = copy.deepcopy(criterion)
    return built if isinstance(built, nn.Module) else FunctionLoss(built)


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    """Find the parameters of a function, none where it does not tell."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def check_arguments(factory: Any, params: dict[str, Any], role: str) -> None:
    """Refuse arguments that a class does not take, and list those that it does."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return
    kinds = [p.kind for p in signature.parameters.values()]
    unknown = sorted(set(params) - set(signature.parameters))
    if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
        raise ValueError(
            f"{role} {spell(factory)} takes no argument {', '.join(map(repr, unknown))}; "
            f"it takes {', '.join(signature.parameters) or 'none'}."
        )
