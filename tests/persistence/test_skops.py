"""What skops is given to build, by us and by strangers."""

import io
import json
import zipfile
from collections import namedtuple
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.model_selection import (
    GridSearchCV,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skops.io import _general
from torch import nn

import sklearnish as sn
from sklearnish.persistence._archive import objects_in
from tests.estimators.common import TwoLayers
from tests.persistence.common import FAST, TWO_LAYERS, edited, names, rewritten, zipped


def _clf(**params):
    return sn.TorchClassifier(**{**FAST, "max_epochs": 1, **params})


class Doubler(StandardScaler):
    """A user's transformer."""


def test_own_transformers_need_trust(tmp_path):
    X, y = names()
    model = make_pipeline(Doubler(), _clf(module=TwoLayers)).fit(X, y)
    sn.save(model, tmp_path / "a.sn")
    wanted = [f"{__name__}.Doubler", TWO_LAYERS]
    with pytest.raises(ValueError, match="pass trusted=") as error:
        sn.load(tmp_path / "a.sn")
    assert all(repr(name) in str(error.value) for name in wanted)
    assert (sn.load(tmp_path / "a.sn", wanted).predict(X) == model.predict(X)).all()


def test_compiled_parts_need_trust(tmp_path):
    X, y = names()
    forest = RandomForestClassifier(3, random_state=0)
    model = VotingClassifier([("a", _clf()), ("b", forest)]).fit(X, y)
    sn.save(model, tmp_path / "a.sn")
    with pytest.raises(ValueError, match=r"sklearn.tree._tree.Tree"):
        sn.load(tmp_path / "a.sn")
    loaded = sn.load(tmp_path / "a.sn", ["sklearn.tree._tree.Tree"])
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_trees_of_histograms_need_trust_whatever_skops_trusts(tmp_path, monkeypatch):
    name = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
    trusted = [*_general.SKLEARN_ESTIMATOR_TYPE_NAMES, name]
    monkeypatch.setattr(_general, "SKLEARN_ESTIMATOR_TYPE_NAMES", trusted)
    sn.save(make_pipeline(StandardScaler(), _clf()), tmp_path / "a.sn")
    module, _, kind = name.rpartition(".")
    node = {"__class__": kind, "__module__": module, "__loader__": "ObjectNode"}
    _change_schema(tmp_path / "a.sn", _replace(**node))
    with pytest.raises(ValueError, match=r"predictor\.TreePredictor"):
        sn.load(tmp_path / "a.sn")


def test_instances_of_classes_of_torch_need_trust(tmp_path):
    sn.save(GridSearchCV(_clf(), {"criterion": [nn.CrossEntropyLoss()]}), tmp_path / "a.sn")
    name = "torch.nn.modules.loss.CrossEntropyLoss"
    with pytest.raises(ValueError, match=rf"pass trusted=\['{name}'\]"):
        sn.load(tmp_path / "a.sn")
    loaded = sn.load(tmp_path / "a.sn", [name])
    assert type(loaded.param_grid["criterion"][0]) is nn.CrossEntropyLoss


def test_generators_of_another_kind_are_refused(tmp_path):
    generator = np.random.RandomState(np.random.PCG64(0))
    step = FunctionTransformer(kw_args={"a": generator})
    with pytest.raises(ValueError, match="PCG64"):
        sn.save(make_pipeline(step, _clf()), tmp_path / "a.sn")


# Refused when saving


def _local():
    class Local(StandardScaler):
        pass

    return Local()


class Main(StandardScaler):
    """Stands for a class of the user's script."""


Main.__module__ = "__main__"


@pytest.mark.parametrize(
    "step",
    [
        FunctionTransformer(lambda X: X),
        _local(),
        Main(),
        FunctionTransformer(np.array([1]).dot),
        FunctionTransformer(kw_args={"a": io.StringIO()}),
    ],
    ids=lambda step: type(step).__name__,
)
def test_what_only_pickle_could_save_is_refused(step, tmp_path):
    with pytest.raises(ValueError, match="without pickle"):
        sn.save(make_pipeline(step, _clf()), tmp_path / "a.sn")
    assert not list(tmp_path.iterdir())


Pair = namedtuple("Pair", "a b")


class OwnPartial(partial):
    """A user's kind of partial."""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Pair(1, 2), r"holds tests\.persistence\.test_skops\.Pair \(for skops a TupleNode\)"),
        (
            OwnPartial(np.exp),
            r"it holds .*\.partial \(for skops a PartialNode\), for which the file",
        ),
        (partial(lambda X: X), "cannot be imported by another program"),
        (torch.zeros(2, 3), r"a tensor of shape \(2, 3\).*convert it with \.numpy\(\)"),
        (nn.Linear(2, 3), r"a tensor of shape \(3, 2\).*try its class, {'module': \[Net\]}"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_saved_is_told_with_the_way_out(value, message, tmp_path):
    step = FunctionTransformer(kw_args={"a": value})
    with pytest.raises(ValueError, match=message) as error:
        sn.save(make_pipeline(step, _clf()), tmp_path / "a.sn")
    assert "never writes" not in str(error.value)


def test_a_folder_of_pickles_is_refused(tmp_path):
    model = Pipeline([("a", StandardScaler()), ("b", _clf())], memory=str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="folder of pickles"):
        sn.save(model, tmp_path / "a.sn")
    model.set_params(memory=None)
    sn.save(model, tmp_path / "a.sn")
    _change_schema(tmp_path / "a.sn", _set_memory)
    with pytest.raises(ValueError, match="folder of pickles"):
        sn.load(tmp_path / "a.sn")
    assert not (tmp_path / "cache").exists()


# A stranger's file


def _change_schema(path, change):
    """Change what skops reads."""

    def edit(data):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        members["schema.json"] = edited(change)(members["schema.json"])
        return zipped(members)

    return rewritten(path, {"model.skops": edit})


def _set_memory(schema):
    # A node of its own: skops reads another None of the same __id__ only once.
    schema["content"]["content"]["memory"] = _json("cache")


def _replace(**node):
    """Make a change that puts another node in the place of an attribute."""

    def change(schema):
        schema["content"]["content"]["verbose"] = node

    return change


def _json(value):
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(value),
        "is_json": True,
    }


