import importlib
import re
import sys
import threading

import pytest

from sklearnish.data._fingerprint import fingerprint
from sklearnish.data._functions.code import is_own

GLOBALS = """
import abc, enum, functools, torch
from torch import nn
SCALE = {scale}
class Kind(enum.Enum):
    A = {kind}
def helper(x):
    return cached(x) * {helper}
@functools.lru_cache
def cached(x):
    return {cached}
class Part(nn.Linear):
    factor = {part}
class Module(nn.Module, abc.ABC):
    scale = {attribute}
    def __init__(self):
        super().__init__()
        self.part = Part(1, 1)
    def forward(self, X):
        return self.static(X) * self.double * self.again * self.made(Kind.A)
    @staticmethod
    def static(X):
        return X * {static}
    @classmethod
    def made(cls, kind):
        return {method}
    @property
    def double(self):
        return {double}
    @functools.cached_property
    def again(self):
        return {again}
def augment(x):
    return (lambda: helper(x) * SCALE * SCALE.real)()
class Callable:
    power = {power}
    def __call__(self, x):
        return x ** self.power
"""


def of_a_script(**changed):
    names = re.findall("{(.*?)}", GLOBALS)
    known = {"__name__": "__main__"}
    exec(GLOBALS.format(**dict.fromkeys(names, 1) | changed), known)
    return [known["augment"], known["Module"], known["Callable"]()]


@pytest.mark.parametrize(
    ("changed", "differing"),
    [
        ("scale", [0]),
        ("helper", [0]),
        ("cached", [0]),
        ("kind", [1]),
        ("part", [1]),
        ("attribute", [1]),
        ("static", [1]),
        ("method", [1]),
        ("double", [1]),
        ("again", [1]),
        ("power", [2]),
    ],
)
def test_what_code_of_the_script_reads_counts(changed, differing):
    first, same = of_a_script(), of_a_script()
    other = of_a_script(**{changed: 2})
    assert [fingerprint(f) for f in first] == [fingerprint(f) for f in same]
    found = [i for i in range(3) if fingerprint(first[i]) != fingerprint(other[i])]
    assert found == differing


def test_functions_that_call_each_other():
    known = {"__name__": "__main__"}
    exec("def f(x):\n  return g(x) + 1\ndef g(x):\n  return x and f(x - 1)", known)
    other = {"__name__": "__main__"}
    exec("def f(x):\n  return g(x) + 1\ndef g(x):\n  return x and f(x - 2)", other)
    assert fingerprint(known["f"], known["g"]) == fingerprint(known["f"], known["g"])
    assert fingerprint(known["f"]) != fingerprint(other["f"])
    assert fingerprint(known["g"], known["f"]) != fingerprint(known["f"], known["g"])


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Write and import modules of a user's, as they are now."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names = set()

    def load(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
            names.add(name)
        for name in names:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module(next(iter(texts)))

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield load
    for name in names:
        sys.modules.pop(name, None)


MODULES = {
    "a default": {"mine": "def f(x, k={}):\n  return x * k"},
    "a global": {"mine": "K = {}\ndef f(x):\n  return x * K"},
    "a callee": {"mine": "def g(x):\n  return x * {}\ndef f(x):\n  return g(x)"},
    "an attribute of a module": {
        "mine": "import other\ndef f(x):\n  return other.g(x)",
        "other": "def g(x):\n  return h(x)\ndef h(x):\n  return x * {}",
    },
    "an import inside": {
        "mine": "def f(x):\n  from other import K\n  return x * K",
        "other": "K = {}",
    },
    "a method": {"mine": "class C:\n  def g(self, x):\n    return x * {}\nf = C().g"},
    "what cannot be told": {
        "mine": "import threading\nlock = threading.Lock()  # {}\ndef f(x):\n  return lock"
    },
}


@pytest.mark.parametrize("kind", MODULES)
def test_a_function_of_an_imported_module_that_changed_is_another(mine, kind):
    def version(number):
        texts = MODULES[kind].items()
        return fingerprint(mine(**{name: text.format(number) for name, text in texts}).f)

    first = version(2)
    assert version(2) == first
    assert version(3) != first


def test_what_is_not_used_and_what_code_assigns_to_play_no_part(mine):
    text = """
OTHER = {0}  # {0}
steps = 0
class Count:
    last = None
    def go(self):
        Count.last = self
def f(x):
    global steps
    steps += 1
    Count().go()
    return x
"""
    f = mine(mine=text.format(2)).f
    before = fingerprint(f)
    f(1)
    assert fingerprint(f) == before == fingerprint(mine(mine=text.format(3)).f)


def test_installed_packages_count_by_name():
    assert not any(map(is_own, ["torch", "torch.nn", "numpy", "json", "builtins", "sklearnish"]))
    assert is_own("__main__")
    assert is_own(__name__)
    assert not is_own("there.is.none")
    with pytest.raises(TypeError, match="lock cannot be identified"):
        fingerprint(threading.Lock())
