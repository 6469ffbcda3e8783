"""What can be known about a module before it is trained."""

import copy
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sklearnish.data import Batch, Features, restored_generators, warn
from sklearnish.training._step.loss import BatchLoss, FunctionLoss, spell
from sklearnish.training._step.out_of_memory import is_out_of_memory
from sklearnish.training._step.parts import name_of
from sklearnish.training._step.precision import as_taken, autocast

_ALREADY = {"CrossEntropyLoss": "softmax", "BCEWithLogitsLoss": "sigmoid"}
_TAKE_PROBABILITIES = {
    nn.NLLLoss: ("log-probabilities", "log_softmax", "CrossEntropyLoss"),
    nn.BCELoss: ("probabilities", "a sigmoid", "BCEWithLogitsLoss"),
}
_ENDINGS = {"softmax": (nn.Softmax, nn.Softmax2d), "sigmoid": (nn.Sigmoid,)}

_FIT_THEM = (
    "Make it fit them; if its __init__ has an argument `in_features`, it is given the number of "
    "values in a row."
)

_ROUGH = 1e-4
"""Share of a loss by which rounding may change it, at most."""

_LOOKED_AT = 64
"""Rows on which a criterion is tried."""

_APART = 100
"""How many times the training loss the first validation loss is, if the rows are not alike."""


def dry_run(module: nn.Module, X: Features, precision: str, device: torch.device) -> Tensor:
    """Compute the outputs for a few rows in eval mode, which changes no running statistics."""
    module.eval()
    if isinstance(X, Tensor):
        X = as_taken(X, precision)
    with torch.no_grad(), autocast(precision, device), _explained(module, X):
        outputs = module(**X) if isinstance(X, dict) else module(X)
    if not isinstance(outputs, Tensor):
        raise ValueError(
            f"module {name_of(module)} returned {type(outputs).__name__}; forward must "
            "return one tensor of logits or values."
        )
    if not outputs.is_floating_point():
        raise ValueError(
            f"module {name_of(module)} returned numbers of type {outputs.dtype}, which have "
            "no gradients (argmax returns such numbers). Return logits or values from forward: "
            "predict takes the argmax."
        )
    return outputs


@contextmanager
def _explained(module: nn.Module, X: Features) -> Iterator[None]:
    """Say on which rows the module fails, in an error of the same type."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        plain = type(error) in (RuntimeError, TypeError, ValueError, IndexError)
        if not plain or is_out_of_memory(error):
            raise
        rows = {"": X} if isinstance(X, Tensor) else X
        shapes = ", ".join(f"{name} {tuple(x.shape[1:])}".strip() for name, x in rows.items())
        raise type(error)(
            f"module {name_of(module)} fails on rows of shape {shapes}: {error}. "
            + (_channels_last(rows.values()) or _FIT_THEM)
        ) from error


def _channels_last(rows: Iterable[Tensor]) -> str:
    """Say how images of height x width x channels become those that torch's layers take."""
    shapes = [x.shape[1:] for x in rows]
    if not any(len(s) == 3 and s[2] in (1, 3, 4) and s[0] not in (1, 3, 4) for s in shapes):
        return ""
    return (
        "Rows look like images of height x width x channels, but torch's layers take channels "
        "first. Move the axes: X.permute(0, 3, 1, 2) for a tensor, X.transpose(0, 3, 1, 2) for "
        "an array, or ds.map_batches(lambda X: X.permute(0, 3, 1, 2))."
    )


def no_gradients(module: nn.Module) -> RuntimeError:
    """Make the error for a loss from which no parameter can be learned."""
    return RuntimeError(
        f"The outputs of module {name_of(module)} have no gradients, so nothing can be "
        "learned. Does forward use torch.no_grad(), .detach(), .numpy() or argmax, or are all "
        "parameters frozen? Return logits or values: predict needs no gradients, and takes the "
        "argmax."
    )


def one_value_per_channel(module: nn.Module, n_rows: int) -> ValueError:
    """Make the error for a batch of which a normalisation learns nothing."""
    rows = f"{n_rows} rows" if n_rows > 1 else "one row"  # maybe that of another process
    return ValueError(
        f"A batch normalisation in module {name_of(module)} is given a single value per channel, "
        f"of a batch of {rows}: it trains on the mean and deviation of several. Take a larger "
        "batch_size, and fit more rows than one."
    )