def _list(kind, *items, module="builtins", loader="ListNode"):
    return {"__class__": kind, "__module__": module, "__loader__": loader, "content": list(items)}


def _protocol_of_before(schema):
    schema["protocol"] = 0


@pytest.mark.parametrize(
    "change",
    [
        _replace(__class__="system", __module__="os", __loader__="FunctionNode"),
        _replace(__class__="system", __module__="os", __loader__="TypeNode"),
        _replace(__class__="system", __module__="os", __loader__="ObjectNode"),
        _replace(**_list("system", _json("mkdir exploded"), module="os")),
        _replace(**_list("eval", _json("1"), loader="TupleNode")),
        _replace(**_list("doubled", _json("1"), module="tests.persistence.common")),
        _replace(
            __class__="system",
            __module__="os",
            __loader__="ConstructorFromReduceNode",
            content=_list("tuple", _json("mkdir exploded"), loader="TupleNode"),
        ),
        _replace(
            __class__="methodcaller",
            __module__="operator",
            __loader__="OperatorFuncNode",
            attrs=_list("tuple", _json("mkdir"), loader="TupleNode"),
        ),
        _replace(__class__="this", __module__="this", __loader__="LossNode", __reduce__={}),
        _replace(__class__="antigravity", __module__="antigravity", __loader__="LossNode"),
        _replace(__class__="load", __module__="numpy", __loader__="NdArrayNode", type="numpy"),
        _replace(__class__="memmap", __module__="numpy", __loader__="NdArrayNode", type="numpy"),
        _replace(__class__="x", __module__="y", __loader__="NothingNode"),
        _replace(__class__="Memory", __module__="joblib.memory", __loader__="ObjectNode"),
        _replace(),
        _protocol_of_before,
        lambda schema: schema.pop("protocol"),
    ],
)
def test_nodes_that_save_never_writes_are_refused(change, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sn.save(make_pipeline(StandardScaler(), _clf()), tmp_path / "a.sn")
    _change_schema(tmp_path / "a.sn", change)
    with pytest.raises(ValueError, match="cannot be loaded"):
        sn.load(tmp_path / "a.sn", ["tests.persistence.common.doubled"])
    assert [p.name for p in tmp_path.iterdir()] == ["a.sn"]


SGD = {"__class__": "SGD", "__module__": "torch.optim.sgd"}


def _partial(**parts):
    """Make a node of a Partial with these attributes."""
    content = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode"}
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "TypeNode"}
    content |= {"content": parts, "key_types": _list("list", *[text] * len(parts))}
    kind = {"__class__": "Partial", "__module__": "sklearnish"}
    return {**kind, "__loader__": "ObjectNode", "content": content}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({**SGD, "__loader__": "ObjectNode"}, r"trusted=\['torch\.optim\.sgd\.SGD'\]"),
        ({**SGD, "__loader__": "FunctionNode"}, r"trusted=\['torch\.optim\.sgd\.SGD'\]"),
        (
            {**SGD, "__loader__": "ConstructorFromReduceNode", "content": _list("list")},
            "ConstructorFromReduceNode of torch.optim.sgd.SGD, which sn.save never writes",
        ),
        (
            {"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode"},
            "PartialNode of functools.partial, which sn.save never writes",
        ),
        (
            _partial(
                function={"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"},
                args=_list("tuple", _json("mkdir exploded"), loader="TupleNode"),
                keywords=_json({}),
            ),
            r"trusted=\['os\.system'\]",
        ),
        (
            _partial(
                function=_json("eval"), args=_list("tuple", loader="TupleNode"), keywords=_json({})
            ),
            r"it has a functools\.partial of a str, a tuple and a dict",
        ),
        (_partial(function=_json("eval")), "AttributeError"),
    ],
)
def test_classes_of_torch_and_partials_of_a_stranger(node, message, tmp_path):
    sn.save(make_pipeline(StandardScaler(), _clf()), tmp_path / "a.sn")
    _change_schema(tmp_path / "a.sn", _replace(**node))
    with pytest.raises(ValueError, match=message):
        sn.load(tmp_path / "a.sn")


