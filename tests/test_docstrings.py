"""Every public name is documented as numpydoc wants it."""

import inspect
import pkgutil

import pytest
from numpydoc.validate import ERROR_MSGS, validate

import sklearnish

NOT_ENFORCED = {
    "GL01",  # our summaries start on the line of the quotes
    "SS06",  # a summary may need two lines of 100 characters
    "ES01",  # where the summary says it all, more is noise
    "SA01",  # "See Also" only where there is something to see
    "EX01",  # asked of classes and functions below; a method is shown by its class
    "GL07",  # sections in scikit-learn's order: Attributes before See Also
    "PR06",  # "array" and "string" are words in shapes and unions, not only types
}
ENFORCED = set(ERROR_MSGS) - NOT_ENFORCED


def _is_ours(member) -> bool:
    """Tell whether a class member was written here and not inherited from a dependency."""
    member = member.fget if isinstance(member, property) else member
    return str(getattr(member, "__module__", "")).startswith("sklearnish")


def _public_members(cls: type) -> list[str]:
    """List the methods and properties of a class that a user can call."""
    names = [name for name in dir(cls) if not name.startswith("_")]
    members = {name: getattr(cls, name, None) for name in names}
    return [
        name
        for name, member in members.items()
        if (callable(member) or isinstance(member, property)) and _is_ours(member)
    ]


def _documented_names() -> list[str]:
    """List the import path of every public name, and of the members of every public class."""
    paths = []
    for module in (
        sklearnish,
        sklearnish.preprocessing,
        sklearnish.inspection,
        sklearnish.plotting,
    ):
        for name in module.__all__:
            value = getattr(module, name)
            path = f"{module.__name__}.{name}"
            if inspect.isclass(value):
                paths += [f"{path}.{member}" for member in _public_members(value)]
            if not inspect.ismodule(value):
                paths.append(path)
    return paths


def _is_whole(path: str) -> bool:
    """Tell classes and functions from members of classes."""
    return inspect.ismodule(pkgutil.resolve_name(path.rpartition(".")[0]))


def _faults(path: str) -> list[str]:
    return [f"{code}: {text}" for code, text in validate(path)["errors"] if code in ENFORCED]


@pytest.mark.parametrize("path", _documented_names())
def test_follows_numpydoc(path):
    assert _faults(path) == []


@pytest.mark.parametrize("path", [path for path in _documented_names() if _is_whole(path)])
def test_public_names_have_an_example(path):
    doc = inspect.getdoc(pkgutil.resolve_name(path)) or ""
    assert "Examples\n--------\n" in doc
    assert ">>> " in doc


def test_a_bad_docstring_is_found():
    faults = " ".join(_faults("tests.test_docstrings.badly_documented"))
    for code in ("PR01", "RT01"):
        assert code in faults
    assert "GL08" in " ".join(_faults("tests.test_docstrings.undocumented"))


def badly_documented(x):
    """Do something with x."""
    return x


def undocumented(x):
    return x
