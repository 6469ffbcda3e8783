"""What the objects of ours may consist of, in a file that anybody can have written."""

import json
import sys
from dataclasses import asdict, fields

import numpy as np
import pytest
from torch import nn

import sklearnish as sn
from sklearnish.data._functions.functions import PerBatch
from sklearnish.data._loading.report import EpochTimes, PipelineReport
from sklearnish.persistence._fields import FITTED, check_data, check_plain, fits, make
from sklearnish.persistence._trust import INSTANCES, KNOWN, TABLES, Trust
from sklearnish.persistence._values import Decoder, Encoder
from sklearnish.preprocessing import TableEncoder
from sklearnish.preprocessing._encoding.number import NumberColumn
from sklearnish.preprocessing._encoding.text import TextColumn
from tests.estimators.common import classification
from tests.persistence.common import CASES, FAST, edited, rewritten
from tests.preprocessing.tables import X

TIMES = "sklearnish:EpochTimes"
NAMED = {"$instance": {"$class": TIMES, "state": {"__module__": "payload", "__qualname__": "x"}}}
PER_BATCH = {"$class": "sklearnish:PerBatch", "state": {"f": NAMED}}
MSE = {"$code": "torch.nn.functional:mse_loss"}


@pytest.fixture
def payload(tmp_path, monkeypatch):
    """A module that must not be imported."""
    (tmp_path / "payload.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    assert "payload" not in sys.modules


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "a.sn"
    X, y = classification(50)
    sn.save(sn.TorchClassifier(**FAST | {"max_epochs": 1}).fit(X, y), path)
    return path.read_bytes()


def _pair(pairs, key):
    return next(pair for pair in pairs["$dict"] if pair[0] == key)


def _into_groups(record):
    optimizer = _pair(record["net"]["descent"], "optimizer")[1]
    group = _pair(optimizer, "param_groups")[1][0]
    group["$dict"].append(["evil", {"$instance": PER_BATCH}])


def _into_states(record):
    optimizer = _pair(record["net"]["descent"], "optimizer")[1]
    _pair(optimizer, "state")[1]["$dict"][0][1]["$dict"].append(["evil", {"$instance": PER_BATCH}])


def _into_history(record):
    record["net"]["history"][0]["$dict"].append(["evil", {"$instance": PER_BATCH}])


def _into(*keys):
    def change(record):
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = {"$instance": PER_BATCH}

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(_into_groups, _into_states, _into_history),
        *(_into("fitted", "loss_"), _into("fitted", "extra_"), _into("params", "augment")),
        *(_into("net", "criterion"), _into("net", "module"), _into("net", "settings", "lr")),
    ],
)
def test_no_module_is_imported_that_an_attribute_names(change, saved, payload, tmp_path):
    path = tmp_path / "a.sn"
    path.write_bytes(saved)
    rewritten(path, {"model.json": edited(lambda model: change(model["estimators"][0]))})
    with pytest.raises(ValueError, match="cannot be loaded"):
        sn.load(path)


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (EpochTimes, {"__module__": "payload"}),
        (EpochTimes, {"rows": "many"}),
        (EpochTimes, {"rows": True}),
        (EpochTimes, {"seconds": [1.0]}),
        (EpochTimes, {"compute": 1.0}),
        (EpochTimes, {"other": 1}),
        (PipelineReport, {"mode": "other"}),
        (PipelineReport, {"epochs": (1,)}),
        (PipelineReport, {"epochs": [EpochTimes()]}),
        (PipelineReport, {"skipped": (1,)}),
        (PerBatch, {"f": EpochTimes()}),
        (PerBatch, {"f": 3}),
        (PerBatch, {}),
        (PerBatch, {"f": np.negative, "path": "os:system"}),
        (TableEncoder, {"transform": 1}),
        (TableEncoder, {"columns_": [1]}),
        (TableEncoder, {"columns_": {"a": EpochTimes()}}),
        (TableEncoder, {"kinds_": {"a": 1}}),
        (TextColumn, {"width": 2**40, "gaps": False}),
        (NumberColumn, {"knots": [1.0], "scores": np.ones(1), "gaps": False, "levels": ()}),
    ],
)
def test_other_fields_and_types_are_refused(kind, state):
    good = {"mode": "inline", "num_workers": 0, "reason": "", "source": "", "epochs": ()}
    with pytest.raises((ValueError, TypeError)):
        make(kind, (good if kind is PipelineReport else {}) | state)


