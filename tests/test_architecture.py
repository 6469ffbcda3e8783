"""The house rules that a linter does not know, checked on the syntax tree of every module.

An import inside a function, or for types alone, counts as any other: it ties two files together.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "sklearnish").rglob("*.py"))

# Which parts of the package each part may import. What is not named here may import anything.
ALLOWED = {
    "data": {"data"},
    "modules": {"modules"},
    "preprocessing": {"data", "preprocessing"},
    "training": {"data", "preprocessing", "training"},
    "estimators": {"data", "preprocessing", "training", "modules", "estimators"},
    "persistence": {"data", "preprocessing", "training", "modules", "estimators", "persistence"},
    "plotting": {"data", "preprocessing", "training", "estimators", "plotting"},
    "clusters": {"data", "training", "estimators", "clusters"},
    "inspection": {"data", "inspection"},
    "_show_versions": set(),
}
# The other packages each part may import beside the standard library.
DEPENDENCIES = {
    "data": {
        *("narwhals", "numpy", "platformdirs", "pyarrow", "scipy", "torch", "tqdm"),
        *(
            "PIL",
            "deltalake",
            "fsspec",
            "h5py",
            "pandas",
            "polars",
            "pyiceberg",
            "simplejpeg",
            "zarr",
        ),
    },
    "modules": {"torch"},
}
_ONNX = {"onnx", "onnxruntime", "onnxscript"}
_STORES = {"deltalake", "fsspec", "h5py", "pyiceberg", "zarr"}
LAZY = {"PIL", "matplotlib", "pandas", "polars", "ray", "simplejpeg"} | _ONNX | _STORES
ONE_FILE = {"PIL", "ray", "simplejpeg"} | _ONNX | _STORES
MOST_LINES = 400

# What breaks a rule for now, as the test words it, and why. The aim is that nothing stands here.
EXCEPTIONS: dict[str, str] = {}


class Import(NamedTuple):
    """One imported name: "torch", "sklearnish.data._source.Source"; led by dots if relative."""

    name: str
    line: int
    inside_function: bool
    for_types: bool


def _imports(tree: ast.AST, inside=False, types=False) -> Iterator[Import]:
    """Yield what a module imports, wherever it does."""
    for node in ast.iter_child_nodes(tree):
        for name in _names(node):
            yield Import(name, node.lineno, inside, types)
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        guard = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        yield from _imports(node, inside or function, types or guard)


def _names(node: ast.AST) -> list[str]:
    """Name what one statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def _part(module: str) -> str:
    """Return "data" for "sklearnish.data._source"; "" for the façade itself."""
    return [*module.split("."), ""][1]


def _is_private(name: str) -> bool:
    """Tell whether a name is below the face of one of our packages."""
    return any(part.startswith("_") for part in name.split(".")[2:])


def _format(module: str) -> str | None:
    """Return "csv" for anything in "sklearnish.data._sources.csv", None outside the formats."""
    parts = module.split(".")
    return parts[3] if parts[:3] == ["sklearnish", "data", "_sources"] and parts[3:] else None


def violations(module: str, source: str) -> list[str]:
    """Say which of the rules a module breaks; a package is given as "sklearnish.data"."""
    tree = ast.parse(source)
    faults = [
        f"{module}:{item.line} {fault}"
        for item in _imports(tree)
        for fault in _faults(module, item)
    ]
    faults += [f"{module}: __all__ is not sorted" for _ in _unsorted(tree)]
    if source.count("\n") > MOST_LINES:
        faults.append(f"{module} has more than {MOST_LINES} lines")
    return faults


