"""Trees of state, copies of modules, and the state of the generators.

A *tree* is nested dicts, lists and tuples of plain values and tensors.
"""

import copy
import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearnish.data import device_generator
from sklearnish.training._checkpoints.tree_file import Tree


def copied(tree: Any) -> Any:
    """Copy a tree, its tensors into the memory of the host: training overwrites them."""
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, dict):
        return {name: copied(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(copied(value) for value in tree)
    return tree


def copied_modules(*modules: nn.Module) -> tuple[Any, ...]:
    """Copy modules, which may share weights.

    Raises
    ------
    TypeError
        If one of them cannot be copied.
    """
    kept = [t for module in modules for part in module.modules() for t in _results(vars(part))]
    try:
        return copy.deepcopy(modules, {id(t): t.detach().clone() for t in kept})
    except Exception as error:  # the module's own code: anything can come
        names = " and ".join(type(module).__name__ for module in modules)
        raise TypeError(
            f"{names} cannot be copied ({error}). partial_fit and warm_start train a copy, so that "
            "predict has the old model until the new one is there. Keep what copy.deepcopy cannot "
            "copy out of the module's attributes, or define __deepcopy__."
        ) from error


def _results(attributes: dict[str, Any]) -> Iterator[Tensor]:
    """Find tensors that were computed, and kept by a forward: torch refuses to copy them."""
    for value in attributes.values():
        parts: Iterable[Any] = (value,)
        if isinstance(value, dict):
            parts = value.values()
        elif isinstance(value, list | tuple):
            parts = value
        yield from (part for part in parts if isinstance(part, Tensor) and not part.is_leaf)


def generators(device: torch.device) -> Tree:
    """Return the states of the global generators, that of the device included."""
    own = device_generator(device)
    return {
        "torch": torch.default_generator.get_state(),
        "device": None if own is None else own.get_state(),
        "type": device.type,
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002 - a module may draw from it
        "python": random.getstate(),
    }


def set_generators(states: Tree, device: torch.device) -> None:
    """Set the states of the global generators; those of another kind of device mean nothing."""
    torch.default_generator.set_state(states["torch"])
    own = device_generator(device)
    if own is not None and states["type"] == device.type:
        own.set_state(states["device"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    random.setstate(states["python"])
