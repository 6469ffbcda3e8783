"""Values as JSON and tensors, and back.

What JSON has no word for becomes an object with one key: ``{"$tuple": [1, 2]}``. Names of
attributes are identifiers, so a key that starts with a dollar sign is never one of them.
"""

import copyreg
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearnish.data._transforms import PerBatch
from sklearnish.persistence._partials import put_together
from sklearnish.persistence._trust import INSTANCES, Trust, name_of

_MOST_TEXT = 2**28
"""Bytes of all arrays of fixed-width text in a file: a few letters can claim any width."""

_MOST_KEYS = 2**14
"""Keys of one dict that are no text: numbers can be chosen so that all have one hash."""

_TWISTER_KEYS = 624
"""Numbers in the state of MT19937."""

_MODULE_STATE = frozenset(vars(nn.Module()))
_MODULE_TENSORS = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")


class Encoder:
    """Turns values into JSON, and collects their tensors."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._text = 0

    def encode(self, value: Any, where: str) -> Any:
        """Turn a value into what JSON can hold; `where` names it, in errors and to tensors."""
        if value is None or type(value) in (bool, int, float, str):  # no np.float64, no IntEnum
            return value
        if type(value) is list:
            return self._all(value, where)
        if isinstance(value, PerBatch) and (path := value.path):
            return {"$code": path}
        for kind, tag, method in _KINDS:
            if type(value) is kind or (kind not in (tuple, dict) and isinstance(value, kind)):
                return {tag: method(self, value, where)}
        return {"$instance": self._instance(value, where)}

    def attributes(self, values: dict[str, Any], where: str) -> dict[str, Any]:
        """Turn named attributes into JSON."""
        return {name: self.encode(value, f"{where}.{name}") for name, value in values.items()}

    def _all(self, values: Any, where: str) -> list[Any]:
        """Turn the values of a list or tuple into JSON."""
        return [self.encode(value, f"{where}.{i}") for i, value in enumerate(values)]

    def _dict(self, value: dict[Any, Any], where: str) -> list[Any]:
        """Turn a dict, whose keys may be anything, into pairs."""
        return [
            [self.encode(key, f"{where} (a key)"), self.encode(item, f"{where}.{key}")]
            for key, item in value.items()
        ]

    def _tensor(self, value: Tensor, where: str) -> str:
        """Store a tensor."""
        if value.layout is not torch.strided:
            raise ValueError(f"{where} is a tensor of layout {value.layout}, which is not saved.")
        name = where
        while name in self.tensors:
            name += "'"
        self.tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return name

    def _array(self, value: Any, where: str) -> Any:
        """Store numbers as a tensor, text and objects as JSON."""
        if value.dtype.kind in "UO":
            # To NumPy a width of 0 is any.
            width = max(1, value.dtype.itemsize // 4) if value.dtype.kind == "U" else None
            if width is not None:
                self._text = _with_text(self._text, value.nbytes, where)
            items = self._all(value.ravel().tolist(), where)
            return {"shape": list(value.shape), "width": width, "items": items}
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            raise ValueError(f"{where} has dtype {value.dtype}, which cannot be saved.")
        native = np.array(value, dtype=value.dtype.newbyteorder("="), order="C", subok=False)
        return self._tensor(torch.from_numpy(native), where)

    def _random_state(self, value: np.random.RandomState, where: str) -> list[Any]:
        """Take the state of a generator apart."""
        state = value.get_state(legacy=False)
        if state["bit_generator"] != "MT19937":
            raise ValueError(
                f"{where} is a RandomState over {state['bit_generator']}; only MT19937 can be "
                "saved."
            )
        twister = state["state"]
        return [twister["key"].tolist(), twister["pos"], state["has_gauss"], state["gauss"]]

    def _partial(self, value: "partial[Any]", where: str) -> list[Any]:
        """Take a functools.partial apart."""
        parts = (value.func, value.args, dict(value.keywords))
        return [self.encode(part, where) for part in parts]

    def _module(self, value: nn.Module, where: str) -> dict[str, Any]:
        """Take a module apart: its class, attributes, weights and children."""
        state = vars(value)
        hooks = [k for k in _MODULE_STATE - set(_MODULE_TENSORS) if isinstance(state.get(k), dict)]
        if any(state[name] for name in hooks):
            raise ValueError(f"{where} has hooks, which cannot be saved without pickle.")
        weights = [id(p) for _, p in value.named_parameters(remove_duplicate=False)]
        if len(set(weights)) < len(weights):
            raise ValueError(
                f"{where} shares weights between its parts, which only its class can do again; "
                "pass the class as module, and its arguments as module_params."
            )
        plain = {k: v for k, v in state.items() if k not in _MODULE_STATE}
        return {
            "$class": name_of(type(value), where),
            "training": value.training,
            "plain": self.attributes(plain, where),
            "parameters": {
                k: None if p is None else [self._tensor(p, f"{where}.{k}"), p.requires_grad]
                for k, p in value._parameters.items()
            },
            "buffers": {
                k: [self.encode(b, f"{where}.{k}"), k not in value._non_persistent_buffers_set]
                for k, b in value._buffers.items()
            },
            "children": self.attributes(dict(value._modules), where),
        }

    def _instance(self, value: Any, where: str) -> dict[str, Any]:
        """Take an object apart that consists of its attributes alone."""
        try:
            build, args, state, *items = value.__reduce_ex__(2)
        except (TypeError, ValueError):
            build, args, state, items = None, (), None, []
        whole = build is copyreg.__newobj__ and args == (type(value),)  # type: ignore[attr-defined]
        if not whole or any(items) or not isinstance(state, dict | None):
            raise ValueError(
                f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which cannot "
                "be saved without pickle."
            )
        return {
            "$class": name_of(type(value), f"the class of {where}"),
            "state": self.attributes(state or {}, where),
        }


_CODE = (type, FunctionType, BuiltinFunctionType)
_KINDS: list[tuple[Any, str, Callable[[Encoder, Any, str], Any]]] = [
    (tuple, "$tuple", Encoder._all),
    (dict, "$dict", Encoder._dict),
    (Tensor, "$tensor", Encoder._tensor),
    (np.ndarray, "$array", Encoder._array),
    (np.generic, "$scalar", lambda encoder, value, where: encoder._array(np.array(value), where)),
    (np.random.RandomState, "$random_state", Encoder._random_state),
    (torch.dtype, "$dtype", lambda encoder, value, where: str(value).removeprefix("torch.")),
    (torch.device, "$device", lambda encoder, value, where: str(value)),
    (partial, "$partial", Encoder._partial),
    (_CODE, "$code", lambda encoder, value, where: name_of(value, where)),
    (nn.Module, "$module", Encoder._module),
]


class Decoder:
    """Turns JSON and tensors back into values; imports only what is trusted."""

    def __init__(self, tensors: dict[str, Tensor], trust: Trust) -> None:
        self.tensors = tensors
        self.trust = trust
        self._taken: set[str] = set()
        self._text = 0
        self._kinds: dict[str, Callable[[Any], Any]] = {
            "$tuple": lambda body: tuple(self.decode(item) for item in body),
            "$dict": self._dict,
            "$tensor": self._tensor,
            "$array": self._array,
            "$scalar": lambda body: self._array(body)[()],
            "$random_state": self._random_state,
            "$dtype": self._dtype,
            "$device": torch.device,
            "$partial": self._partial,
            "$code": trust.find,
            "$module": self._module,
            "$instance": self._instance,
        }

    def decode(self, node: Any) -> Any:
        """Turn JSON into the value that was saved."""
        if isinstance(node, list):
            return [self.decode(item) for item in node]
        if not isinstance(node, dict):
            return node
        if len(node) != 1 or next(iter(node)) not in self._kinds:
            raise ValueError(f"its {list(node)[:5]} are of no kind that sn.save writes.")
        [(kind, body)] = node.items()
        return self._kinds[kind](body)

    def attributes(self, nodes: dict[str, Any], owner: type) -> dict[str, Any]:
        """Decode attributes, none of which may take the place of a method."""
        for name in nodes:
            if not name.isidentifier() or hasattr(owner, name):
                raise ValueError(
                    f"it sets {name!r} of a {owner.__name__}, which sn.save never does."
                )
        return {name: self.decode(node) for name, node in nodes.items()}

    def _dict(self, body: list[Any]) -> dict[Any, Any]:
        """Rebuild a dict."""
        n = sum(type(key) is not str for key, _ in body)
        if n > _MOST_KEYS:
            raise ValueError(
                f"it has a dict of {n:,} keys that are no text; the limit is {_MOST_KEYS:,}."
            )
        return {self.decode(key): self.decode(value) for key, value in body}

    def _tensor(self, name: str) -> Tensor:
        """Copy a tensor, once: a small file could else ask for any number of copies."""
        if name in self._taken:
            raise ValueError(
                f"it uses the tensor {name[:80]!r} more than once; the limit is once, as sn.save "
                "stores a tensor for each use."
            )
        self._taken.add(name)
        return self.tensors[name].clone()

    def _array(self, body: Any) -> Any:
        """Rebuild an array."""
        if isinstance(body, str):
            return self._tensor(body).numpy()
        items, width = [self.decode(item) for item in body["items"]], body["width"]
        if width is None:
            array = np.empty(len(items), dtype=object)
            for i, item in enumerate(items):  # a list would be spread by an assignment of all
                array[i] = item
        elif type(width) is not int or width < 1 or not all(type(item) is str for item in items):
            raise ValueError(f"it has an array of text of width {width!r}, or of other things.")
        else:
            self._text = _with_text(self._text, 4 * width * len(items), "it")
            array = np.array(items, dtype=f"U{width}")
        return array.reshape(body["shape"])

    def _random_state(self, body: Any) -> np.random.RandomState:
        """Rebuild a generator."""
        keys, position, *gauss = body
        generator = np.random.RandomState(0)
        key = np.array(keys, dtype=np.uint32)
        if key.shape != (_TWISTER_KEYS,):
            raise ValueError(f"it has a RandomState of {key.size} numbers, not {_TWISTER_KEYS}.")
        generator.set_state(("MT19937", key, position, *gauss))
        check_random_state(generator)
        return generator

    def _dtype(self, body: str) -> torch.dtype:
        """Find a dtype of torch."""
        found = getattr(torch, body, None)
        if not isinstance(found, torch.dtype):
            raise ValueError(f"torch has no dtype {body!r}.")
        return found

    def _partial(self, body: Any) -> "partial[Any]":
        """Rebuild a functools.partial."""
        return put_together([self.decode(part) for part in body])

    def _module(self, body: dict[str, Any]) -> nn.Module:
        """Put a module together without its constructor."""
        kind = self.trust.find(body["$class"])
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise ValueError(f"{body['$class']} is no module.")
        module: nn.Module = kind.__new__(kind)
        nn.Module.__init__(module)
        vars(module).update(self.attributes(body["plain"], nn.Module))
        for name, entry in body["parameters"].items():
            weight = None if entry is None else nn.Parameter(self._tensor(entry[0]), entry[1])
            module.register_parameter(name, weight)
        for name, (node, persistent) in body["buffers"].items():
            module.register_buffer(name, self.decode(node), persistent=persistent)
        for name, node in body["children"].items():
            module.add_module(name, self.decode(node))
        module.training = body["training"] is True
        return module

    def _instance(self, body: dict[str, Any]) -> Any:
        """Put an object together from its attributes."""
        name, kind = body["$class"], self.trust.find(body["$class"])
        if not isinstance(kind, type) or not (name in INSTANCES or self.trust.chosen(name)):
            raise ValueError(f"sn.save writes no instance of {name}.")
        instance = copyreg.__newobj__(kind)  # type: ignore[attr-defined]
        if hasattr(kind, "__setstate__"):
            instance.__setstate__({key: self.decode(node) for key, node in body["state"].items()})
        else:
            vars(instance).update({key: self.decode(node) for key, node in body["state"].items()})
        return instance


def _with_text(before: int, more: int, where: str) -> int:
    """Add to the bytes of text in a file, up to a limit."""
    if before + more > _MOST_TEXT:
        raise ValueError(
            f"{where} has an array of text of {more:,} bytes, by which those of the file come to "
            f"{before + more:,} bytes; the limit is {_MOST_TEXT:,}."
        )
    return before + more


def check_random_state(generator: np.random.RandomState) -> None:
    """Refuse a generator that would read beyond its state, which NumPy does not look at."""
    state = generator.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise ValueError(
            f"it has a RandomState over {state['bit_generator']}; only MT19937 can be saved."
        )
    position = state["state"]["pos"]
    if not 0 <= position <= _TWISTER_KEYS:
        raise ValueError(f"it has a RandomState at position {position} of {_TWISTER_KEYS}.")
