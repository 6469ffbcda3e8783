"""Functions of rows and of batches, with their randomness.

A *row function* sees the features of one row, a *batch function* any chunk of rows, a *per-batch
function* exactly one training batch. Randomness comes only from (seed, epoch, position in the
epoch's order): whichever process runs a function, on whichever chunk, draws the same numbers.
"""

import functools
import inspect
import pickle
import pkgutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearnish.data._batch import Features, n_rows
from sklearnish.data._outputs import Filler, as_features, check_real, check_rows, describe, rows_of
from sklearnish.data._processes import Nowhere
from sklearnish.data._randomness import (
    Randomness,
    one_thread,
    restored_generators,
    seed_generators,
)
from sklearnish.data._source import IntArray

WAYS_OUT = (
    "define it with def at the top level of a module, bind its settings with functools.partial, "
    "or use num_workers=0"
)


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
            raise TypeError(f"expected a function of the features, got {self.f!r}")
        object.__setattr__(self, "names_rng", _names_rng(self.f))

    @property
    def name(self) -> str:
        """What errors call it."""
        f = self.f
        while isinstance(f, functools.partial):
            f = f.func
        return str(getattr(f, "__qualname__", None) or type(f).__qualname__)

    @property
    def uses_global_generators(self) -> bool:
        """Whether it may draw from torch's, numpy's or Python's own generators."""
        return not self.names_rng


@dataclass(frozen=True)
class RowFunction(Function):
    """``f(x)`` or ``f(x, rng=...)`` on the features of one row."""


@dataclass(frozen=True)
class BatchFunction(Function):
    """``f(X)`` on any chunk of rows, row by row in effect; ``rng`` belongs to the first row."""


@dataclass(frozen=True)
class PerBatch(Function):
    """``f(X)`` or ``f(X, y)`` on exactly one training batch. Made by ``per_batch``."""

    takes_y: bool = field(init=False)

    def __post_init__(self) -> None:
        """Look at the signature once, not per batch."""
        super().__post_init__()
        object.__setattr__(self, "takes_y", _takes_y(self.f))

    @property
    def path(self) -> str | None:
        """``module:name``, where ``@per_batch`` took the place of the function.

        Not in ``__main__``, whose functions joblib sends by what they are compiled to.
        """
        module, name = getattr(self.f, "__module__", None), getattr(self.f, "__qualname__", None)
        if module not in (None, "__main__"):
            with suppress(ImportError, AttributeError, ValueError):
                if pkgutil.resolve_name(f"{module}:{name}") is self:
                    return f"{module}:{name}"
        return None

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
        torchvision's v2 transforms. A parameter ``rng`` receives a ``numpy.random.Generator``.
        The number of rows must stay the same.

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
    >>> from sklearnish.data._transforms import per_batch
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
            raise TypeError(f"augment must be a function, per_batch(function) or a list, got {f!r}")
    functions = [f if isinstance(f, Function) else RowFunction(f) for f in given]
    rows = tuple(f for f in functions if not isinstance(f, PerBatch))
    return rows, tuple(f for f in functions if isinstance(f, PerBatch))


def uses_global_generators(functions: Sequence[Function]) -> bool:
    """Say whether some function must not run in a thread beside the training step."""
    return any(f.uses_global_generators for f in functions)


def check_picklable(functions: Sequence[Function]) -> None:
    """Raise TypeError, naming function and cure, if one cannot be sent to a worker process."""
    for function in functions:
        try:
            pickle.dump(function, Nowhere())
        except Exception as error:  # pickling runs the object's own code: anything can come
            message = f"{function.name} cannot be sent to worker processes ({error}): {WAYS_OUT}"
            raise TypeError(message) from error


def apply_rows(
    functions: Sequence[Function],
    X: Features,
    *,
    seed: int,
    epoch: int,
    positions: IntArray,
    salt: int = 0,
    name_row: Callable[[int], str] = "row {} of these".format,
    seconds: list[float] | None = None,
) -> Features:
    """Run row and batch functions, in order, on a chunk of rows.

    Parameters
    ----------
    functions : sequence of RowFunction or BatchFunction
        What to run.
    X : Tensor or dict of Tensor, n rows
        The features. Functions may change them in place, so they must belong to the caller.
    seed, epoch : int
        Not negative.
    positions : ndarray of int64, shape (n,)
        Each row's position in the epoch's order, from which its random numbers come.
    salt : int, default=0
        Tells calls apart that share the seed, epoch and positions and must draw other numbers.
    name_row : callable, optional
        Names a row by its index in the chunk, for errors.
    seconds : list of float, default=None
        Takes the time of each function.

    Returns
    -------
    Tensor or dict of Tensor
        The new features, n rows.
    """
    if not functions or not len(positions):
        return X
    drawn = Randomness((seed, epoch, salt))
    with (
        torch.no_grad(),
        one_thread(),
        restored_generators(uses_global_generators(functions), torch.device("cpu")),
    ):
        chunk = _Chunk(drawn, positions, name_row)
        for index, function in enumerate(functions):
            begun = time.perf_counter()
            run = _run_rows if isinstance(function, RowFunction) else _run_chunk
            X = run(function, X, index, chunk)
            if seconds is not None:
                seconds.append(time.perf_counter() - begun)
    return X


