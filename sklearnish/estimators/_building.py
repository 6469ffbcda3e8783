"""The module and criterion of one fit."""

import copy
import inspect
from typing import Any

import numpy as np
import torch
from torch import nn

from sklearnish.data import Dataset
from sklearnish.modules import MLP
from sklearnish.training import check_arguments, input_moments


def build_module(
    module: Any, params: dict[str, Any] | None, sizes: dict[str, int]
) -> nn.Module:
    """Build the module: None is an MLP, a class is called, an instance is copied."""
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
    sizes = {name: size for name, size in sizes.items() if name in names}
    check_arguments(factory, params, "module")
    built = factory(**(sizes | params))
    if not isinstance(built, nn.Module):
        raise TypeError(
            f"module must be an nn.Module or a class of them; {module!r} gave "
            f"{type(built).__name__}."
        )
    return built


def n_inputs(dataset: Dataset) -> int:
    """Count the values of a row, whatever its shape."""
    return int(np.prod(dataset.row_shape, dtype=np.int64))


def scale_inputs(module: nn.Module, dataset: Dataset, seed: int, *, weighted: bool) -> None:
    """Give a module that asks for it the moments of its inputs."""
    setter = getattr(module, "set_input_scaling", None)
    if setter is not None:
        with torch.no_grad():
            setter(*input_moments(dataset, seed, weighted=weighted))