def _faults(module: str, item: Import) -> Iterator[str]:
    """Yield what is wrong with one import."""
    part, package = _part(module), item.name.split(".")[0]
    if item.name.startswith("."):
        yield "imports relatively"
    elif package == "sklearnish":
        if part in ALLOWED and _part(item.name) not in ALLOWED[part]:
            yield f"imports {item.name}: {part} may not"
        if _part(item.name) != part and _is_private(item.name):
            yield f"imports {item.name}: it is private to {_part(item.name)}"
        if _format(module) and _format(item.name) not in (None, _format(module)):
            yield f"imports {item.name}: formats do not know each other"
    elif package not in sys.stdlib_module_names:
        if package not in DEPENDENCIES.get(part, {package}):
            yield f"imports {package}: {part} may not"
        if package == "skorch" and part != "training":
            yield "imports skorch: only training may"
        if package in LAZY and not (item.inside_function or item.for_types):
            yield f"imports {package} outside a function"


def _unsorted(tree: ast.Module) -> Iterator[list[str]]:
    """Yield every ``__all__`` that is out of order."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = ast.literal_eval(node.value)
            if list(names) != sorted(names, key=_order):
                yield names


def _order(name: str) -> tuple[bool, bool, str]:
    """Sort as ruff does: CONSTANTS, then Classes, then functions."""
    return not name.isupper(), not name[0].isupper(), name


def _name(path: Path) -> str:
    """Return the import name of a file of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {_name(path): path.read_text(encoding="utf-8") for path in FILES}


@pytest.mark.parametrize("module", SOURCES)
def test_module_keeps_the_rules(module):
    assert [fault for fault in violations(module, SOURCES[module]) if fault not in EXCEPTIONS] == []


def test_the_exceptions_are_still_needed():
    found = {fault for module, source in SOURCES.items() for fault in violations(module, source)}
    assert set(EXCEPTIONS) <= found


def test_files_do_not_import_each_other_in_a_circle():
    assert circle(TIES) is None


PACKAGES = [name for name in SOURCES if any(other.startswith(f"{name}.") for other in SOURCES)]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_in_a_folder_does_not_import_each_other_in_a_circle(package):
    assert circle(within(package, TIES)) is None


def circle(graph: dict[str, set[str]]) -> list[str] | None:
    """Return names that import each other in a circle, if some do."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def within(package: str, ties: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return which files and folders of a folder import which."""
    graph: dict[str, set[str]] = {}
    for name, others in ties.items():
        room = _room(package, name)
        reached = {_room(package, other) for other in others} - {None, room}
        if room:
            graph.setdefault(room, set()).update(reached)
    return graph


def _room(package: str, name: str) -> str | None:
    """Return the file or folder of a folder in which a module is; None outside, or for its face."""
    inside = name.removeprefix(f"{package}.")
    return inside.split(".")[0] if inside != name else None


def _tied(name: str) -> set[str]:
    """Return the modules of ours that one of them imports, wherever it does."""
    found = {_ours(item.name) for item in _imports(ast.parse(SOURCES[name]))}
    return found - {name, None}


def _ours(name: str) -> str | None:
    """Return the module of ours that holds a name: the longest prefix that is a file."""
    while name and name not in SOURCES:
        name = name.rpartition(".")[0]
    return name or None


TIES = {name: _tied(name) for name in SOURCES}


MAPS = {"data": "sklearnish/data/README.md"}
MAPS |= dict.fromkeys(
    ("estimators", "preprocessing", "training", "persistence", "plotting"), "docs/architecture.md"
)


@pytest.mark.parametrize("package", MAPS)
def test_on_the_maps_each_folder_imports_only_what_stands_below_it(package):
    tree = re.search(rf"^{package}/\n((?: .*\n)+)", (ROOT / MAPS[package]).read_text(), re.M)[1]
    rows = re.findall(r"^  ((?:_[a-z]\w*(?:\.py|/),? ?)+)", tree, re.M)
    rows = [re.findall(r"\w+(?=\.py|/)", row) for row in rows]
    place = {name: i for i, row in enumerate(rows) for name in row}
    ties = within(f"sklearnish.{package}", TIES)
    assert set(place) == set(ties)
    upward = [(a, b) for a in ties for b in ties[a] if place[a] > place[b]]
    assert upward == []


