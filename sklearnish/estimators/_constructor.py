"""Constructors made of declared parameters: what is said of each in one place is used in all."""

import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, TypeVar, dataclass_transform

from sklearn.utils._param_validation import Interval, StrOptions

from sklearnish.estimators._nested_params import suggesting

Class = TypeVar("Class", bound=type)

AUTO = StrOptions({"auto"})
POSITIVE_INT = Interval(Integral, 1, None, closed="left")
POSITIVE = Interval(Real, 0, None, closed="neither")

_USUAL: dict[Any, tuple[str, list[Any]]] = {
    bool: ("bool", ["boolean"]),
    int: ("int", [POSITIVE_INT]),
    float: ("float", [POSITIVE]),
    int | str: ('int or "auto"', [AUTO, POSITIVE_INT]),
    dict[str, Any] | None: ("dict", [dict, None]),
}
"""What annotations usually stand for: a type in words, and constraints of scikit-learn."""


@dataclass(frozen=True)
class Parameter:
    """What is said of one parameter: its default, what it may be, and its text in docstrings."""

    default: Any
    kind: str | None
    allowed: Sequence[Any] | None
    doc: str
    kw_only: bool
    after: str | None
    in_fingerprint: bool
    annotation: Any = inspect.Parameter.empty

    def described(self, name: str) -> str:
        """Write the entry of a docstring."""
        shown = f'"{self.default}"' if isinstance(self.default, str) else repr(self.default)
        text = textwrap.indent(inspect.cleandoc(self.doc), "    ")
        return f"{name} : {self.kind}, default={shown}\n{text}"

    def in_signature(self, name: str) -> inspect.Parameter:
        """Return the entry of a signature."""
        kind = inspect.Parameter.KEYWORD_ONLY if self.kw_only else _POSITIONAL
        return inspect.Parameter(name, kind, default=self.default, annotation=self.annotation)


_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD


def parameter(
    *,
    default: Any,
    kind: str | None = None,
    allowed: Sequence[Any] | None = None,
    doc: str,
    kw_only: bool = True,
    after: str | None = None,
    in_fingerprint: bool = True,
) -> Any:
    """Declare a parameter, as an annotated attribute of a class.

    `kind` is its type in words; `allowed` are constraints of scikit-learn: by default those that
    the annotation usually stands for. It comes behind the
    parameters of the classes above, or right `after` one of them. One that says where or how fast
    something is computed, or whose effect is known otherwise, is not `in_fingerprint`: with
    another value, `checkpoint_dir` still holds the same fit. The type checker sees a field of a
    dataclass, whose value is of the annotated type.
    """
    return Parameter(default, kind, allowed, doc, kw_only, after, in_fingerprint)


def again(group: Any, name: str, **changes: Any) -> Any:
    """Declare a parameter of a group again, with another default or text."""
    return replace(group._parameters[name], **changes)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(parameter,))
def parameterized(cls: Class) -> Class:
    """Give a class a constructor of the parameters that it and its bases declare.

    Its docstring takes their texts at "{parameters}", and the attributes that a base documents
    at "{attributes}". What the class body gives another meaning, as a constant or a property, is
    no parameter of it, and `_called` names those that it calls otherwise.
    """
    found = cls._parameters = _collect(cls)  # type: ignore[attr-defined]
    cls._parameter_constraints = property(_constraints)  # type: ignore[attr-defined]
    for name in found:
        setattr(cls, name, found[name].default)
    for ours, name in vars(cls).get("_called", {}).items():
        setattr(cls, ours, _alias(name))
    cls.__init__ = suggesting(_constructor(cls, found))  # type: ignore[misc]
    _fill_in(cls, found)
    return cls


def _constraints(self: Any) -> dict[str, list[Any]]:
    """Return what scikit-learn's check of the parameters asks for."""
    return {name: declared.allowed for name, declared in self._parameters.items()}


def _collect(cls: type) -> dict[str, Parameter]:
    """Return the parameters of a class, in the order of its signature.

    What a base makes a constant or a property is none of those that the bases behind it declare.
    """
    found: dict[str, Parameter] = {}
    for base in reversed(cls.__bases__):
        own = getattr(base, "_parameters", {})
        found = {n: one for n, one in found.items() if n in own or n not in vars(base)} | own
    called = vars(cls).get("_called", {})
    found = {called.get(name, name): _reworded(one, called) for name, one in found.items()}
    annotations = inspect.get_annotations(cls)
    for name, value in vars(cls).items():
        if isinstance(value, Parameter):
            kind, usual = _USUAL.get(annotations[name], ("", []))
            kind, allowed = value.kind or kind, value.allowed or usual
            found[name] = replace(value, annotation=annotations[name], kind=kind, allowed=allowed)
        else:
            found.pop(name, None)
    names = sorted(found, key=lambda name: found[name].kw_only)
    for name in list(names):
        if (after := found[name].after) in names:
            names.remove(name)
            names.insert(names.index(after) + 1, name)
    return {name: found[name] for name in names}


def _reworded(declared: Parameter, called: dict[str, str]) -> Parameter:
    """Let a text name other parameters as the class does."""
    doc = re.sub(r"`(\w+)`", lambda found: f"`{called.get(found[1], found[1])}`", declared.doc)
    return replace(declared, doc=doc)


def _alias(name: str) -> property:
    """Return a property that stands for a parameter of another name."""

    def get(self: Any) -> Any:
        return getattr(self, name)

    return property(get, doc=f"The parameter `{name}`.")


def _constructor(cls: type, parameters: dict[str, Parameter]) -> Callable[..., None]:
    """Return a constructor that stores its arguments as they are."""
    declared = [one.in_signature(name) for name, one in parameters.items()]
    defaults = {name: one.default for name, one in parameters.items()}
    signature = inspect.Signature([inspect.Parameter("self", _POSITIONAL), *declared])

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            given = signature.bind(self, *args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{cls.__qualname__}(): {error}") from None
        for name, default in defaults.items():
            setattr(self, name, given.get(name, default))

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    __init__.__qualname__, __init__.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    return __init__


def _fill_in(cls: type, parameters: dict[str, Parameter]) -> None:
    """Write into the docstring what is said elsewhere, once: parameters, and shared attributes."""
    if cls.__doc__ is None or "{parameters}" not in cls.__doc__:
        return
    doc = inspect.cleandoc(cls.__doc__)
    entries = [one.described(name) for name, one in parameters.items()]
    doc = doc.replace("{parameters}", "\n".join(entries))
    for base in cls.__mro__[1:]:
        shared = inspect.cleandoc(vars(base).get("__doc__") or "").partition(_ATTRIBUTES)[2]
        if shared:
            doc = doc.replace("{attributes}", shared.partition("\n\n")[0])
    cls.__doc__ = f"{doc}\n"


_ATTRIBUTES = "Attributes\n----------\n"
