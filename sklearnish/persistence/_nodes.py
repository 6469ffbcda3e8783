"""The nodes of what skops wrote: how much they come to, and which stand for one another."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sklearnish.data import shown
from sklearnish.persistence._archive import objects_in
from sklearnish.persistence._limits import Budget

_MOST_ITEMS = 2**22
"""Items of all arrays of objects in a file, bytes of arrays that are stored as such included."""

_MOST_VISITS = 2**20
"""Objects that skops looks at, which goes through an object once for each that holds it."""

_DIGITS = 18
"""Digits of numbers that have a hash of their own, none of which is beyond 2 ** 60."""

_KEYS = frozenset(f"builtins.{kind}" for kind in ("str", "int", "float", "bool"))
"""Classes that skops calls with the text of a key; beside them, numbers and text of NumPy."""


def check_sizes(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    """Refuse what a small file could ask for in any number, before skops is asked."""
    _check_items(members)
    _check_files(schema)
    _check_identities(schema)
    items = _items(schema, members)
    _check_keys(schema, items)
    _check_arrays(schema, items)
    _check_visits(schema)


def nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every node of what skops wrote."""
    return (node for node in objects_in(schema) if "__loader__" in node)


def _check_items(members: dict[str, bytes]) -> None:
    """Refuse arrays whose items have no bytes: a few of them can claim any number of items."""
    for name, data in members.items():
        if name.endswith(".npy") and not _item_bytes(io.BytesIO(data)):
            raise ValueError(f"its member {name!r} is an array of items of no bytes.")


def _item_bytes(file: io.BytesIO) -> int:
    """Read how many bytes an item of a .npy file has."""
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in read:
        raise ValueError(f"its arrays have version {version} of the .npy format.")
    return int(read[version](file)[2].itemsize)


def _check_files(schema: dict[str, Any]) -> None:
    """Refuse a member that is read as two objects: a small file could ask for any number."""
    owners: dict[str, Any] = {}
    for node in nodes(schema):
        name, owner = node.get("file"), node.get("__id__")
        if name is not None and (not owner or owners.setdefault(name, owner) != owner):
            raise ValueError(
                f"its member {shown(str(name))} is used by more than one object; the limit is one."
            )


class _Count:
    """Counts what an object holds, as often as others hold it.

    A node that has an ``__id__`` may stand for any other that has it, so the largest of them
    counts: lists that hold one another a few times over would else take any memory or time.
    """

    def __init__(self, schema: dict[str, Any], inside: Callable[["_Count", Any], int]) -> None:
        self._inside = inside
        self._same: dict[Any, list[dict[str, Any]]] = {}
        self._known: dict[Any, int | None] = {}
        for node in nodes(schema):
            self._same.setdefault(node.get("__id__"), []).append(node)

    def of(self, node: Any) -> int:
        """Count a node and what it holds."""
        identity = node.get("__id__") if isinstance(node, dict) else None
        if not identity:
            return self._inside(self, node)
        if identity not in self._known:
            self._known[identity] = None
            same = self._same.get(identity, [node])
            self._known[identity] = max(self._inside(self, one) for one in same)
        known = self._known[identity]
        if known is None:
            raise ValueError("it has an object that holds itself, which sn.save never writes.")
        return known


def _items(schema: dict[str, Any], members: dict[str, bytes]) -> _Count:
    """Count items of arrays and sets, whose lists, tuples and arrays NumPy and hashes go through.

    Of an array that is stored as such, bytes count.
    """
    lists = ("ListNode", "TupleNode", "NdArrayNode")

    def inside(count: _Count, node: Any) -> int:
        if not isinstance(node, dict) or node.get("__loader__") not in lists:
            return 1
        content = node.get("content")
        if isinstance(content, list):
            return 1 + sum(map(count.of, content))
        return 1 + len(members.get(str(node.get("file")), b""))

    return _Count(schema, inside)


def _check_visits(schema: dict[str, Any]) -> None:
    """Refuse objects that skops would go through for ever, counting whatever each holds."""

    def inside(count: _Count, node: Any) -> int:
        held = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        return 1 + sum(count.of(one) for one in held if isinstance(one, dict | list))

    if (n := _Count(schema, inside).of(schema)) > _MOST_VISITS:
        raise ValueError(
            f"its objects hold one another, and come to {n:,}; the limit is {_MOST_VISITS:,}."
        )


def _check_arrays(schema: dict[str, Any], items: _Count) -> None:
    """Refuse more items in arrays than a file of this size can honestly hold."""
    arrays = (node for node in nodes(schema) if node["__loader__"] == "NdArrayNode")
    n = sum(items.of(array) for array in arrays if isinstance(array.get("content"), list))
    if n > _MOST_ITEMS:
        raise ValueError(
            f"its arrays of objects come to {n:,} items; the limit is {_MOST_ITEMS:,}."
        )


def _check_identities(schema: dict[str, Any]) -> None:
    """Refuse different nodes of one ``__id__``: skops takes the first for all of them."""
    known: dict[Any, Any] = {}
    for node in nodes(schema):
        identity = node.get("__id__")
        content = node.get("content") if node["__loader__"] == "JsonNode" else None
        kind = [node["__loader__"], node.get("__module__"), node.get("__class__"), content]
        if identity and known.setdefault(identity, kind) != kind:
            raise ValueError("it has two objects of different kinds that claim to be one.")


def _check_keys(schema: dict[str, Any], items: _Count) -> None:
    """Refuse keys of dicts that are made by other classes than they have, or too many in sets."""
    used = Counter(node.get("__id__") for node in nodes(schema))
    budget = Budget()
    for node in nodes(schema):
        if node["__loader__"] == "DictNode":
            kinds = node["key_types"]
            if used[kinds.get("__id__")] > 1 and kinds.get("__id__"):
                raise ValueError("it has a dict that shares the types of its keys with another.")
            names = [_key_type(kind) for kind in kinds["content"]]
            keys = zip(names, node["content"], strict=True)
            budget.add_keys([key if name == "builtins.str" else _number(key) for name, key in keys])
        elif node["__loader__"] == "SetNode":
            held = node["content"]
            budget.add_keys(list(map(_item, held)), list(map(items.of, held)))


def _key_type(node: dict[str, Any]) -> str:
    """Name the class of a key."""
    name = f"{node.get('__module__')}.{node.get('__class__')}"
    kind = vars(np).get(str(node.get("__class__")))
    of_numpy = isinstance(kind, type) and issubclass(kind, np.number | np.bool_ | np.str_)
    known = name in _KEYS or (of_numpy and node.get("__module__") == "numpy")
    if node.get("__loader__") != "TypeNode" or not known:
        raise ValueError(f"it has a key of a dict that is a {name}.")
    return name


def _number(key: str) -> Any:
    """Read a key that is no text, as far as it is a number that has a hash of its own."""
    return 0 if len(key) <= _DIGITS else ()


def _item(node: dict[str, Any]) -> Any:
    """Read an item of a set, as far as it is text or such a number."""
    if node.get("__loader__") != "JsonNode":
        return ()
    content = str(node["content"])
    return json.loads(content) if content.startswith('"') else _number(content)
