"""Functions of rows, of frames and of batches, with their randomness.

A *row function* sees the features of one row, a *batch function* any chunk of rows, a *frame
function* such a chunk as a DataFrame, a *per-batch function* exactly one training batch. A frame
function draws no random numbers. Randomness of others comes only from (seed, epoch, position in the
epoch's order): whichever process runs a function, on whichever chunk, draws the same numbers.
"""

import functools
import inspect
import pkgutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from types import FunctionType
from typing import Any

import torch

from sklearnish.data._arrow.frames import FRAMES
from sklearnish.data._functions.generators import Held, find_generators, seed_held
from sklearnish.data._functions.randomness import seed_generators
from sklearnish.data._shown import shown


@dataclass(frozen=True)
class Function:
    """A user's callable and what its signature asks for.

    Attributes
    ----------
    f : callable
        The user's function; picklable where worker processes are used.
    names_rng : bool
        Whether it has a parameter ``rng`` and so is given a ``numpy.random.Generator``.
    """

    f: Callable[..., Any]
    names_rng: bool = field(init=False)

    def __post_init__(self) -> None:
        """Look at the signature once, not per row."""
        if not callable(self.f):
            raise TypeError(f"expected a function of the features, got {shown(self.f)}")
        object.__setattr__(self, "names_rng", _names(self.f, "rng"))

    @property
    def name(self) -> str:
        """What errors call it."""
        f = self.f
        while isinstance(f, functools.partial):
            f = f.func
        return str(getattr(f, "__qualname__", None) or type(f).__qualname__)

    @property
    def uses_global_generators(self) -> bool:
        """Whether it may draw from torch's, numpy's or Python's own generators.

        One that has the attribute ``draws = False`` promises not to.
        """
        return not self.names_rng and bool(getattr(self.f, "draws", True))

    @functools.cached_property
    def held(self) -> tuple[Held, ...]:
        """Generators that it holds; found again in each process, which has its own."""
        return find_generators(self.f)

    def seed(self, seed: int, device: torch.device | None = None) -> None:
        """Seed what it may draw from."""
        if self.uses_global_generators:
            seed_generators(seed, device)
        seed_held(self.held, seed)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is found again."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class RowFunction(Function):
    """``f(x)`` or ``f(x, rng=...)`` on the features of one row."""


@dataclass(frozen=True)
class BatchFunction(Function):
    """``f(X)`` on any chunk of rows, row by row in effect; ``rng`` belongs to the first row."""


@dataclass(frozen=True)
class FrameFunction(Function):
    """``f(frame)`` on any chunk of rows as a DataFrame, row by row in effect."""

    frame: str = "pandas"

    def __post_init__(self) -> None:
        """Refuse other kinds of frames, and randomness: it would depend on chunks."""
        super().__post_init__()
        if self.frame not in FRAMES:
            known = ", ".join(map(repr, FRAMES))
            raise ValueError(f"frame must be one of {known}, got {shown(self.frame)}.")
        if self.names_rng:
            raise ValueError(
                f"{self.name} has a parameter rng, but a function of frames must make the same of "
                "the same rows. Draw random numbers in ds.map, ds.map_batches or augment=."
            )

    @property
    def takes_rows(self) -> bool:
        """Whether it is given row numbers, too: one with ``takes_rows = True`` asks for them."""
        return bool(getattr(self.f, "takes_rows", False))


@dataclass(frozen=True)
class PerBatch(Function):
    """``f(X)`` or ``f(X, y)`` on exactly one training batch. Made by ``per_batch``."""

    takes_y: bool = field(init=False)
    names_epoch: bool = field(init=False)

    def __post_init__(self) -> None:
        """Look at the signature once, not per batch."""
        super().__post_init__()
        object.__setattr__(self, "takes_y", _takes_y(self.f))
        object.__setattr__(self, "names_epoch", _names(self.f, "epoch"))

    @property
    def path(self) -> str | None:
        """``module:name``, where ``@per_batch`` took the place of the function.

        Not in ``__main__``, whose functions joblib sends by what they are compiled to.
        """
        # Only of what has its name from Python, and among what is imported already: the attributes
        # of an object may come from a file.
        if not isinstance(self.f, FunctionType | type) or self.f.__module__ == "__main__":
            return None
        found: Any = sys.modules.get(self.f.__module__)
        for part in self.f.__qualname__.split("."):
            found = getattr(found, "__dict__", {}).get(part)
        return f"{self.f.__module__}:{self.f.__qualname__}" if found is self else None

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel under that name."""
        path = self.path
        return (pkgutil.resolve_name, (path,)) if path else super().__reduce_ex__(protocol)


def per_batch(f: Callable[..., Any]) -> PerBatch:
    """Mark a function for ``augment=`` as one that sees whole training batches.

    It runs after the batch is cut, on the device it trains on, as kornia's augmentations and
    MixUp want it; functions that are not marked see one row at a time.

    Parameters
    ----------
    f : callable
        ``f(X)``, returning the new X, or ``f(X, y)``, returning the new ``(X, y)`` (or X alone).
        It is given y if it has two positional parameters without defaults, a second parameter
        called ``y``, ``target``, ``targets`` or ``labels``, or the ``*inputs`` of
        torchvision's v2 transforms. A parameter ``rng`` receives a ``numpy.random.Generator``,
        a parameter ``epoch`` the number of the epoch, from 0. The number of rows must stay the
        same.

    Returns
    -------
    PerBatch
        To be passed as ``augment=``, alone or in a list.

    Raises
    ------
    TypeError
        If `f` is not callable.

    Examples
    --------
    >>> from sklearnish import per_batch
    >>> def scaled(X, rng):
    ...     return X * rng.uniform(0.9, 1.1)
    >>> per_batch(scaled).names_rng
    True
    """
    return PerBatch(f)


def split_augment(augment: Any) -> tuple[tuple[Function, ...], tuple[PerBatch, ...]]:
    """Sort ``augment=`` (None, a callable or a list of them) into row and per-batch functions."""
    if augment is None:
        return (), ()
    given = augment if isinstance(augment, list | tuple) else [augment]
    for f in given:
        if not callable(f) and not isinstance(f, Function):
            raise TypeError(
                f"augment must be a function, per_batch(function) or a list, got {shown(f)}"
            )
    functions = [f if isinstance(f, Function) else RowFunction(f) for f in given]
    rows = tuple(f for f in functions if not isinstance(f, PerBatch))
    return rows, tuple(f for f in functions if isinstance(f, PerBatch))


def uses_global_generators(functions: Sequence[Function]) -> bool:
    """Say whether some function must not run in a thread beside the training step."""
    return any(f.uses_global_generators for f in functions)


def _parameters(f: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Read the signature; a module's is its forward's; unknown ones are empty."""
    target = f.forward if isinstance(f, torch.nn.Module) else f
    try:
        return dict(inspect.signature(target).parameters)
    except (TypeError, ValueError):  # some builtins have none
        return {}


def _names(f: Callable[..., Any], name: str) -> bool:
    """Say whether a function asks for something; it does not for what functools.partial binds."""
    inner = f
    while isinstance(inner, functools.partial):
        if name in inner.keywords:
            return False
        inner = inner.func
    return name in _parameters(f)


def _takes_y(f: Callable[..., Any]) -> bool:
    """Say whether a per-batch function wants the target as its second argument."""
    parameters = [p for p in _parameters(f).values() if p.name not in ("rng", "epoch")]
    if parameters and parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return parameters[0].name == "inputs"
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(places) < 2:
        return False
    second = places[1]
    return second.default is second.empty or second.name in ("y", "target", "targets", "labels")
