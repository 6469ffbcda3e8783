"""Parts of a module, by name: which are frozen, and which learn at rates of their own.

A name is that of a weight, or of a layer with all that is in it, or a pattern such as "*.bias".
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from torch import nn


def check_parts(module: nn.Module, names: Sequence[str], parameter: str) -> None:
    """Refuse a name that no weight of a module has."""
    weights = [name for name, _ in _named_weights(_inner(module))]
    for wanted in names:
        if not any(_is_in(name, wanted) for name in weights):
            parts = ", ".join(dict.fromkeys(repr(name.partition(".")[0]) for name in weights))
            raise ValueError(
                f"{parameter} names {wanted!r}, but {name_of(module)} has no weights of that "
                f"name. Its parts are {parts}; its named_parameters() lists all. Name a part, "
                f'a weight, or a pattern such as "*.bias".'
            )


@contextmanager
def frozen(module: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Keep weights as they are, whatever is learned meanwhile."""
    weights = [
        weight
        for name, weight in _named_weights(_inner(module))
        if weight.requires_grad and _is_in_any(name, names)
    ]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


def put_in_eval_mode(module: nn.Module, names: Sequence[str]) -> None:
    """Let frozen layers keep statistics and drop nothing: those meant, or all of whose weights are.

    A pattern such as "body.1.*" means the weights of a layer without being its name.
    """
    if not names:
        return
    for name, layer in _inner(module).named_modules():
        weights = [f"{name}.{weight}".lstrip(".") for weight, _ in _named_weights(layer)]
        all_meant = bool(weights) and all(_is_in_any(weight, names) for weight in weights)
        if all_meant or _is_in_any(name, names):
            layer.eval()


def groups_of(
    module: nn.Module, weights: Sequence[Any], factors: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Sort weights into groups, each with a factor of the learning rate; the first name counts."""
    known: dict[Any, list[str]] = {}
    for name, weight in _named_weights(_inner(module)):
        known.setdefault(weight, []).append(name)
    found = {
        weight: next((f for wanted, f in factors.items() if _is_meant(names, wanted)), 1.0)
        for weight, names in known.items()
    }
    groups: dict[float, list[Any]] = {1.0: []}
    for weight in weights:
        groups.setdefault(float(found.get(weight, 1.0)), []).append(weight)
    return [{"params": some, "lr_factor": f} for f, some in groups.items() if some]


def _named_weights(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Name the weights; one that parts share has the name that it has in each of them."""
    return module.named_parameters(remove_duplicate=False)


def _inner(module: nn.Module) -> nn.Module:
    """Return what has the names that users know: a module of ours may wrap theirs."""
    wraps = getattr(module, "wraps", None)
    found: nn.Module = module if wraps is None else getattr(module, wraps)
    return found


def name_of(module: nn.Module) -> str:
    """Name the class that users know."""
    return type(_inner(module)).__name__


def _is_in_any(name: str, names: Sequence[str]) -> bool:
    """Say whether a weight or layer is meant by one of some names."""
    return any(_is_in(name, wanted) for wanted in names)


def _is_meant(names: Sequence[str], wanted: str) -> bool:
    """Say whether one of the names of a weight is meant."""
    return any(_is_in(name, wanted) for name in names)


def _is_in(name: str, wanted: str) -> bool:
    """Say whether a weight or layer is the one of a name, is in it, or fits a pattern."""
    return name == wanted or name.startswith(f"{wanted}.") or fnmatchcase(name, wanted)
