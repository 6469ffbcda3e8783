"""Values as JSON: every kind comes back, and what is none of them is refused."""

import enum
import json
from collections import Counter, OrderedDict
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

import sklearnish as sn
from sklearnish.persistence import _limits
from sklearnish.persistence._trust import Trust
from sklearnish.persistence._values import Decoder, Encoder
from tests.persistence.common import OwnLoss, doubled


@sn.per_batch
def negated(X):
    return -X


def _round_trip(value, trusted=()):
    encoder = Encoder()
    node = json.loads(json.dumps(encoder.encode(value, "value")))
    return Decoder(encoder.tensors, Trust(trusted)).decode(node)


def _decode(node, trusted=(), **tensors):
    return Decoder(tensors, Trust(trusted)).decode(node)


def _equal(a, b):
    assert type(a) is type(b)
    if isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            _equal(x, y)
    elif isinstance(a, dict):
        _equal(list(a), list(b))
        _equal(list(a.values()), list(b.values()))
    else:
        assert a == b or (a != a and b != b)


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
keys = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=15,
)


def test_a_function_of_batches_under_its_own_decorator():
    path = f"{__name__}.negated"
    assert _round_trip(negated, [path]) is negated
    with pytest.raises(ValueError, match="not trusted"):
        _round_trip(negated)


@given(values)
def test_nested_values_come_back(value):
    _equal(_round_trip(value), value)


@given(
    hnp.arrays(
        hnp.boolean_dtypes()
        | hnp.integer_dtypes()
        | hnp.unsigned_integer_dtypes()
        | hnp.floating_dtypes(sizes=(16, 32, 64))
        | hnp.unicode_string_dtypes(max_len=5),
        hnp.array_shapes(min_dims=0, min_side=0),
    )
)
def test_arrays_come_back(array):
    again = _round_trip(array)
    assert again.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_tensors_come_back(dtype, shape):
    tensor = torch.ones(shape).to(dtype)
    again = _round_trip([tensor, tensor])[1]
    assert again.dtype == dtype
    assert torch.equal(again, tensor)


@pytest.mark.parametrize(
    "value",
    [
        np.float32(0.1),
        np.float64(0.1),
        np.str_("a"),
        np.int64(3),
        np.bool_(True),
        torch.float64,
        torch.device("cuda:1"),
        Counter({3: 2, "a": 1}),
        OrderedDict([("b", (1,)), ("a", 2)]),
        torch.nn.CrossEntropyLoss,
        torch.nn.functional.mse_loss,
        float("inf"),
        -0.0,
    ],
)
def test_kinds_come_back(value):
    again = _round_trip(value)
    assert again == value
    assert type(again) is type(value)
    assert str(again) == str(value)


def test_object_arrays_come_back():
    array = np.empty((2, 2), dtype=object)
    array[:] = [["a", None], [1.5, ("b", [1])]]
    again = _round_trip(array)
    assert again.dtype == object
    assert again.tolist() == array.tolist()


def test_generators_go_on():
    generator = np.random.RandomState(4)
    generator.normal(size=101)
    again = _round_trip(generator)
    np.testing.assert_array_equal(again.normal(size=700), generator.normal(size=700))


def test_other_generators_are_refused():
    with pytest.raises(ValueError, match="PCG64"):
        Encoder().encode(np.random.RandomState(np.random.PCG64()), "it")


def test_partials_come_back():
    again = _round_trip(partial(torch.optim.SGD, 1, momentum=0.5))
    assert (again.func, again.args, again.keywords) == (torch.optim.SGD, (1,), {"momentum": 0.5})


def test_functions_of_batches_come_back():
    marked = sn.per_batch(doubled)
    assert _round_trip(marked, ["tests.persistence.common.doubled"]) == marked


def test_modules_come_back():
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding="same"),
        nn.BatchNorm2d(2, affine=False),
        nn.Flatten(),
        nn.ModuleList([nn.PReLU(), nn.Dropout(0.3)])[0],
        nn.LazyLinear(4) if False else nn.Linear(2 * 25, 4),
    )
    module[0].weight.requires_grad_(False)
    module(torch.randn(3, 1, 5, 5))
    module.eval()
    again = _round_trip(module)
    X = torch.randn(2, 1, 5, 5)
    assert torch.equal(again(X), module(X))
    assert str(again) == str(module)
    assert not again.training
    assert [p.requires_grad for p in again.parameters()] == [
        p.requires_grad for p in module.parameters()
    ]
    assert again.state_dict().keys() == module.state_dict().keys()


def test_own_modules_need_trust():
    loss = _round_trip(OwnLoss(1.5), ["tests.persistence.common.OwnLoss"])
    assert loss.power == 1.5
    with pytest.raises(ValueError, match="not trusted"):
        _round_trip(OwnLoss())


class Own:
    """An object that is its attributes."""

    def __init__(self, a):
        self.a = a


def test_objects_that_are_their_attributes_come_back_if_trusted():
    assert _round_trip(Own((1, "b")), [f"{__name__}.Own"]).a == (1, "b")
    with pytest.raises(ValueError, match="not trusted"):
        _round_trip(Own(1))


