"""The nodes of a stranger's skops file."""

import json

import pytest

from sklearnish.persistence._nodes import check_sizes, nodes

EQUAL = 2**61 - 1


def _node(loader, kind, content=None, module="builtins", **more):
    node = {"__loader__": loader, "__class__": kind, "__module__": module, **more}
    return node if content is None else {**node, "content": content}


def _json(value, **more):
    return _node("JsonNode", "str", json.dumps(value), **more)


def _dict(content, *kinds, **more):
    return _node(
        "DictNode", "dict", content, key_types=_node("ListNode", "list", list(kinds), **more)
    )


TEXT, WHOLE = _node("TypeNode", "str"), _node("TypeNode", "int")


def test_honest_nodes():
    words = {str(i): _json(i) for i in range(20_000)}
    kinds = [TEXT] * 20_000
    same = _json("a", __id__=7)
    items = _node("SetNode", "set", [_json(word) for word in words])
    tree = _node("ListNode", "list", [_dict(words, *kinds), same, same, items])
    assert len(list(nodes(tree))) == 60_006
    check_sizes(tree, {})
    check_sizes(
        _dict({"1": _json(1), "2": _json(2)}, WHOLE, _node("TypeNode", "int64", module="numpy")), {}
    )


@pytest.mark.parametrize(
    "kind",
    [
        _node("TypeNode", "memmap", module="numpy"),
        _node("TypeNode", "void", module="numpy"),
        _node("TypeNode", "list"),
        _node("TypeNode", "SGD", module="torch.optim.sgd"),
        _node("FunctionNode", "exp", module="numpy"),
        _node("ObjectNode", "str"),
        _json("str"),
    ],
)
def test_keys_are_made_by_numbers_and_text_alone(kind):
    """skops calls the class of a key with its text."""
    with pytest.raises(ValueError, match="key of a dict"):
        check_sizes(_dict({"/etc/passwd": _json(1)}, kind), {})


def test_the_types_of_keys_are_those_that_were_looked_at():
    evil = _node("ListNode", "list", [_node("TypeNode", "memmap", module="numpy")], __id__=5)
    tree = _node("ListNode", "list", [evil, _dict({"a": _json(1)}, TEXT, __id__=5)])
    with pytest.raises(ValueError, match="shares the types of its keys"):
        check_sizes(tree, {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_node("TypeNode", "list", __id__=3), _node("TypeNode", "str", __id__=3)),
        (_node("TypeNode", "list", __id__=1), _node("TypeNode", "str", __id__=1.0)),
        (_json(1, __id__=3), _json(2, __id__=3)),
        (_json(1, __id__=3), _node("ListNode", "list", [], __id__=3)),
    ],
)
def test_what_claims_to_be_one_object_is_of_one_kind(one, other):
    with pytest.raises(ValueError, match="claim to be one"):
        check_sizes(_node("ListNode", "list", [one, other]), {})


def _numbers(n):
    return _node("SetNode", "set", [_json(EQUAL * i) for i in range(1, n)])


def test_sets_and_keys_of_one_hash_are_counted_over_the_file():
    keys = {str(EQUAL * i): _json(0) for i in range(1, 2000)}
    for tree in (
        [_numbers(5000)],
        [_numbers(2000)] * 5,
        [_node("SetNode", "set", [_node("TupleNode", "tuple", [])] * 5000)],
        [_dict(keys, *[WHOLE] * len(keys)) for _ in range(5)],
    ):
        with pytest.raises(ValueError, match="could take for ever"):
            check_sizes(_node("ListNode", "list", tree), {})
    check_sizes(_node("ListNode", "list", [_numbers(1000)]), {})


def _doubled(kind, times):
    """Nest a list or tuple that holds another one twice, the second time by its number."""
    node = _node(kind, "x", [_json("a")], __id__=1)
    for level in range(2, times):
        node = _node(kind, "x", [node, {**node, "content": []}], __id__=level)
    return node


@pytest.mark.parametrize("kind", ["ListNode", "TupleNode", "ObjectNode"])
def test_what_skops_would_go_through_for_ever_is_refused(kind):
    check_sizes(_doubled(kind, 10), {})
    with pytest.raises(ValueError, match=r"hold one another, and come to .* limit is 1,048,576"):
        check_sizes(_doubled(kind, 60), {})


def test_a_tuple_that_takes_for_ever_to_hash_is_no_item_of_a_set():
    check_sizes(_node("SetNode", "set", [_doubled("TupleNode", 10)]), {})
    with pytest.raises(ValueError, match="could take for ever"):
        check_sizes(_node("SetNode", "set", [_doubled("TupleNode", 60)]), {})


def test_an_object_that_holds_itself_is_refused():
    one = _node("ObjectNode", "x", __id__=1)
    with pytest.raises(ValueError, match="holds itself"):
        check_sizes({**one, "content": _node("ListNode", "list", [one])}, {})