def apply_batch(
    functions: Sequence[PerBatch],
    X: Features,
    y: Tensor | None,
    *,
    seed: int,
    epoch: int,
    batch: int,
) -> tuple[Features, Tensor | None]:
    """Run per-batch functions, in order, on one training batch where it lies.

    Parameters
    ----------
    functions : sequence of PerBatch
        What to run.
    X : Tensor or dict of Tensor, n rows
        The features; they may be changed in place.
    y : Tensor or None, n rows
        The target.
    seed, epoch, batch : int
        Where the random numbers come from; not negative.

    Returns
    -------
    X : Tensor or dict of Tensor, n rows
        The new features.
    y : Tensor or None, n rows
        The new target.
    """
    if not functions:
        return X, y
    drawn = Randomness((seed, epoch, 1, 1))  # four words: never a row function's stream
    device = next(iter(X.values())).device if isinstance(X, dict) else X.device
    with torch.no_grad(), restored_generators(uses_global_generators(functions), device):
        for index, function in enumerate(functions):
            with _noted(function, lambda: f"batch {batch} of epoch {epoch}"):
                X, y = _run_batch(function, X, y, drawn, index, batch, device)
    check_real(X, functions[-1].name)
    return X, y


class _Chunk(NamedTuple):
    """Rows that functions are run on: where their randomness comes from, and their names."""

    drawn: Randomness
    positions: IntArray
    name_row: Callable[[int], str]


def _run_rows(function: Function, X: Features, index: int, chunk: _Chunk) -> Features:
    """Run a function row by row into one new tensor per field."""
    filler: Filler | None = None
    drawn, positions, name_row = chunk
    seeds = drawn.seeds(index, positions) if function.uses_global_generators else None
    places = positions.tolist()
    for i, x in enumerate(rows_of(X)):
        keywords = {}
        if seeds is None:
            keywords["rng"] = drawn.generator(index, places[i])
        else:
            seed_generators(seeds[i])
        try:
            out = as_features(function.f(x, **keywords))
            filler = filler or Filler(out, places)
            filler.put(i, out)
        except Exception as error:
            error.add_note(f"raised in {function.name} on {name_row(i)}")
            raise
    assert filler is not None
    return filler.result


def _run_chunk(function: Function, X: Features, index: int, chunk: _Chunk) -> Features:
    """Run a vectorised function on the whole chunk."""
    drawn, positions, name_row = chunk
    place = int(positions[0])
    keywords = {}
    if function.names_rng:
        keywords["rng"] = drawn.generator(index, place)
    else:
        seed_generators(drawn.seeds(index, positions[:1])[0])
    with _noted(function, lambda: f"{len(positions)} rows, the first of them {name_row(0)}"):
        out = as_features(function.f(X, **keywords))
        check_rows(out, len(positions), "map_batches")
    return out


def _run_batch(
    function: PerBatch,
    X: Features,
    y: Tensor | None,
    drawn: Randomness,
    index: int,
    batch: int,
    device: torch.device,
) -> tuple[Features, Tensor | None]:
    """Run one per-batch function."""
    keywords = {}
    if function.names_rng:
        keywords["rng"] = drawn.generator(index, batch)
    else:
        seed_generators(drawn.seeds(index, np.array([batch], np.int64))[0], device)
    n = n_rows(X)
    out = function.f(X, y, **keywords) if function.takes_y else function.f(X, **keywords)
    if isinstance(out, tuple | list):
        if not function.takes_y or len(out) != 2:
            wanted = "X or (X, y)" if function.takes_y else "X (it was not given y)"
            raise TypeError(f"expected {wanted}, got {len(out)} values")
        out, y = out
    out = as_features(out)
    check_rows(out, n, "per_batch")
    if y is not None and (not isinstance(y, Tensor) or y.ndim == 0 or y.shape[0] != n):
        raise ValueError(f"per_batch must return a tensor y of {n} rows, got {describe(y)}")
    return out, y


@contextmanager
def _noted(function: Function, where: Callable[[], str]) -> Iterator[None]:
    """Say in which function and on which rows an error arose; its type stays."""
    try:
        yield
    except Exception as error:
        error.add_note(f"raised in {function.name} on {where()}")
        raise


def _parameters(f: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Read the signature; a module's is its forward's; unknown ones are empty."""
    target = f.forward if isinstance(f, torch.nn.Module) else f
    try:
        return dict(inspect.signature(target).parameters)
    except (TypeError, ValueError):  # some builtins have none
        return {}


def _names_rng(f: Callable[..., Any]) -> bool:
    """Say whether a function asks for ``rng``; one bound by functools.partial is not asked for."""
    inner = f
    while isinstance(inner, functools.partial):
        if "rng" in inner.keywords:
            return False
        inner = inner.func
    return "rng" in _parameters(f)


def _takes_y(f: Callable[..., Any]) -> bool:
    """Say whether a per-batch function wants the target as its second argument."""
    parameters = [p for p in _parameters(f).values() if p.name != "rng"]
    if parameters and parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return parameters[0].name == "inputs"
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(places) < 2:
        return False
    second = places[1]
    return second.default is second.empty or second.name in ("y", "target", "targets", "labels")