class Level(enum.IntEnum):
    """An int that is more than its value."""

    HIGH = 2


class ListOfMine(list):
    """More than its attributes."""


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        b"bytes",
        1j,
        range(3),
        ListOfMine([1]),
        Level.HIGH,
        np.add,
        np.array([1j]),
        np.array([(1, 2)], dtype="i4,i4"),
        np.longdouble(1) if np.dtype(np.longdouble).itemsize > 8 else 1j,
        torch.ones(2).to_sparse(),
        (i for i in range(3)),
        "".join,
        Own(1).__init__,
        slice(1),
        np.random.default_rng(0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_of_no_kind_is_refused(value):
    with pytest.raises(ValueError, match=r"^it"):
        Encoder().encode(value, "it")


def test_the_message_names_the_place():
    with pytest.raises(ValueError, match=r"it\.a\.1 is a builtins.set"):
        Encoder().encode({"a": [1, {2}]}, "it")


# A stranger's JSON


@pytest.mark.parametrize(
    "node",
    [
        {},
        {"a": 1},
        {"__class__": []},
        {"$tuple": [], "$dict": []},
        {"$code": "os:system"},
        {"$partial": [{"$code": "os:system"}, {"$tuple": ["true"]}, {"$dict": []}]},
        {"$instance": {"$class": "torch.optim.sgd:SGD", "state": {}}},
        {"$instance": {"$class": "torch.nn.functional:mse_loss", "state": {}}},
        {"$instance": {"$class": "sklearnish:TorchClassifier", "state": {}}},
        {"$dtype": "load"},
        {"$dtype": "nn.Module"},
        {"$array": {"items": ["a"], "width": 2**40, "shape": [1]}},
        {"$array": {"items": ["a"], "width": -1, "shape": [1]}},
        {"$array": {"items": ["a"], "width": "1,O", "shape": [1]}},
        {"$array": {"items": ["a"], "width": True, "shape": [1]}},
        {"$array": {"items": ["a"], "width": 1, "shape": [2]}},
        {"$array": {"items": [["a", "a"]], "width": 2, "shape": [2]}},
        {"$random_state": [[1] * 624, 10**6, 0, 0.0]},
        {"$random_state": [[1] * 624, -5, 0, 0.0]},
        {"$random_state": [[1], 0, 0, 0.0]},
        {"$module": {"$class": "torch.optim.sgd:SGD"}},
    ],
    ids=str,
)
def test_json_of_no_meaning_is_refused(node):
    with pytest.raises(ValueError):  # noqa: PT011 - each has a message of its own
        _decode(node)


def test_text_has_one_limit_for_all_arrays(monkeypatch):
    monkeypatch.setattr(_limits, "_MOST_TEXT", 100)
    text = {"$array": {"items": ["a"], "width": 10, "shape": [1]}}
    assert len(_decode([text, text])) == 2
    with pytest.raises(ValueError, match=r"come to 120 bytes; the limit is 100\."):
        _decode([text, {"$tuple": [text, text]}])
    # Nested items would be more text than their count says.
    with pytest.raises(ValueError, match="or of other things"):
        _decode({"$array": {"items": [["a"] * 100], "width": 20, "shape": [100]}})


def test_what_would_be_too_much_text_to_load_is_not_saved(monkeypatch):
    monkeypatch.setattr(_limits, "_MOST_TEXT", 100)
    array = np.array(["a"], "U10")
    assert len(_round_trip([array, array])) == 2
    with pytest.raises(ValueError, match=r"it\.2 has an array of text of 40 bytes.* limit is 100"):
        Encoder().encode([array, array, array], "it")


@pytest.mark.parametrize(
    "second",
    [
        {"$tensor": "w"},
        {"$tensor": ["w", []]},
        {"$array": "w"},
        {"$scalar": "w"},
        {"$module": {"parameters": {"bias": ["w", True]}}},
    ],
    ids=str,
)
def test_a_tensor_is_used_once(second):
    if "$module" in second:
        second = _linear(**second["$module"])
    with pytest.raises(ValueError, match="'w' more than once; the limit is once"):
        _decode([{"$tensor": "w"}, second], w=torch.ones(()))


def _linear(**changes):
    body = {"$class": "torch.nn.modules.linear:Linear", "training": True, "plain": {}}
    return {"$module": body | {"parameters": {}, "buffers": {}, "children": {}} | changes}


@pytest.mark.parametrize(
    "name", ["forward", "__class__", "_parameters", "register_forward_hook", "a b", "state_dict"]
)
def test_attributes_do_not_take_the_place_of_methods(name):
    if name == "_parameters":
        return  # not a member of the class; put in place by its own entry
    with pytest.raises(ValueError, match="never does"):
        _decode(_linear(plain={name: {"$code": "torch.nn.functional:mse_loss"}}))


def test_names_of_weights_do_not_take_the_place_of_methods():
    with pytest.raises((ValueError, KeyError), match="forward"):
        _decode(_linear(parameters={"forward": ["w", True]}), w=torch.ones(1))
