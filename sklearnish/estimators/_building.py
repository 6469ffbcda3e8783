"""The module, criterion and net of one fit."""

import copy
import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearnish.data import Batch, Dataset
from sklearnish.data._batch import each, to_device
from sklearnish.data._reading import nearest_to_block
from sklearnish.modules import MLP
from sklearnish.training import (
    OPTIMIZERS,
    Net,
    check_arguments,
    check_probabilities,
    check_shape,
    dry_run,
    input_moments,
    make_criterion,
    warn_of_final_activation,
    weight_dtype,
)
from sklearnish.training._loss import spell

Known = dict[str, Any]
"""What building asks of the rows, noted so that they are not read to build the same again."""


def build_module(estimator: Any, dataset: Dataset, device: torch.device) -> nn.Module:
    """Build the module for these rows, on the device."""
    sizes = {"in_features": n_inputs(dataset), "out_features": estimator._n_outputs()}
    module = make_module(estimator.module, estimator.module_params, sizes)
    return module.to(device=device, dtype=weight_dtype(estimator.precision))


def make_module(module: Any, params: dict[str, Any] | None, sizes: dict[str, int]) -> nn.Module:
    """Build a module: None is an MLP, a class is called, an instance is copied."""
    params = dict(params or {})
    if isinstance(module, nn.Module):
        if params:
            raise ValueError(
                f"module_params={params} need a module class, but module is an instance; pass "
                f"{type(module).__name__} itself."
            )
        return copy.deepcopy(module)
    factory = MLP if module is None else module
    names = inspect.signature(factory).parameters
    check_arguments(factory, params, "module")
    built = _call(factory, {name: n for name, n in sizes.items() if name in names} | params)
    if not isinstance(built, nn.Module):
        raise TypeError(
            f"module must be an nn.Module or a class of them; {module!r} gave "
            f"{type(built).__name__}."
        )
    return built


def _call(factory: Any, given: dict[str, Any]) -> Any:
    """Build a module; where it refuses its arguments, say where they come from."""
    try:
        return factory(**given)
    except TypeError as error:
        told = ", ".join(f"{key}={value!r}" for key, value in given.items()) or "no arguments"
        raise TypeError(
            f"module {spell(factory)} cannot be built with {told}: {error}. Give what it needs in "
            "module_params={...}; only in_features and out_features are given to it unasked, if "
            "its __init__ names them. Or pass a module that is built already."
        ) from error


def n_inputs(dataset: Dataset) -> int:
    """Count the values of a row, whatever its shape."""
    return int(np.prod(dataset.row_shape, dtype=np.int64))


def scale_inputs(
    module: nn.Module, dataset: Dataset, seed: int, known: Known, *, weighted: bool
) -> None:
    """Give a module that asks for it the moments of its inputs."""
    setter = getattr(module, "set_input_scaling", None)
    if setter is not None:
        if "moments" not in known:
            known["moments"] = input_moments(dataset, seed, weighted=weighted)
        with torch.no_grad():
            setter(*known["moments"])


def build_net(
    estimator: Any, module: nn.Module, dataset: Dataset, device: torch.device, known: Known
) -> Net:
    """Try the module on some rows, choose the criterion, and build the net around both."""
    if "rows" not in known:
        known["rows"] = _two_rows(dataset, real=estimator.module is not None).X
    rows = each(_three, Batch(known["rows"]))
    outputs = dry_run(module, to_device(rows, device).X, estimator.precision, device)
    chosen = estimator._choose_criterion(outputs)
    criterion = make_criterion(chosen, dict(estimator.criterion_params or {}))
    criterion.to(dtype=weight_dtype(estimator.precision))  # its weights, if it has any
    wanted = estimator._width(outputs)
    check_shape(module, outputs, len(rows), wanted, estimator._describe_outputs())
    check_probabilities(module, outputs, criterion, are_logits=isinstance(module, MLP))
    warn_of_final_activation(module, outputs, criterion)
    optimizer = OPTIMIZERS.get(estimator.optimizer, estimator.optimizer)
    net = estimator._net_class(
        module,
        criterion,
        optimizer=optimizer,
        lr=estimator.lr,
        batch_size=estimator.batch_size,
        max_epochs=estimator.max_epochs,
        lr_schedule=estimator.lr_schedule,
        clip_grad_norm=estimator.clip_grad_norm,
        accumulate_steps=estimator.accumulate_steps,
        precision=estimator.precision,
        units=estimator._loss_units(criterion),
        weighted=estimator.sampler != "weighted",
        device=device,
        compile=estimator.compile,
        callbacks=list(estimator.callbacks or []),
        verbose=estimator.verbose,
        **{f"optimizer__{k}": v for k, v in (estimator.optimizer_params or {}).items()},
    )
    net.n_outputs_ = wanted
    net.initialize()
    return net


def _three(rows: Tensor) -> Tensor:
    """Repeat the last of two rows: for two outputs, a mean over two rows would look right."""
    return rows[torch.arange(3).clamp(max=len(rows) - 1)]


def _two_rows(dataset: Dataset, *, real: bool) -> Batch:
    """Take rows to try a module on: made up for an MLP if real ones cost reading a block.

    A user's module may fail on numbers it is not made for. Where rows come in blocks it is
    given one row twice, since a second may lie in another block.
    """
    n = min(2, len(dataset))
    if dataset.source.blocks is None or dataset.transforms:
        return dataset.read(np.arange(n), finite=True)
    if real:
        return dataset.read(np.full(n, nearest_to_block(dataset)), finite=True)
    made_up = np.random.default_rng(0).integers(0, 256, (n, *dataset.row_shape))
    return Batch(torch.from_numpy(made_up.astype(dataset.dtype)))