def test_a_class_of_torch_may_be_named(tmp_path):
    sn.save(make_pipeline(StandardScaler(), _clf()), tmp_path / "a.sn")
    _change_schema(tmp_path / "a.sn", _replace(**SGD, __loader__="TypeNode"))
    assert sn.load(tmp_path / "a.sn").verbose is torch.optim.SGD


def test_nothing_is_imported_before_it_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    sn.save(make_pipeline(StandardScaler(), _clf()), tmp_path / "a.sn")
    for loader in ("LossNode", "TreeNode", "ObjectNode", "TypeNode", "FunctionNode"):
        node = {"__class__": "Evil", "__module__": "evil", "__loader__": loader}
        _change_schema(tmp_path / "a.sn", _replace(**node))
        with pytest.raises(ValueError, match="cannot be loaded"):
            sn.load(tmp_path / "a.sn")


def test_the_inner_zip_is_checked_too(tmp_path):
    sn.save(make_pipeline(StandardScaler(), _clf()), tmp_path / "a.sn")
    bomb = zipped({"schema.json": b"{}" + b" " * 10**6}, compression=zipfile.ZIP_DEFLATED)
    for data in (bomb, b"", zipped({"../schema.json": b"{}"})):
        rewritten(tmp_path / "a.sn", {"model.skops": data})
        with pytest.raises(ValueError, match=r"compressed|no zip|never writes"):
            sn.load(tmp_path / "a.sn")


@pytest.mark.parametrize("owner", [None, 0, 1])
def test_an_array_is_not_loaded_twice(owner, tmp_path):
    sn.save(make_pipeline(StandardScaler(), _clf()).fit(*names()), tmp_path / "a.sn")

    def twice(schema):
        array = next(node for node in objects_in(schema) if "file" in node)
        schema["content"]["content"]["verbose"] = {**array, "__id__": owner}

    _change_schema(tmp_path / "a.sn", twice)
    with pytest.raises(ValueError, match="used by more than one object; the limit is one"):
        sn.load(tmp_path / "a.sn")


def test_an_array_in_two_places_stays_one(tmp_path):
    shared = np.arange(3.0)
    model = make_pipeline(FunctionTransformer(kw_args={"a": shared, "b": shared}), _clf())
    sn.save(model, tmp_path / "a.sn")
    loaded = sn.load(tmp_path / "a.sn")[0].kw_args
    assert loaded["a"] is loaded["b"]


def test_lists_that_hold_one_another_do_not_fill_the_memory(tmp_path):
    step = FunctionTransformer(kw_args={"a": np.array([[None, None]], dtype=object)})
    sn.save(make_pipeline(step, _clf()), tmp_path / "a.sn")
    assert sn.load(tmp_path / "a.sn")[0].kw_args["a"].shape == (1, 2)

    def nested(schema):
        array = next(n for n in objects_in(schema) if n.get("type") == "json")
        kind = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
        node = kind | {"content": [], "__id__": 1}
        for level in range(2, 12):
            again = {**node, "content": []}  # skops finds the first one by its __id__
            node = kind | {"content": [node, *[again] * 11], "__id__": level}
        array["content"] = [node, node]

    _change_schema(tmp_path / "a.sn", nested)
    with pytest.raises(ValueError, match=r"arrays of objects come to .* items; the limit is"):
        sn.load(tmp_path / "a.sn")


def test_items_of_no_bytes_are_refused(tmp_path):
    step = FunctionTransformer(kw_args={"a": np.ma.MaskedArray(["a", "b"], mask=[True, False])})
    sn.save(make_pipeline(step, _clf()), tmp_path / "a.sn")
    assert sn.load(tmp_path / "a.sn")[0].kw_args["a"].tolist() == [None, "b"]
    header = io.BytesIO()
    claim = {"descr": "<U0", "fortran_order": False, "shape": (10**8,)}
    np.lib.format.write_array_header_1_0(header, claim)
    with zipfile.ZipFile(tmp_path / "a.sn") as archive:
        inner = zipfile.ZipFile(io.BytesIO(archive.read("model.skops")))
    members = {name: inner.read(name) for name in inner.namelist()}
    members[next(name for name in members if name.endswith(".npy"))] = header.getvalue()
    rewritten(tmp_path / "a.sn", {"model.skops": zipped(members)})
    with pytest.raises(ValueError, match="items of no bytes"):
        sn.load(tmp_path / "a.sn")
