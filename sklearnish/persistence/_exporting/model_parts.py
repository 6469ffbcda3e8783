"""From a model of scikit-learn's or ours to the parts that go into a graph, in their order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklearnish.estimators import TorchEstimator
from sklearnish.modules import MLP
from sklearnish.preprocessing import Streamed, TableEncoder

Array = npt.NDArray[Any]


class Scaling(nn.Module):
    """What scikit-learn's scalers do to columns: subtract, divide, and maybe clip."""

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: Any, scale: Any, limits: tuple[float, float] | None = None) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))
        self.limits = limits

    def forward(self, X: Tensor) -> Tensor:
        """Scale rows, in float64."""
        scaled = (X.double() - self.shift) / self.scale
        return scaled if self.limits is None else scaled.clamp(*self.limits)


@dataclass(frozen=True)
class Parts:
    """A fitted model, taken apart.

    Attributes
    ----------
    model : estimator
        What is asked for predictions: the estimator, or a Pipeline or search around it.
    estimator : TorchEstimator
        The estimator.
    encoder : TableEncoder or None
        What makes numbers of a table's columns, which is the first to be applied.
    scalings : tuple of Scaling
        What is applied then, one after the other.
    """

    model: Any
    estimator: Any
    encoder: TableEncoder | None
    scalings: tuple[Scaling, ...]


def parts_of(model: Any) -> Parts:
    """Take a model apart.

    Raises
    ------
    TypeError
        If it is none of ours, nor a Pipeline or search around one.
    ValueError
        If a step of a Pipeline cannot be part of a graph, or a search has no best estimator.
    NotFittedError
        If it is not fitted.
    """
    steps = list(_steps(model)) or [("", model)]
    _, estimator = steps.pop()
    if not isinstance(estimator, TorchEstimator) or not estimator._result:
        is_class = isinstance(estimator, type)
        told = f"the class {estimator.__name__}" if is_class else type(estimator).__name__
        raise TypeError(
            f"export takes a classifier or regressor of sklearnish, or a Pipeline or search around "
            f"one, got {told}."
        )
    check_is_fitted(estimator)
    encoder: TableEncoder | None = getattr(estimator, "encoder_", None)
    if encoder is not None and steps:
        raise ValueError(
            f"{type(estimator).__name__} encodes columns by itself; fit it without the step "
            f"{steps[0][0]!r} before it, then export it."
        )
    if steps and isinstance(steps[0][1], TableEncoder):
        encoder = steps.pop(0)[1]
    return Parts(model, estimator, encoder, tuple(_scaling(*step) for step in steps))


def _steps(model: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """List the steps that do something, those of inner Pipelines and best estimators too."""
    if isinstance(model, Pipeline):
        for inner, step in model.steps:
            yield from _steps(step, inner)
    elif isinstance(model, Streamed):
        check_is_fitted(model)
        yield from _steps(model.transformer_, name)
    elif hasattr(model, "error_score"):  # of searches alone, fitted or not
        yield from _steps(_best_of(model), name)
    elif model is not None and not (isinstance(model, str) and model == "passthrough"):
        yield name, model


def _best_of(search: Any) -> Any:
    """Return what a search found, if it is fitted and kept that."""
    check_is_fitted(search)
    if not hasattr(search, "best_estimator_"):
        raise ValueError(
            f"{type(search).__name__} was fitted with refit={search.refit!r} and has no best "
            "estimator. Fit it with refit=True."
        )
    return search.best_estimator_


def _scaling(name: str, step: Any) -> Scaling:
    """Make the scaling of a step."""
    if type(step) not in _SCALERS:
        known = ", ".join(kind.__name__ for kind in _SCALERS)
        raise ValueError(
            f"The step {name!r}, a {type(step).__name__}, cannot be part of the file; those that "
            f"can are {known}, and TableEncoder as the first. Export the last step alone, "
            "model[-1], and apply the others before the file is run; or, for a table of mixed "
            "columns, fit a TabularClassifier or TabularRegressor."
        )
    return _SCALERS[type(step)](step)


def _standard(step: Any) -> Scaling:
    """Return what StandardScaler does."""
    return Scaling(step.mean_ if step.with_mean else 0.0, step.scale_ if step.with_std else 1.0)


def _robust(step: Any) -> Scaling:
    """Return what RobustScaler does."""
    shift = step.center_ if step.with_centering else 0.0
    return Scaling(shift, step.scale_ if step.with_scaling else 1.0)


def _min_max(step: Any) -> Scaling:
    """Return what MinMaxScaler does, which multiplies and adds."""
    low, high = step.feature_range
    limits = (float(low), float(high)) if step.clip else None
    return Scaling(-step.min_ / step.scale_, 1 / step.scale_, limits)


def _max_abs(step: Any) -> Scaling:
    """Return what MaxAbsScaler does."""
    return Scaling(0.0, step.scale_, (-1.0, 1.0) if getattr(step, "clip", False) else None)


_SCALERS: dict[type, Callable[[Any], Scaling]] = {
    StandardScaler: _standard,
    MinMaxScaler: _min_max,
    MaxAbsScaler: _max_abs,
    RobustScaler: _robust,
}


def center_of(parts: Parts) -> tuple[Array, Array] | None:
    """Say around which values rows of numbers lie, and how far; None if that is not known."""
    if parts.scalings:
        first = parts.scalings[0]
        return first.shift.numpy(), first.scale.numpy()
    module = parts.estimator.module_
    if not isinstance(module, MLP):
        return None
    mean, scale = (values.detach().cpu().double().numpy() for values in (module.mean, module.scale))
    return mean, scale
