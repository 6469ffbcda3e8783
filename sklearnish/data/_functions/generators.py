"""Random generators that a user's object holds: found, seeded by address, and put back.

A generator of NumPy, Python or torch that a Dataset or a function keeps would repeat its numbers
in every worker process, since each has a copy.
"""

import functools
import gc
import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from types import (
    BuiltinMethodType,
    CodeType,
    FrameType,
    FunctionType,
    MethodType,
    ModuleType,
    TracebackType,
)
from typing import Any, NamedTuple

import numpy as np
import torch

from sklearnish.data._functions.code import names_in

_MOST = 64
"""Generators of one object, each of which is seeded for each row."""

_LOOKED_AT = 100_000
"""Parts of one object that are looked at: it may hold lists of anything."""

_LIBRARIES = {
    *sys.stdlib_module_names,
    *("PIL", "cv2", "h5py", "matplotlib", "numpy", "pandas", "polars", "pyarrow", "scipy"),
    *("sklearn", "sklearnish", "skorch", "torch", "torchvision", "zarr"),
}
"""Packages whose code, and whose arrays and tables, hold no generator of the user's."""

_TAKEN_APART = {"scipy", "sklearn", "torch", "torchvision"}
"""Of these, the ones whose objects may: compositions of transforms, distributions, models."""

_OF_PYTHON = {"builtins", "collections", "functools", "itertools", "types"}
"""Modules of Python whose objects hold others where only the garbage collector sees them."""