def check_shape(module: nn.Module, outputs: Tensor, n_rows: int, wanted: int, what: str) -> None:
    """Raise unless there is one row of outputs per row, as wide as the target."""
    good = [(n_rows, wanted)] + ([(n_rows,)] if wanted == 1 else [])
    if tuple(outputs.shape) in good:
        return
    raise ValueError(
        f"module {name_of(module)} returned shape {tuple(outputs.shape)} for {n_rows} rows; "
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
            f"{name_of(module)} are none. Use criterion=nn.{instead}, which takes logits, "
            f"or a module that ends in {ending}."
        )


def warn_of_final_activation(module: nn.Module, outputs: Tensor, criterion: Any) -> None:
    """Warn if the module ends in what the loss applies itself."""
    name = type(criterion).__name__
    ending = _ALREADY.get(name)
    if ending is None or not _ends_in(module, outputs, ending):
        return
    warn(
        f"module {name_of(module)} ends in a {ending}, which {name} applies itself; twice "
        f"over, it learns slowly and badly. Return logits instead: remove the {ending} at the end.",
        UserWarning,
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


def warn_of_other_rows(history: Any) -> None:
    """Warn after the first epoch if the validation rows look like rows of another kind."""
    last = history[-1]
    train, valid = last["train_loss"], last.get("valid_loss", 0.0)
    if len(history) == 1 and 0 < _APART * train < valid:
        warn(
            f"The first validation loss, {valid:.3g}, is {valid / train:,.0f} times the training "
            f"loss, {train:.3g}. Were the validation rows transformed as the training rows were? A "
            "Pipeline does not transform X_val by itself: use Pipeline(..., "
            'transform_input=["X_val"]) with sklearn.set_config(enable_metadata_routing=True) and '
            "estimator.set_fit_request(X_val=True, y_val=True). Compare the scale of y_val with "
            "that of y, too.",
            UserWarning,
        )


def check_row_mean(criterion: nn.Module) -> None:
    """Refuse losses that are no mean over rows: of parts of a batch they give another mean.

    Raises
    ------
    ValueError
        If a criterion adds rows up, weighs classes itself, or ignores rows.
    """
    keywords = getattr(getattr(criterion, "function", None), "keywords", {})
    of_classes = isinstance(criterion, nn.CrossEntropyLoss | nn.NLLLoss)
    given = vars(criterion) | dict(getattr(criterion, "_buffers", {})) if of_classes else keywords
    if getattr(criterion, "reduction", "mean") == "sum":
        fault, cure = "adds the losses of rows up", "Use reduction='mean', the default"
    elif given.get("weight") is not None:
        fault = "weighs classes itself, so that its mean is not one over rows"
        cure = "Use class_weight= of the estimator instead"
    elif given.get("ignore_index", -100) >= 0:
        fault, cure = "ignores rows", "Leave those rows out, or give them sample_weight=0"
    else:
        return
    name = type(criterion).__name__
    raise ValueError(
        f"Several processes average over rows, but the criterion {name} {fault}. {cure}."
    )


def check_apart(loss: BatchLoss, y_pred: Tensor, y: Tensor) -> None:
    """Refuse a criterion that is no mean over rows, by some of them, four or more.

    It is called with all of them, and with each by itself, twice over, since a function may
    squeeze a single row. One that draws random numbers is not judged.

    Raises
    ------
    ValueError
        If the mean of the losses of each is not the loss of all.
    """
    n = min(len(y), _LOOKED_AT)
    rows = torch.arange(n, device=y.device)
    with torch.no_grad(), restored_generators(True, y_pred.device):
        tried = copy.deepcopy(loss)  # it may have a state
        parts = (rows, rows, *(row.expand(2) for row in rows))
        losses = torch.stack([tried(y_pred[p], Batch(y_pred[p], y[p]))[0] for p in parts])
    whole, again, *each = losses.tolist()
    mean, most = sum(each) / n, max(map(abs, each))
    known = whole == again and math.isfinite(whole)
    if known and not abs(mean - whole) <= _ROUGH * max(abs(whole), most):
        given = loss.criterion
        name = spell(given.function) if isinstance(given, FunctionLoss) else type(given).__name__
        raise ValueError(
            f"Several processes average over rows, but the criterion {name} is no mean over them: "
            f"of {n} rows it is {whole:.6g}, and of each by itself {mean:.6g} on average. Return "
            "the mean of what each row loses by itself, or train in one process."
        )
