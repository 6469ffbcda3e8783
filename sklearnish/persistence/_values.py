"""Values as a file of ours holds them: those of a tree, and code, modules and objects.

Names of attributes are identifiers, so a key that starts with a dollar sign is none of them.
"""

import copyreg
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
from torch import Tensor, nn

from sklearnish.data import PerBatch, shown
from sklearnish.persistence._fields import check_names, check_plain, make
from sklearnish.persistence._limits import Budget
from sklearnish.persistence._stand_ins import put_together
from sklearnish.persistence._trust import INSTANCES, LOSS_FUNCTIONS, Trust, is_known, name_of
from sklearnish.training import FunctionLoss, Packer, Unpacker

_TWISTER_KEYS = 624
"""Numbers in the state of MT19937."""

_MODULE_STATE = frozenset(vars(nn.Module()))
_MODULE_TENSORS = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")


class Encoder(Packer):
    """Turns values into JSON, and collects their tensors; code is stored by its name."""

    def __init__(self) -> None:
        super().__init__()
        self._budget = Budget()
        self.kinds += [
            (np.random.RandomState, "$random_state", self._random_state),
            (partial, "$partial", lambda p, at: self._all([p.func, p.args, dict(p.keywords)], at)),
            ((type, FunctionType, BuiltinFunctionType), "$code", name_of),
            (nn.Module, "$module", self._module),
        ]

    def encode(self, value: Any, where: str) -> Any:
        """Turn a value into what JSON can hold; `where` names it, in errors and to tensors."""
        if isinstance(value, PerBatch) and (path := value.path):
            return {"$code": path}
        return super().encode(value, where)

    def other(self, value: Any, where: str) -> Any:
        """Store an object of a class of its own."""
        return {"$instance": self._instance(value, where)}

    def refusal(self, where: str, what: str) -> Exception:
        """Say that a value cannot be stored."""
        return ValueError(f"{where} is {what}, which cannot be saved without pickle.")

    def count_text(self, nbytes: int, where: str) -> None:
        """Refuse text that would not be loaded."""
        self._budget.add_text(nbytes, where)

    def attributes(self, values: dict[str, Any], where: str) -> dict[str, Any]:
        """Turn named attributes into JSON."""
        return {name: self.encode(value, f"{where}.{name}") for name, value in values.items()}

    def _random_state(self, value: np.random.RandomState, where: str) -> list[Any]:
        """Take the state of a generator apart."""
        state = check_random_state(value, f"{where} is")
        twister = state["state"]
        return [twister["key"].tolist(), twister["pos"], state["has_gauss"], state["gauss"]]

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
        nodes = self.attributes(plain, where)
        if is_known(type(value)):
            check_plain(type(value), nodes)
        return {
            "$class": name_of(type(value), where),
            "training": value.training,
            "plain": nodes,
            "parameters": {
                k: None if p is None else [self.tensor(p, f"{where}.{k}"), p.requires_grad]
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
            kind = type(value)
            raise self.refusal(where, f"a {kind.__module__}.{kind.__qualname__}")
        return {
            "$class": name_of(type(value), f"the class of {where}"),
            "state": self.attributes(state or {}, where),
        }


class Decoder(Unpacker):
    """Turns JSON and tensors back into values; imports only what is trusted."""

    def __init__(self, tensors: dict[str, Tensor], trust: Trust) -> None:
        super().__init__(tensors)
        self.trust = trust
        self._taken: set[str] = set()
        self._budget = Budget()
        self.kinds |= {
            "$random_state": self._random_state,
            "$partial": lambda body: put_together([self.decode(part) for part in body]),
            "$code": trust.find,
            "$module": self._module,
            "$instance": self._instance,
        }

    def count_text(self, nbytes: int, where: str) -> None:
        """Refuse more text than a file of its size can honestly ask for."""
        self._budget.add_text(nbytes, where)

    def count_keys(self, keys: list[Any]) -> None:
        """Refuse keys that would take for ever."""
        self._budget.add_keys(keys)

    def take(self, name: str) -> Tensor:
        """Copy a tensor, once: a small file could else ask for any number of copies."""
        if name in self._taken:
            raise ValueError(
                f"it uses the tensor {shown(name)} more than once; the limit is once, as sn.save "
                "stores a tensor for each use."
            )
        self._taken.add(name)
        return self.tensors[name].clone()

    def attributes(self, nodes: dict[str, Any], owner: type) -> dict[str, Any]:
        """Decode attributes, none of which may take the place of a method."""
        check_names(nodes, owner)
        return {name: self.decode(node) for name, node in nodes.items()}

    def _random_state(self, body: Any) -> np.random.RandomState:
        """Rebuild a generator."""
        keys, position, *gauss = body
        key = np.array(keys, dtype=np.uint32)
        if key.shape != (_TWISTER_KEYS,):
            raise ValueError(f"it has a RandomState of {key.size} numbers, not {_TWISTER_KEYS}.")
        generator = np.random.RandomState(0)
        generator.set_state(("MT19937", key, position, *gauss))
        check_random_state(generator)
        return generator

    def _module(self, body: dict[str, Any]) -> nn.Module:
        """Put a module together without its constructor."""
        kind = self.trust.find(body["$class"])
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise ValueError(f"{body['$class']} is no module.")
        module: nn.Module = kind.__new__(kind)
        nn.Module.__init__(module)
        vars(module).update(self._plain(body["plain"], kind, body["$class"]))
        for name, entry in body["parameters"].items():
            weight = None if entry is None else nn.Parameter(self.tensor(entry[0]), entry[1])
            module.register_parameter(name, weight)
        for name, (node, persistent) in body["buffers"].items():
            module.register_buffer(name, self.decode(node), persistent=persistent)
        for name, node in body["children"].items():
            module.add_module(name, self.decode(node))
        module.training = body["training"] is True
        return module

    def _plain(self, nodes: dict[str, Any], kind: type, name: str) -> dict[str, Any]:
        """Decode what a module has beside weights and children; only the user's own hold code."""
        if self.trust.chosen(name):
            return self.attributes(nodes, nn.Module)
        check_plain(kind, nodes)
        values = self.attributes(nodes, kind)
        if kind is FunctionLoss and not self.trust.calls(values["function"], LOSS_FUNCTIONS):
            raise ValueError(f"its loss is {values['function']!r}, which is no function of torch.")
        return values

    def _instance(self, body: dict[str, Any]) -> Any:
        """Put an object together: ours of their fields, the user's of their attributes."""
        name, kind = body["$class"], self.trust.find(body["$class"])
        if not isinstance(kind, type) or not (kind in INSTANCES or self.trust.chosen(name)):
            raise ValueError(f"sn.save writes no instance of {name}.")
        state = {key: self.decode(node) for key, node in body["state"].items()}
        if kind in INSTANCES:
            return make(kind, state)
        if any(key.startswith("__") for key in state):
            raise ValueError(f"it sets {sorted(state)[:5]} of a {kind.__name__}.")
        instance = copyreg.__newobj__(kind)  # type: ignore[attr-defined]
        if hasattr(kind, "__setstate__"):
            instance.__setstate__(state)
        else:
            vars(instance).update(state)
        return instance


def check_random_state(generator: np.random.RandomState, what: str = "it has") -> dict[str, Any]:
    """Return the state of a generator; refuse one that would read beyond it, which NumPy lets."""
    state: dict[str, Any] = generator.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise ValueError(
            f"{what} a RandomState over {state['bit_generator']}; only MT19937 can be saved."
        )
    position = state["state"]["pos"]
    if not 0 <= position <= _TWISTER_KEYS:
        raise ValueError(f"{what} a RandomState at position {position} of {_TWISTER_KEYS}.")
    return state
