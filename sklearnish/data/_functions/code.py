"""What a function or class is: its code, and what that reads.

Code of the user's counts by what it does, whichever module it is in; that of Python and of
installed packages by its import path.
"""

import dis
import importlib
import importlib.util
import itertools
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

_SLOTS = (GetSetDescriptorType, MemberDescriptorType)

_HEAP_TYPE = 1 << 9
"""Flag of classes that Python code made."""

_INSTALLED = {"site-packages", "dist-packages"}


def path_says_all(module: str, name: str, value: Any) -> bool:
    """Tell whether an import path identifies a class, function or module."""
    if isinstance(value, ModuleType):
        return True
    if isinstance(value, type) and not value.__flags__ & _HEAP_TYPE:
        return True
    if is_own(module):
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def is_own(module: str) -> bool:
    """Tell a module of the user's from those of Python, of installed packages, and of ours."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == "sklearnish":
        return False
    if top in ("__main__", "__mp_main__"):
        return True
    places = _places(top)
    return bool(places) and all(_INSTALLED.isdisjoint(Path(place).parts) for place in places)


def _places(top: str) -> list[str]:
    """List the file or folders of a module that may not be imported yet."""
    found = sys.modules.get(top)
    spec = getattr(found, "__spec__", None)
    if found is None:
        with suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(top)
    file = getattr(found, "__file__", None) or getattr(spec, "origin", None)
    return [file] if file else list(getattr(spec, "submodule_search_locations", None) or ())


def file_of(module: str) -> bytes | None:
    """Return the text of a module; None for one that is in no file."""
    file = getattr(sys.modules.get(module), "__file__", None)
    with suppress(OSError, TypeError):
        return Path(file).read_bytes()  # type: ignore[arg-type]
    return None


def parts_of_function(function: FunctionType) -> list[Any]:
    """List what a function does, and by what: defaults, attributes, and the variables it reads."""
    cells = [_content(cell) for cell in function.__closure__ or ()]
    defaults = (function.__defaults__, function.__kwdefaults__)
    return [function.__code__, defaults, cells, vars(function)]


def read_by(function: FunctionType) -> Iterator[tuple[str, str, Any]]:
    """Give module, name and value of what a function, or one defined in it, reads.

    These are globals, what is imported when it runs, and, of modules of the user's, what has a
    name that the code uses. What the code itself assigns is no part: it changes while it runs.
    """
    known, code = function.__globals__, function.__code__
    home, used = str(known.get("__name__")), names_in(code)
    names = _names(code, "LOAD_GLOBAL", "LOAD_NAME") - _names(code, "STORE_GLOBAL")
    found = {name: known[name] for name in names if name in known}
    found |= _imported(code, known.get("__package__") or "")
    left = [(home, name, value) for name, value in sorted(found.items())]
    seen: set[str] = set()
    while left:
        where, name, value = left.pop(0)
        yield where, name, value
        if isinstance(value, ModuleType) and value.__name__ not in seen and is_own(value.__name__):
            seen.add(value.__name__)
            inner = vars(value)
            left += [
                (value.__name__, name, inner[name]) for name in sorted(used.keys() & inner.keys())
            ]


def _imported(code: CodeType, package: str) -> dict[str, Any]:
    """Find the modules of the user's that code imports when it runs."""
    found: dict[str, Any] = {}
    steps = list(dis.get_instructions(code))
    for i, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            level = next((s.argval for s in steps[max(0, i - 2) : i] if type(s.argval) is int), 0)
            with suppress(Exception):  # what cannot be imported here is known by its name
                name = importlib.util.resolve_name("." * level + step.argval, package)
                if is_own(name):
                    found[f"import {name}"] = importlib.import_module(name)
    for inner in _inner(code):
        found |= _imported(inner, package)
    return found


def attributes_of(cls: type) -> dict[str, Any]:
    """Collect methods and attributes of a class.

    What Python itself keeps there is no part, nor what its methods assign to the class.
    """
    methods = [f for value in vars(cls).values() for f in _functions(_behind(value))]
    assigned = {name for f in methods for name in _assigned(f.__code__)}
    return {
        name: _behind(value)
        for name, value in sorted(vars(cls).items())
        if not isinstance(value, _SLOTS)
        and name not in {"_abc_impl", *assigned}
        and (callable(_behind(value)) or not name.startswith("__"))
    }


def _assigned(code: CodeType) -> set[str]:
    """Name the attributes that a method assigns to something else than its own object."""
    steps = list(dis.get_instructions(code))
    names = {
        step.argval
        for before, step in itertools.pairwise(steps)
        if step.opname == "STORE_ATTR" and _loaded(before.argval) != "self"
    }
    return names.union(*map(_assigned, _inner(code)))


def _loaded(argument: Any) -> Any:
    """Return the variable that was loaded last by a step that may load two."""
    return argument[-1] if isinstance(argument, tuple) else argument


def _functions(value: Any) -> list[FunctionType]:
    """List the functions among what is behind a descriptor."""
    found = value if isinstance(value, tuple) else (value,)
    return [f for f in found if isinstance(f, FunctionType)]


def _behind(attribute: Any) -> Any:
    """Return the functions of a descriptor, which cannot be pickled."""
    if isinstance(attribute, staticmethod | classmethod):
        return attribute.__func__
    if isinstance(attribute, property):
        return attribute.fget, attribute.fset, attribute.fdel
    if isinstance(attribute, cached_property):
        return attribute.func
    return attribute


def _content(cell: Any) -> Any:
    """Look into a cell of a closure, which may be empty still."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _names(code: CodeType, *steps: str) -> set[str]:
    """Name what some kinds of steps are about, in code and what is defined in it."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname in steps}
    return names.union(*(_names(inner, *steps) for inner in _inner(code)))


def names_in(code: CodeType) -> dict[str, None]:
    """Name all globals and attributes that code uses, and what is defined in it, in their order."""
    names = dict.fromkeys(code.co_names)
    for inner in _inner(code):
        names |= names_in(inner)
    return names


def _inner(code: CodeType) -> list[CodeType]:
    """List the functions, classes and comprehensions within."""
    return [part for part in code.co_consts if isinstance(part, CodeType)]
