"""Names of code: what is on the list, what is refused."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import sklearnish as sn
from sklearnish.persistence._trust import INSTANCES, KNOWN, TO_NAME, Trust, is_known, name_of
from tests.estimators.common import TwoLayers
from tests.persistence.common import TWO_LAYERS

DANGEROUS = [
    *("os:system", "builtins:eval", "builtins:exec", "builtins:getattr", "builtins:open"),
    *("pickle:loads", "subprocess:Popen", "torch:load", "torch.serialization:load"),
    *("joblib:load", "joblib.numpy_pickle:load", "numpy:load", "importlib:import_module"),
    *("torch.hub:load", "torch.nn.modules.linear:Linear.__init__.__globals__", "os.path:os.system"),
    *("sklearnish:save", "sklearnish.persistence._saving:load", "sklearn.pipeline:Pipeline"),
    *("torch.nn.modules.linear:torch.load", "torch.optim.sgd:torch.load", "pkgutil:resolve_name"),
]


@pytest.mark.parametrize("name", DANGEROUS)
def test_other_code_is_not_found(name):
    with pytest.raises(ValueError, match="not trusted"):
        Trust([TWO_LAYERS]).find(name)


@pytest.mark.parametrize("name", [None, 1, ["os:system"], {"a": 1}, "", ":", "os"])
def test_a_name_is_text(name):
    with pytest.raises(ValueError, match="not trusted"):
        Trust([]).find(name)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_what_is_on_the_list_exists_and_is_spelt_as_it_is_saved(name):
    found = Trust([]).find(name)
    assert name_of(found, "it") == name
    assert is_known(found)


def test_instances_are_a_part_of_the_list():
    assert INSTANCES < KNOWN


def test_what_may_be_named_is_a_part_of_the_list():
    assert {name.replace(":", ".") for name in KNOWN} > TO_NAME
    assert {"torch.optim.sgd.SGD", "torch.nn.modules.loss.MSELoss"} < TO_NAME


def test_what_the_user_names_is_found():
    trust = Trust([TWO_LAYERS, "collections.OrderedDict.fromkeys"])
    assert trust.find("tests.estimators.common:TwoLayers") is TwoLayers
    assert trust.chose(TwoLayers)
    assert not trust.chose(nn.Linear)
    assert trust.allows("collections:OrderedDict.fromkeys")


def test_all_that_is_missing_is_listed_and_nothing_is_imported(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    model = {"a": [{"$code": "evil:f"}, {"$instance": {"$class": "b:C", "state": {}}}]}
    with pytest.raises(ValueError, match=r"trusted=\['b.C', 'evil.f', 'more.D'\]"):
        Trust([]).check(model, ["more.D"])
    assert "evil" not in sys.modules


class Outer:
    class Inner:
        """A class in a class."""


def test_names():
    assert name_of(TwoLayers, "it") == "tests.estimators.common:TwoLayers"
    assert name_of(Outer.Inner, "it") == f"{__name__}:Outer.Inner"
    assert name_of(torch.optim.Adam, "it") == "torch.optim.adam:Adam"
    assert Trust([f"{__name__}.Outer.Inner"]).find(f"{__name__}:Outer.Inner") is Outer.Inner


def _local():
    class Local:
        pass

    return Local


def _renamed():
    def f():
        pass

    f.__qualname__ = "TwoLayers"
    f.__module__ = "tests.estimators.common"
    return f


@pytest.mark.parametrize("value", [_local(), lambda x: x, _renamed(), torch.sigmoid, 3, print])
def test_what_has_no_name_is_refused(value):
    if value is print:
        assert name_of(value, "it") == "builtins:print"
        return
    with pytest.raises(ValueError, match=r"it is .* cannot be imported by name"):
        name_of(value, "it")


def test_main_is_refused_in_a_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sklearnish as sn\n"
        "from torch import nn\n"
        "class Net(nn.Module): pass\n"
        "try: sn.save(sn.TorchClassifier(Net), 'a.sn')\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert "module is Net, which is defined in __main__" in done.stdout
    assert not (tmp_path / "a.sn").exists()


def test_estimators_are_all_on_the_list():
    for name in (sn.TorchClassifier, sn.TorchRegressor):
        assert is_known(name)