@pytest.mark.parametrize(
    ("ties", "package", "found"),
    [
        ({"p._a.x": {"p._b.y"}, "p._b.z": {"p._a.w"}}, "p", {"_a", "_b"}),
        ({"p._a.x": {"p._b.y"}, "p._b.z": {"p._c"}}, "p", None),
        ({"p._a.x": {"p._a.y"}, "p._a.y": {"p._a.x"}}, "p", None),  # the files' own rule
        ({"p._a.x": {"p._a.y"}, "p._a.y": {"p._a.x"}}, "p._a", {"x", "y"}),
        ({"p": {"p._a.x"}, "p._a.x": {"p"}}, "p", None),
    ],
)
def test_a_circle_of_folders_is_found(ties, package, found):
    names = circle(within(package, ties))
    assert (names and set(names)) == found


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.name != "__init__.py"],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_each_module_has_its_tests(path):
    """``sklearnish/data/_order/windows.py`` has tests/data/order/test_windows.py."""
    *folders, name = (part.lstrip("_") for part in path.relative_to(ROOT / "sklearnish").parts)
    assert ROOT.joinpath("tests", *folders, f"test_{name}").exists()


def test_an_optional_package_is_imported_by_one_file():
    users = defaultdict(set)
    for name, source in SOURCES.items():
        for item in _imports(ast.parse(source)):
            users[item.name.split(".")[0]].add(name)
    assert {package: users[package] for package in ONE_FILE if len(users[package]) > 1} == {}


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("data._dataset", "import sklearn.base", "imports sklearn: data may not"),
        ("data._dataset", "def f():\n    from skorch import NeuralNet", "only training may"),
        ("data._loader", "from sklearnish.training import _net", "data may not"),
        ("data._loader", "from sklearnish import estimators", "data may not"),
        ("data._loader", "from sklearnish import Dataset", "data may not"),
        ("data._loader", "import sklearnish", "data may not"),
        ("data._loader", "from . import _source", "imports relatively"),
        ("data._sources.csv", "from sklearnish.data._sources.parquet import x", "each other"),
        ("data._sources.csv", "from sklearnish.data._sources import parquet", "each other"),
        ("data._sources.images", "import PIL.Image", "outside a function"),
        ("data._sources.frames", "class A:\n    import polars", "outside a function"),
        ("modules._mlp", "import numpy", "imports numpy: modules may not"),
        ("modules._mlp", "from sklearnish.data import Batch", "modules may not"),
        ("training._net", "from sklearnish.modules import MLP", "training may not"),
        ("estimators._base", "import skorch", "only training may"),
        ("plotting", "from sklearnish.persistence import save", "plotting may not"),
        ("plotting", "import matplotlib.pyplot", "outside a function"),
        ("data", "__all__ = ['b', 'a']", "not sorted"),
        ("training._net", "def f():\n    from sklearnish.data._batch import Batch", "private"),
        ("training._net", "if TYPE_CHECKING:\n    from sklearnish.data._x import A", "private"),
        ("plotting", "from sklearnish.data import _report", "private to data"),
        ("data._dataset", "\n" * 401, "more than 400 lines"),
    ],
)
def test_a_violation_is_found(module, source, fault):
    assert fault in " ".join(violations(f"sklearnish.{module}", source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("data._loader", "import os, torch\nfrom sklearnish.data._source import Source"),
        ("data._sources.images", "def f():\n    import PIL.Image"),
        ("data._scan.files", "from sklearnish.data._sources import csv, parquet"),
        ("data._sources.frames", "if TYPE_CHECKING:\n    import polars"),
        ("training._net", "import skorch\nfrom sklearnish.data import Batch"),
        ("estimators._base", "import sklearn\nfrom sklearnish.modules import MLP"),
        ("data", "__all__ = ['MAX', 'Aa', 'b']"),
    ],
)
def test_what_is_allowed_is_not_a_violation(module, source):
    assert violations(f"sklearnish.{module}", source) == []
