"""Nested values as JSON and tensors, and files of them: the one way in which values are stored.

    tree -> Packer -> JSON, tensors -> write -> file -> read -> Unpacker -> tree

What JSON has no word for becomes an object with one key: ``{"$tuple": [1, 2]}``. A file holds the
tensors of a tree and, as one more tensor, its JSON; nothing in it is ever run.
"""

import errno
import hashlib
import json
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearnish.data import as_bytes, atomic_path

Tree = dict[str, Any]
"""Nested dicts, lists and tuples of plain values, arrays and tensors."""

_DICTS = (dict, Counter, OrderedDict)
_EXACT = (tuple, *_DICTS)
"""Kinds whose subclasses are another kind."""


class DamagedError(ValueError):
    """A file is not what was written."""


class Packer:
    """Turns values into JSON, and collects their tensors."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.kinds: list[tuple[Any, str, Callable[[Any, str], Any]]] = [
            (tuple, "$tuple", self._all),
            (dict, "$dict", self._dict),
            (Counter, "$counter", self._dict),
            (OrderedDict, "$ordered", self._dict),
            (Tensor, "$tensor", self.tensor),
            (np.ndarray, "$array", self._array),
            (np.generic, "$scalar", lambda value, where: self._array(np.array(value), where)),
            (torch.dtype, "$dtype", lambda value, where: str(value).removeprefix("torch.")),
            (torch.device, "$device", lambda value, where: str(value)),
        ]

    def encode(self, value: Any, where: str) -> Any:
        """Turn a value into what JSON can hold; `where` names it, in errors and to tensors."""
        if value is None or type(value) in (bool, int, float, str):  # no np.float64, no IntEnum
            return value
        if type(value) is list:
            return self._all(value, where)
        for kind, tag, method in self.kinds:
            if type(value) is kind or (kind not in _EXACT and isinstance(value, kind)):
                return {tag: method(value, where)}
        return self.other(value, where)

    def other(self, value: Any, where: str) -> Any:
        """Store what is of a class of its own as the plain kind that it is."""
        if isinstance(value, int | float | str):
            return value
        for kind in (dict, tuple, list):
            if isinstance(value, kind):
                return self.encode(kind(value), where)
        raise self.refusal(where, f"a {type(value).__qualname__}")

    def refusal(self, where: str, what: str) -> Exception:
        """Say that a value cannot be stored."""
        return TypeError(
            f"{where.removeprefix('.')} is {what}, which a checkpoint cannot hold: only numbers, "
            "text, arrays, tensors, and lists and dicts of them. Leave checkpoint_dir=None, or "
            "keep something else in the state of module, optimizer or schedule."
        )

    def count_text(self, nbytes: int, where: str) -> None:
        """Take notice of an array of text."""

    def tensor(self, value: Tensor, where: str) -> Any:
        """Store a copy of a tensor; in which order its axes lie matters to fused optimizers."""
        if value.layout is not torch.strided:
            raise self.refusal(where, f"a tensor of layout {value.layout}")
        copied = value.detach().to("cpu", copy=True)
        name = where
        while name in self.tensors:
            name += "'"
        if copied.is_contiguous():
            self.tensors[name] = copied
            return name
        strides = copied.stride()
        order = sorted(range(copied.ndim), key=lambda axis: -strides[axis])
        self.tensors[name] = copied.permute(order).contiguous()
        return [name, np.argsort(order).tolist()]

    def _all(self, values: Any, where: str) -> list[Any]:
        """Turn the values of a list or tuple into JSON."""
        return [self.encode(value, f"{where}.{i}") for i, value in enumerate(values)]

    def _dict(self, value: dict[Any, Any], where: str) -> list[Any]:
        """Turn a dict, whose keys may be anything, into pairs."""
        return [
            [self.encode(key, f"{where} (a key)"), self.encode(item, f"{where}.{key}")]
            for key, item in value.items()
        ]

    def _array(self, value: Any, where: str) -> Any:
        """Store numbers as a tensor, text and objects as JSON."""
        if value.dtype.kind in "UO":
            # To NumPy a width of 0 is any.
            width = max(1, value.dtype.itemsize // 4) if value.dtype.kind == "U" else None
            if width is not None:
                self.count_text(value.nbytes, where)
            items = self._all(value.ravel().tolist(), where)
            return {"shape": list(value.shape), "width": width, "items": items}
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            raise self.refusal(where, f"an array of dtype {value.dtype}")
        native = np.array(value, dtype=value.dtype.newbyteorder("="), order="C", subok=False)
        return self.tensor(torch.from_numpy(native), where)


class Unpacker:
    """Turns JSON and tensors back into values."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.kinds: dict[str, Callable[[Any], Any]] = {
            "$tuple": lambda body: tuple(self.decode(item) for item in body),
            "$dict": self._dict,
            "$counter": lambda body: Counter(self._dict(body)),
            "$ordered": lambda body: OrderedDict(self._dict(body)),
            "$tensor": self.tensor,
            "$array": self._array,
            "$scalar": lambda body: self._array(body)[()],
            "$dtype": self._dtype,
            "$device": torch.device,
        }

    def decode(self, node: Any) -> Any:
        """Turn JSON into the value that was stored."""
        if isinstance(node, list):
            return [self.decode(item) for item in node]
        if not isinstance(node, dict):
            return node
        if len(node) != 1 or next(iter(node)) not in self.kinds:
            raise ValueError(f"its {list(node)[:5]} are of no kind that is ever written.")
        [(kind, body)] = node.items()
        return self.kinds[kind](body)

    def count_text(self, nbytes: int, where: str) -> None:
        """Take notice of an array of text."""

    def count_keys(self, keys: list[Any]) -> None:
        """Take notice of the keys of a dict."""

    def take(self, name: str) -> Tensor:
        """Return a tensor of the file."""
        return self.tensors[name]

    def tensor(self, body: Any) -> Tensor:
        """Find a tensor, and put its axes in order."""
        if isinstance(body, str):
            return self.take(body)
        name, order = body
        return self.take(name).permute(order)

    def _dict(self, body: list[Any]) -> dict[Any, Any]:
        """Rebuild a dict."""
        keys = [self.decode(key) for key, _ in body]
        self.count_keys(keys)
        return {key: self.decode(value) for key, (_, value) in zip(keys, body, strict=True)}

    def _array(self, body: Any) -> Any:
        """Rebuild an array."""
        if isinstance(body, str):
            return self.take(body).numpy()
        items, width = [self.decode(item) for item in body["items"]], body["width"]
        if width is None:
            array = np.empty(len(items), dtype=object)
            for i, item in enumerate(items):  # a list would be spread by an assignment of all
                array[i] = item
        elif type(width) is not int or width < 1 or not all(type(item) is str for item in items):
            raise ValueError(f"it has an array of text of width {width!r}, or of other things.")
        else:
            self.count_text(4 * width * len(items), "it")
            array = np.array(items, dtype=f"U{width}")
        return array.reshape(body["shape"])

    def _dtype(self, body: str) -> torch.dtype:
        """Find a dtype of torch."""
        found = getattr(torch, body, None)
        if not isinstance(found, torch.dtype):
            raise ValueError(f"torch has no dtype {body!r}.")
        return found


