"""Names of code: what is on the list, what is refused, and how files name it."""

import hashlib
import re
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import uniform
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

import sklearnish as sn
from sklearnish.modules import MLP
from sklearnish.persistence._trust import (
    INSTANCES,
    KNOWN,
    OURS,
    TO_NAME,
    Trust,
    find,
    is_known,
    name_of,
    path_of,
    rename_all,
    renamed,
    spell,
)
from tests.estimators.common import TwoLayers
from tests.persistence.common import CASES, FAST, TWO_LAYERS, doubled

DANGEROUS = [
    *("os:system", "builtins:eval", "builtins:exec", "builtins:getattr", "builtins:open"),
    *("pickle:loads", "subprocess:Popen", "torch:load", "torch.serialization:load"),
    *("joblib:load", "joblib.numpy_pickle:load", "numpy:load", "importlib:import_module"),
    *("torch.hub:load", "torch.nn.modules.linear:Linear.__init__.__globals__", "os.path:os.system"),
    *("sklearnish:save", "sklearnish.persistence._saving:load", "sklearn.pipeline:Pipeline"),
    *("sklearnish:predict_to", "sklearnish:Part", "sklearnish.persistence._stand_ins:Part"),
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
    assert set(map(spell, INSTANCES)) < KNOWN


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


def test_estimators_are_all_on_the_list():
    for name in (sn.TorchClassifier, sn.TorchRegressor):
        assert is_known(name)


# How files name code: ours by names that stay when their files move

DATA = Path(__file__).parent / "data"
OTHER_VERSIONS = "ignore:The model was saved with:UserWarning"


CLASSIFIER = "469e8a828eb1696db0fc673feb5e1eb22ee8bc1ff21e9e6bb13682ed473f5c98"
SEARCH = "791f866fc86e0237d717147cd88ac2ac0df314c23f0a06b32b1b295459bbd74a"
"""SHA-256 of the weights that version 0.1 itself loads from the two files."""


@pytest.fixture(scope="module")
def expected():
    with np.load(DATA / "expected.npz") as arrays:
        return dict(arrays)


def hash_of_weights(module):
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def assert_equal_but_for_the_processor(found, wanted, rtol=1e-5):
    """Products of matrices round otherwise on another kind of processor; weights do not."""
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-6)


@pytest.mark.filterwarnings(OTHER_VERSIONS)
def test_a_classifier_of_version_0_1_predicts_and_learns_on_as_then(expected):
    clf = sn.load(DATA / "classifier.sn", ["tests.persistence.common.doubled"])
    assert hash_of_weights(clf.module_) == CLASSIFIER
    np.testing.assert_array_equal(clf.predict(expected["X"]), expected["labels"])
    assert_equal_but_for_the_processor(clf.predict_proba(expected["X"]), expected["proba"])
    assert len(clf.pipeline_report_.epochs) == len(clf.history_)
    clf.partial_fit(expected["X"], expected["y"])
    continued = clf.predict_proba(expected["X"])
    assert_equal_but_for_the_processor(continued, expected["continued"], rtol=1e-4)


@pytest.mark.filterwarnings(OTHER_VERSIONS)
@pytest.mark.parametrize("trusted", [(), ["sklearnish.modules.mlp.MLP"]])
def test_a_search_of_version_0_1_predicts_as_then(expected, trusted):
    search = sn.load(DATA / "search.sn", trusted)
    assert hash_of_weights(search.best_estimator_[-1].module_) == SEARCH
    assert_equal_but_for_the_processor(search.predict(expected["X"]), expected["predictions"])
    tried = search.param_distributions
    assert tried["torchregressor__module"] == [MLP]
    assert tried["torchregressor__optimizer"][0].keywords == {"momentum": 0.9}
    assert tried["torchregressor__lr"].dist.name == "loguniform"


def _texts(path):
    """Yield the JSON of a saved file, also what is in the file of skops within."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith(".json"):
                yield data.decode()
            elif name.endswith(".skops"):
                yield from _texts(BytesIO(data))


def _private(path):
    """Find the names of private modules of ours in a saved file, as both parts write them."""
    return [word for text in _texts(path) for word in re.findall(r"sklearnish[\w.]*\._\w+", text)]


def test_the_files_of_version_0_1_name_private_modules():
    assert len(_private(DATA / "classifier.sn")) > 4
    assert any("_partials" in name for name in _private(DATA / "search.sn"))


@pytest.mark.parametrize("name", ["stopping", "loss function", "own module", "own functions"])
def test_no_file_names_a_private_module_of_ours(name, tmp_path):
    estimator, data, _ = CASES[name]
    sn.save(clone(estimator).fit(*data), tmp_path / "a.sn")
    assert _private(tmp_path / "a.sn") == []


def test_nor_does_the_part_of_scikit_learn(tmp_path):
    model = make_pipeline(FunctionTransformer(sn.as_dataset), sn.TorchClassifier(**FAST))
    tried = {
        "torchclassifier": [sn.TorchClassifier(MLP)],
        "torchclassifier__module": [MLP],
        "torchclassifier__lr": uniform(0.1, 0.5),
        "torchclassifier__augment": [[sn.per_batch(doubled)]],
    }
    sn.save(RandomizedSearchCV(model, tried), tmp_path / "a.sn")
    assert _private(tmp_path / "a.sn") == []
    trusted = ["sklearnish.PerBatch", "sklearnish.as_dataset", "tests.persistence.common.doubled"]
    loaded = sn.load(tmp_path / "a.sn", trusted)
    assert loaded.estimator[0].func is sn.as_dataset
    assert loaded.param_distributions["torchclassifier__module"] == [MLP]
    assert loaded.param_distributions["torchclassifier__augment"][0][0].f is doubled
    with pytest.raises(ValueError, match=re.escape(str(trusted))):
        sn.load(tmp_path / "a.sn")


def test_our_modules_may_be_searched_without_trust(tmp_path):
    model = make_pipeline(StandardScaler(), sn.TorchClassifier(**FAST))
    sn.save(GridSearchCV(model, {"torchclassifier__module": [MLP]}), tmp_path / "a.sn")
    assert sn.load(tmp_path / "a.sn").param_grid == {"torchclassifier__module": [MLP]}


def test_what_is_ours_and_in_no_table_is_not_saved(tmp_path):
    model = make_pipeline(FunctionTransformer(renamed), sn.TorchClassifier())
    with pytest.raises(ValueError, match="cannot be imported by name"):
        sn.save(model, tmp_path / "a.sn")


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_has_one_name(name):
    assert find(name) is OURS[name]
    assert spell(OURS[name]) == name == name_of(OURS[name], "it")
    assert path_of(name) == f"{OURS[name].__module__}:{OURS[name].__name__}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sklearnish.data._report:EpochTimes", "sklearnish:EpochTimes"),
        ("sklearnish.data._report.EpochTimes", "sklearnish.EpochTimes"),
        ("sklearnish.data._report:Other", "sklearnish.data._report:Other"),
        ("my.module:EpochTimes", "my.module:EpochTimes"),
        (3, 3),
        (["sklearnish.data._report:EpochTimes"], ["sklearnish.data._report:EpochTimes"]),
    ],
)
def test_names_of_version_0_1_are_brought_up_to_date(old, new):
    model = {"a": [{"$code": old}]}
    rename_all(model)
    assert renamed(old) == new == model["a"][0]["$code"]


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