_NOT_LOOKED_AT = (ModuleType, CodeType, BaseException, FrameType, TracebackType)
"""What holds no generator of one object, or leads to all that runs."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.ndarray, np.generic, torch.Tensor)

_SEVERAL = (list, tuple, set, frozenset, deque)

_STEP = 0x9E3779B97F4A7C15
"""Between the seeds of two generators of one object (of splitmix64)."""


class Held(NamedTuple):
    """One generator: how its state is read, put back, and seeded with 64 bits."""

    get: Callable[[], Any]
    put: Callable[[Any], object]
    seed: Callable[[int], object]


def seed_held(held: Iterable[Held], seed: int) -> None:
    """Seed generators, each with bits of its own."""
    for i, generator in enumerate(held, start=1):
        generator.seed((seed + i * _STEP) % 2**64)


def find_generators(*roots: Any) -> tuple[Held, ...]:
    """Find the generators that objects and functions hold, in an order that is always the same.

    Looked through are attributes, containers, closures, defaults, bound methods, partials, the
    globals that functions read, classes, and what context variables and ``threading.local`` hold
    in this thread; not the global generators themselves.

    Raises
    ------
    TypeError
        If there are so many that to seed each for each row would take long.
    """
    found: dict[int, Held] = {}
    seen: dict[int, Any] = {}  # what was looked at, kept alive
    queue = deque(roots)
    while queue and len(seen) < _LOOKED_AT:
        value = queue.popleft()
        if _is_plain(value) or id(value) in seen:
            continue
        seen[id(value)] = value
        generator = _as_held(value)
        if generator is None:
            queue.extend(_parts(value))
        elif generator:
            found.setdefault(*generator)
    if len(found) > _MOST:
        raise TypeError(
            f"{type(roots[0]).__name__} holds {len(found)} random generators, too many to seed "
            "for every row, so worker processes would repeat their numbers. Use one, or create "
            "one when a row is read: np.random.default_rng((seed, i))."
        )
    return tuple(found.values())


def _is_plain(value: Any) -> bool:
    """Tell what holds nothing but numbers and text."""
    holds = isinstance(value, np.ndarray) and value.dtype == object and value.size < _LOOKED_AT
    return isinstance(value, _PLAIN) and not holds


def _as_held(value: Any) -> tuple[int, Held] | tuple[()] | None:
    """Describe a generator, by what identifies it; () if it is a global one, None if it is none."""
    if isinstance(value, np.random.RandomState):
        bits = value._bit_generator
        if bits is np.random.mtrand._rand._bit_generator:
            return ()
        put = value.set_state
        return id(bits), Held(lambda: value.get_state(legacy=False), put, _state_seeder(value))
    if isinstance(value, np.random.Generator | np.random.BitGenerator):
        bits = value.bit_generator if isinstance(value, np.random.Generator) else value
        return id(bits), Held(
            lambda: bits.state, lambda s: setattr(bits, "state", s), _seeder(bits)
        )
    if isinstance(value, torch.Generator):
        if value is torch.default_generator:
            return ()
        return id(value), Held(value.get_state, value.set_state, value.manual_seed)
    if isinstance(value, random.Random):
        if value is random._inst or isinstance(value, random.SystemRandom):
            return ()
        return id(value), Held(value.getstate, value.setstate, value.seed)
    return None


def _seeder(bits: Any) -> Callable[[int], object]:
    """Seed a bit generator of any kind: by the state of a new one, which for one kind is slow."""
    if isinstance(bits, np.random.MT19937):
        return lambda seed: bits._legacy_seeding(seed & 0xFFFFFFFF)
    return lambda seed: setattr(bits, "state", type(bits)(seed).state)


def _state_seeder(value: Any) -> Callable[[int], object]:
    """Seed a RandomState, and what it keeps of a pair of normal numbers."""
    bits = value._bit_generator
    if isinstance(bits, np.random.MT19937):
        return lambda seed: value.seed(seed & 0xFFFFFFFF)
    return lambda seed: value.set_state(type(bits)(seed).state | {"has_gauss": 0, "gauss": 0.0})


def _parts(value: Any) -> Iterator[Any]:
    """List what an object consists of, as far as it may lead to a generator."""
    if isinstance(value, _SEVERAL):
        yield from _members(value)
    elif isinstance(value, Mapping):
        with suppress(Exception):  # the user's own code
            yield from _members([*value, *value.values()])
    elif isinstance(value, np.ndarray):
        yield from _members(value.ravel().tolist())
    elif isinstance(value, FunctionType):
        yield from _of_function(value)
    elif isinstance(value, MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, type):
        yield from _of_class(value)
    elif isinstance(value, BuiltinMethodType) or type(value).__name__.startswith("cython_function"):
        yield getattr(value, "__self__", None)  # such as rng.normal
    elif isinstance(value, ContextVar):
        with suppress(LookupError):  # of this thread
            yield value.get()
    elif isinstance(value, threading.local):
        yield from list(vars(value).values())
    elif isinstance(value, _NOT_LOOKED_AT):
        pass
    elif type(value).__module__ in _OF_PYTHON:
        yield from gc.get_referents(value)  # iterators, generator functions, caches, namespaces
    else:
        yield from _of_object(value)


def _members(values: Iterable[Any]) -> Iterator[Any]:
    """Pass over a container of plain things: it may be long."""
    if not all(issubclass(kind, _PLAIN) for kind in set(map(type, values))):
        yield from values


def _of_object(value: Any) -> Iterator[Any]:
    """List the attributes of an object, and its class, whose methods may read globals."""
    kind = type(value)
    if _package(kind) in _LIBRARIES - _TAKEN_APART:
        return
    with suppress(Exception):  # the user's own code
        yield from list(vars(value).values())
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            with suppress(Exception):
                yield getattr(value, name)
    yield kind


def _of_class(kind: type) -> Iterator[Any]:
    """List attributes and methods of a user's class."""
    for base in kind.__mro__:
        if _package(base) not in _LIBRARIES:
            for attribute in vars(base).values():
                if isinstance(attribute, staticmethod | classmethod):
                    yield attribute.__func__
                elif isinstance(attribute, property):
                    yield from (attribute.fget, attribute.fset)
                else:
                    yield attribute


def _of_function(function: FunctionType) -> Iterator[Any]:
    """List what a user's function holds and reads."""
    if _package(function) in _LIBRARIES:
        return
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not filled yet
            yield cell.cell_contents
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from vars(function).values()
    names = names_in(function.__code__)
    for name in names:
        value = function.__globals__.get(name)
        if not isinstance(value, ModuleType):
            yield value
        elif value.__name__.partition(".")[0] not in _LIBRARIES:
            yield from (vars(value)[other] for other in names if other in vars(value))


def _package(thing: Any) -> str:
    """Name the package that defines a class or function."""
    return str(getattr(thing, "__module__", None) or "").partition(".")[0]