def test_objects_come_back_field_by_field():
    times = EpochTimes(3, 1, 0.5, plan="inline")
    report = PipelineReport("thread", 0, "why", "a.npy", (times,), skipped=("row 1",), n_skipped=1)
    values = {field.name: getattr(report, field.name) for field in fields(report)}
    assert make(PipelineReport, values) == report
    assert make(EpochTimes, asdict(times)) == times
    assert set(INSTANCES) == {EpochTimes, PipelineReport, PerBatch, *TABLES}


def test_encoders_come_back_with_what_they_have_learned():
    encoder = TableEncoder(text_features=8, kinds={"took": "number"}).fit(X)
    packer = Encoder()
    node = json.loads(json.dumps(packer.encode(encoder, "it")))
    again = Decoder(packer.tensors, Trust(())).decode(node)
    assert again.get_params() == encoder.get_params()
    np.testing.assert_array_equal(again.encode(X), encoder.encode(X))


def test_what_fits_leave_is_of_the_types_that_are_written_down():
    for name in ("text", "weights", "targets"):
        _, data, _ = CASES[name]
        X, y = (part[:60] for part in data)
        fitted = sn.TorchRegressor if name == "targets" else sn.TorchClassifier
        left = vars(fitted(**FAST | {"max_epochs": 1}).fit(X, y))
        wrong = [k for k, v in left.items() if k in FITTED and not fits(v, FITTED[k])]
        assert wrong == []


@pytest.mark.parametrize("kind", ["$code", "$instance", "$module", "$partial", "$random_state"])
def test_data_hold_no_code(kind):
    assert check_data([{"$tuple": [1, {"$tensor": "a"}]}], "it") == [
        {"$tuple": [1, {"$tensor": "a"}]}
    ]
    with pytest.raises(ValueError, match="it holds code or an object"):
        check_data({"$dict": [["a", {"$tuple": [{kind: 1}]}]]}, "it")


@pytest.mark.parametrize("name", ["forward", "__module__", "__deepcopy__", "weight;", "children"])
def test_attributes_of_layers_are_no_methods(name):
    node = {"$class": "torch.nn.modules.activation:ReLU", "plain": {name: 1}, "parameters": {}}
    with pytest.raises(ValueError, match=r"which sn\.save never does"):
        Decoder({}, Trust(())).decode({"$module": {**node, "buffers": {}, "children": {}}})
    with pytest.raises(ValueError, match=r"which sn\.save never does"):
        check_plain(nn.ReLU, {name: 1})


def test_attributes_of_layers_hold_no_code():
    with pytest.raises(ValueError, match="inplace of a ReLU holds code"):
        check_plain(nn.ReLU, {"inplace": MSE})
    layer = nn.ReLU()
    layer.extra = nn.functional.mse_loss
    with pytest.raises(ValueError, match="extra of a ReLU holds code"):
        Encoder().encode(layer, "it")


@pytest.mark.parametrize("name", sorted(name for name in KNOWN if name.startswith("torch.nn.mod")))
def test_no_layer_has_attributes_of_the_name_of_a_method(name):
    import inspect

    kind, some = Trust(()).find(name), {"output_size": 2, "padding": 1, "unflattened_size": (2, 2)}
    needed = [p for p in inspect.signature(kind).parameters.values() if p.default is p.empty]
    layer = kind(
        **{p.name: some.get(p.name, 2) for p in needed if p.kind is p.POSITIONAL_OR_KEYWORD}
    )
    assert type(Encoder().encode(layer, "it")["$module"]) is dict


def test_a_loss_calls_functions_of_losses_alone():
    def loss(function):
        kind = "sklearnish:FunctionLoss"
        parts = {"parameters": {}, "buffers": {}, "children": {}, "training": True}
        plain = {"function": function, "reduction": "mean"}
        return Decoder({}, Trust(())).decode({"$module": {"$class": kind, "plain": plain, **parts}})

    assert loss(MSE).function is nn.functional.mse_loss
    linear = {"$code": "torch.nn.modules.linear:Linear"}
    for other in (linear, {"$partial": [linear, {"$tuple": [16000, 16000]}, {"$dict": []}]}, 3):
        with pytest.raises(ValueError, match="no function of torch"):
            loss(other)