def write(tree: Tree, path: Path) -> None:
    """Write a tree to a file, which appears when it is complete."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = _packed(tree)
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, {"hash": _hash(tensors)})
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else errno.EIO, str(error)) from error


def read(path: Path) -> Tree:
    """Read a tree.

    Raises
    ------
    DamagedError
        If the file is not, bit for bit, what was written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            # Copied out of the file, which may be removed while they are in use.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            wanted = (file.metadata() or {}).get("hash")
    except (SafetensorError, AttributeError, LookupError, RuntimeError, ValueError) as error:
        raise DamagedError(str(error)) from error
    if _hash(tensors) != wanted:
        raise DamagedError("its content does not have the hash that is noted in it")
    return _unpacked(tensors)


def to_bytes(tree: Tree) -> bytes:
    """Write a tree for another process."""
    from safetensors.torch import save

    return save(_packed(tree))


def from_bytes(data: bytes) -> Tree:
    """Read what `to_bytes` wrote."""
    from safetensors.torch import load

    return _unpacked(load(data))


def _packed(tree: Tree) -> dict[str, Tensor]:
    """Turn a tree into tensors."""
    packer = Packer()
    text = json.dumps(packer.encode(tree, "")).encode()
    return packer.tensors | {"tree": torch.frombuffer(bytearray(text), dtype=torch.uint8)}


def _unpacked(tensors: dict[str, Tensor]) -> Tree:
    """Turn such tensors back into the tree."""
    tree: Tree = Unpacker(tensors).decode(json.loads(bytes(as_bytes(tensors["tree"]))))
    return tree


def _hash(tensors: dict[str, Tensor]) -> str:
    """Hash names, types, shapes and numbers."""
    digest = hashlib.blake2b(digest_size=32)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}:".encode())
        digest.update(as_bytes(tensor))  # type: ignore[arg-type]
    return digest.hexdigest()
