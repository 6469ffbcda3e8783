"""What can be known about a module before it is trained."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sklearnish.data._batch import Features
from sklearnish.training._devices import autocast
from sklearnish.training._memory import is_out_of_memory

_ALREADY = {"CrossEntropyLoss": "softmax", "BCEWithLogitsLoss": "sigmoid"}
_TAKE_PROBABILITIES = {
    nn.NLLLoss: ("log-probabilities", "log_softmax", "CrossEntropyLoss"),
    nn.BCELoss: ("probabilities", "a sigmoid", "BCEWithLogitsLoss"),
}
_ENDINGS = {
    "softmax": (nn.Softmax, nn.Softmax2d),
    "sigmoid": (nn.Sigmoid,),
}


def dry_run(module: nn.Module, X: Features, precision: str, device: torch.device) -> Tensor:
    """Compute the outputs for a few rows in eval mode, which changes no running statistics."""
    module.eval()
    if isinstance(X, Tensor) and X.dtype == torch.uint8:
        X = X.to(torch.float64 if precision == "float64" else torch.float32)
    with torch.no_grad(), autocast(precision, device), _explained(module, X):
        outputs = module(**X) if isinstance(X, dict) else module(X)
    if not isinstance(outputs, Tensor):
        raise ValueError(
            f"module {type(module).__name__} returned {type(outputs).__name__}; forward must "
            "return one tensor of logits or values."
        )
    return outputs


@contextmanager
def _explained(module: nn.Module, X: Features) -> Iterator[None]:
    """Say on which rows the module fails, in an error of the same type."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        if type(error) not in (RuntimeError, TypeError, ValueError, IndexError):
            raise
        if is_out_of_memory(error):
            raise
        rows = {"": X} if isinstance(X, Tensor) else X
        shapes = ", ".join(f"{name} {tuple(x.shape[1:])}".strip() for name, x in rows.items())
        raise type(error)(
            f"module {type(module).__name__} fails on rows of shape {shapes}: {error}. Make it fit "
            "them; if its __init__ names `in_features`, it is told how many values a row has."
        ) from error


def check_shape(module: nn.Module, outputs: Tensor, n_rows: int, wanted: int, what: str) -> None:
    """Raise unless there is one row of outputs per row, as wide as the target."""
    good = [(n_rows, wanted)] + ([(n_rows,)] if wanted == 1 else [])
    if tuple(outputs.shape) in good:
        return
    raise ValueError(
        f"module {type(module).__name__} returned shape {tuple(outputs.shape)} for {n_rows} rows; "
        f"wanted {' or '.join(map(str, good))}: {what}. Let the module's __init__ name "
        "`out_features` (and `in_features`) to be told the sizes."
    )


def check_probabilities(
    module: nn.Module, outputs: Tensor, criterion: Any, *, are_logits: bool
) -> None:
    """Raise if the loss takes probabilities, or their logarithms, and the outputs are none.

    NLLLoss of anything else is a number too, and falls without end. Some logits look like
    probabilities, so that it is worth knowing that they are logits.
    """
    rows = outputs.detach().float().reshape(len(outputs), -1)
    if type(criterion) not in _TAKE_PROBABILITIES or rows.isnan().any():
        return
    what, ending, instead = _TAKE_PROBABILITIES[type(criterion)]
    if are_logits:
        good = False
    elif type(criterion) is nn.BCELoss:
        good = bool(((rows >= 0) & (rows <= 1)).all())
    else:
        good = _add_up_to_one(rows.exp(), atol=1e-2)  # of half precision, maybe
    if not good:
        raise ValueError(
            f"{type(criterion).__name__} takes {what}, but the outputs of module "
            f"{type(module).__name__} are none. Use criterion=nn.{instead}, which takes logits, "
            f"or a module that ends in {ending}."
        )


def warn_of_final_activation(module: nn.Module, outputs: Tensor, criterion: Any) -> None:
    """Warn if the module ends in what the loss applies itself."""
    name = type(criterion).__name__
    ending = _ALREADY.get(name)
    if ending is None or not _ends_in(module, outputs, ending):
        return
    warnings.warn(
        f"module {type(module).__name__} ends in a {ending}, which {name} applies itself; twice "
        f"over, it learns slowly and badly. Return logits instead: remove the {ending} at the end.",
        UserWarning,
        stacklevel=2,
    )


def _ends_in(module: nn.Module, outputs: Tensor, ending: str) -> bool:
    """Look at the last layer, and, for a softmax, whether the outputs are probabilities."""
    last = list(module.modules())[-1]
    if isinstance(last, _ENDINGS[ending]):
        return True
    if ending != "softmax" or outputs.ndim < 2 or outputs.shape[1] < 2:
        return False
    return bool((outputs >= 0).all()) and _add_up_to_one(outputs, atol=1e-5)


def _add_up_to_one(rows: Tensor, *, atol: float) -> bool:
    """Tell whether the values of each row do."""
    sums = rows.sum(1)
    return torch.allclose(sums, torch.ones_like(sums), rtol=0, atol=atol)
