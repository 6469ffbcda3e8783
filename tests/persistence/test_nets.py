"""Records of estimators, as a stranger may have changed them."""

import json

import pytest
import torch

import sklearnish as sn
from tests.estimators.common import classification
from tests.persistence.common import FAST, edited, rewritten


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file of a fitted classifier."""
    path = tmp_path_factory.mktemp("saved") / "a.sn"
    sn.save(sn.TorchClassifier(**FAST).fit(*classification()), path)
    return path


def _changed(saved, tmp_path, change):
    """Change the record of the estimator."""
    path = tmp_path / "b.sn"
    path.write_bytes(saved.read_bytes())
    return rewritten(path, {"model.json": edited(lambda model: change(model["estimators"][0]))})


def _set(*keys, to):
    """Make a change that sets one entry."""

    def change(record):
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = to

    return change


def _pair(pairs, key):
    """Find a value in a dict that was written as pairs."""
    return next(pair for pair in pairs["$dict"] if pair[0] == key)


def _optimizer_state(record, name, weight=0):
    """Find a state of the optimizer for a weight."""
    states = _pair(_pair(record["net"]["descent"], "optimizer")[1], "state")[1]
    return _pair(states["$dict"][weight][1], name)


def _swap_state(record, other="exp_avg"):
    """Give the first weight the state of another shape, and the second that of the first."""
    first, second = _optimizer_state(record, "exp_avg"), _optimizer_state(record, other, weight=1)
    first[1], second[1] = second[1], first[1]


def _add_option(record):
    """Give the optimizer an option that it does not have."""
    groups = _pair(_pair(record["net"]["descent"], "optimizer")[1], "param_groups")[1]
    groups[0]["$dict"].append(["other", 1])


def _step_for_state(record):
    """Give a weight a state of one number: a fused step would read beyond it."""
    _swap_state(record, "step")


LINEAR = {"$code": "torch.nn.modules.linear:Linear"}
SIZES = {"$tuple": [16_000, 16_000]}
LARGE = {"$partial": [LINEAR, SIZES, {"$dict": []}]}
CYCLIC = {"$code": "torch.optim.lr_scheduler:CyclicLR"}
CALLS = {"$partial": [CYCLIC, {"$tuple": []}, {"$dict": [["max_lr", 1.0], ["scale_fn", LARGE]]}]}
ADAM = {"$code": "torch.optim.adam:Adam"}
MANY = {"$partial": [ADAM, {"$tuple": []}, {"$dict": [["betas", [0.9] * 5000]]}]}
HUGE = {"$dict": [["hidden", 10**7]]}
LONG = {"$dict": [["hidden", [1] * 10**5]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("$class", to="torch.nn.modules.linear:Linear"), "no estimator of sklearnish"),
        (_set("$class", to="os:system"), "trusted"),
        (_set("params", "module_params", to=HUGE), "not those of its module"),
        (_set("params", "module_params", to=LONG), "values in one place"),
        (_set("params", "module", to=LINEAR), "not those of its module"),
        (
            _set("params", "module", to={"$partial": [LINEAR, {"$tuple": []}, {"$dict": []}]}),
            "not those of its module",
        ),
        (_set("params", "checkpoint_dir", to="/tmp"), "checkpoint_dir|unexpected"),
        (_set("params", "nothing", to=1), "nothing"),
        (_set("fitted", "predict", to=1), "'predict' of a TorchClassifier"),
        (_set("fitted", "n_inputs_", to=10**9), "not those of its module"),
        (_set("fitted", "_to_loss", to={"$code": "torch.nn.functional:mse_loss"}), "_to_loss"),
        (_set("net", "settings", "callbacks", to=[]), "'callbacks' of a net"),
        (_set("net", "settings", "optimizer", to=LINEAR), "no Optimizer"),
        (
            _set(
                *("net", "settings", "lr_schedule"),
                to={"$partial": [LINEAR, {"$tuple": [10**6]}, {"$dict": []}]},
            ),
            "no LRScheduler",
        ),
        (_set("net", "module", to={"$dict": []}), "not those of its module"),
        (_set("net", "frozen", to=["nothing"]), "nothing"),
        (_set("net", "device", to="nowhere"), "RuntimeError"),
        (_set("net", "history", to=3), "TypeError"),
        (_set("net", "descent", to=3), "TypeError"),
        (_set("net", "criterion", to=LARGE), "no module"),
        (_set("net", "settings", "lr_schedule", to=CALLS), "not trusted to be called"),
        (_set("net", "settings", "optimizer", to=MANY), "5,000 values; the limit is 4,096"),
        (_set("net", "settings", "units", to=LARGE), "not trusted to be called"),
        (_set("fitted", "checkpoint_dir", to="/tmp"), "checkpoint_dir"),
        (_set("fitted", "net_", to=1), "net_"),
        (_set("fitted", "__wrapped__", to=1), "__wrapped__"),
        (_set("fitted", "n_iter_", to="many"), "'n_iter_' of a TorchClassifier to a str"),
        (_set("fitted", "extra_", to=LINEAR), "extra_ holds code"),
        (_add_option, "its optimizer has"),
        (_swap_state, "of shape"),
        (_step_for_state, r"of shape \(\)"),
        (_set("requests", to={"$dict": [["nothing", {"$dict": []}]]}), "set_nothing_request"),
        (lambda record: record.pop("net"), "KeyError"),
        (lambda record: record["net"]["settings"].pop("lr_schedule"), "KeyError"),
    ],
)
def test_a_changed_record_is_refused(change, message, saved, tmp_path):
    with pytest.raises(ValueError, match=message):
        sn.load(_changed(saved, tmp_path, change))


def test_records_are_all_there(saved, tmp_path):
    path = tmp_path / "b.sn"
    for estimators in ([], [1], [{}], None):
        path.write_bytes(saved.read_bytes())
        rewritten(path, {"model.json": json.dumps({"estimators": estimators}).encode()})
        with pytest.raises(ValueError, match="cannot be loaded"):
            sn.load(path)


def test_weights_are_not_rounded_on_the_way(tmp_path):
    X, y = classification()
    clf = sn.TorchClassifier(precision="float64", **FAST).fit(X, y)
    clf.set_params(precision="float32")
    sn.save(clf, tmp_path / "a.sn")
    loaded = sn.load(tmp_path / "a.sn")
    for a, b in zip(loaded.module_.parameters(), clf.module_.parameters(), strict=True):
        assert a.dtype == torch.float64
        assert torch.equal(a, b)
