"""Telling one fit from another: a hash of parameters, functions, modules and rows.

What is equal has the same hash in every process and on every machine. Nothing is pickled: an
object is taken apart as pickle would take it apart, and its parts are hashed.
"""

import dis
import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sklearnish.data._dataset import Dataset

_PIECE_BYTES = 2**24
"""Rows in memory are hashed so many bytes at a time."""

_READS = ("LOAD_GLOBAL", "LOAD_NAME")

_SLOTS = (GetSetDescriptorType, MemberDescriptorType)

_PLAIN = (type(None), bool, int, float, complex, str)

_HEAP_TYPE = 1 << 9
"""Flag of classes that Python code made."""

_HELD_BY_OTHERS = (list, tuple, dict, set, frozenset, range, np.ndarray, Tensor)
"""Parts that may be made for the moment, and large: their hashes are not kept."""


def fingerprint(*values: Any) -> str:
    """Hash values: 32 hexadecimal digits.

    Classes and functions count by their import path; those that it does not lead to, or that are
    in ``__main__``, also by what they are compiled to, by their attributes, and by the globals
    that they read. Numbers count by their values, objects by the state that pickle would store,
    weights also by whether they are trained and which of them are one.

    Raises
    ------
    TypeError
        If something cannot be taken apart, such as an open file.
    """
    hasher = _Hasher()
    hasher.add(values)
    return hasher.hexdigest()


def fingerprint_of_rows(dataset: Dataset) -> str:
    """Hash what a view delivers: rows, columns, labels, weights and functions.

    Rows in memory, and those of memory maps that can be written to, count by their numbers, which
    takes a pass over them; those of files by path, size and time of change, and by row numbers.
    """
    hasher = _Hasher()
    hasher.add(dataset.target)
    hasher.add(dataset.weight)
    hasher.add([dataset.transforms, str(dataset._dtype), dataset._names])
    if dataset.source.in_memory or dataset.source.writable:
        _add_numbers(hasher, dataset)
    else:
        hasher.add([dataset._rows, dataset._picked, dataset._constants])
        state: Any = dataset.source.__getstate__()
        # A path may be spelt in more than one way; the manifests have it in full.
        hasher.add([type(dataset.source), {k: v for k, v in state.items() if k != "name"}])
    return hasher.hexdigest()


def _add_numbers(hasher: "_Hasher", dataset: Dataset) -> None:
    """Read the rows as they are stored, a piece at a time."""
    stored = replace(dataset.without_target(), _transforms=())
    step = max(1, _PIECE_BYTES // stored.row_nbytes)
    for start in range(0, len(stored), step):
        hasher.add(stored.read(np.arange(start, min(start + step, len(stored)))).X)


class _Hasher:
    """Feeds values to a hash function, each with its kind and length."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self._open: list[int] = []  # objects that are being taken apart
        self._lowest = 0  # the outermost of them that was met again
        self._known: dict[int, tuple[bytes, Any]] = {}  # hashes of code and objects, kept alive
        self._weights: dict[int, int] = {}

    def hexdigest(self) -> str:
        """Return the hash of what was added."""
        return self._digest.hexdigest()

    def add(self, value: Any) -> None:
        """Add a value of any kind."""
        if isinstance(value, np.generic):
            value = value.item()
        if type(value) in _PLAIN:
            self._raw(type(value).__name__, str(value).encode("utf-8", "surrogatepass"))
        elif type(value) in (bytes, bytearray):
            self._raw("bytes", value)
        elif id(value) in self._open:
            place = len(self._open) - 1 - self._open[::-1].index(id(value))
            self._lowest = min(self._lowest, place)
            self._raw("again", b"%d" % (len(self._open) - 1 - place))
        elif id(value) in self._known:
            self._raw("part", self._known[id(value)][0])
        else:
            self._add_part(value)

    def _add_part(self, value: Any) -> None:
        """Add the hash of what consists of something else, and keep it if it is one for itself.

        Functions that share others would be taken apart for each way that leads to them.
        """
        outer, lowest, depth = self._digest, self._lowest, len(self._open)
        self._digest, self._lowest = hashlib.blake2b(digest_size=16), depth
        self._open.append(id(value))
        self._add_parts(value)
        self._open.pop()
        digest = self._digest.digest()
        self._digest = outer
        self._raw("part", digest)
        if self._lowest >= depth and not isinstance(value, _HELD_BY_OTHERS):
            self._known[id(value)] = digest, value
        self._lowest = min(lowest, self._lowest)

    def _raw(self, kind: str, data: bytes | bytearray) -> None:
        """Add bytes."""
        self._digest.update(f"{kind} {len(data)}:".encode())
        self._digest.update(data)

    def _add_parts(self, value: Any) -> None:
        """Add what consists of something else."""
        if isinstance(value, Tensor):
            self._add_tensor(value)
        elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self._add_rows(value)
        elif isinstance(value, np.ndarray):
            self._add_all("objects", [value.shape, *value.ravel().tolist()])
        elif isinstance(value, range):
            self._add_all("range", (value.start, value.stop, value.step))
        elif isinstance(value, list | tuple):
            self._add_all(type(value).__name__, value)
        elif isinstance(value, Mapping) and type(value).__module__ in ("builtins", "collections"):
            self._add_all("dict", (part for item in value.items() for part in item))
        elif isinstance(value, set | frozenset):
            self._add_all("set", sorted(fingerprint(item) for item in value))
        elif isinstance(value, type | FunctionType | ModuleType | CodeType):
            self._add_named(value)
        else:
            self._add_object(value)

    def _add_all(self, kind: str, values: Iterable[Any]) -> None:
        """Add the parts of a container."""
        self._raw("begin", kind.encode())
        for value in values:
            self.add(value)
        self._raw("end", b"")

    def _add_rows(self, array: npt.NDArray[Any]) -> None:
        """Add an array, a piece at a time: it may be a memory map, or not contiguous."""
        self._raw("array", f"{array.dtype.str} {array.shape}".encode())
        step = (
            max(1, _PIECE_BYTES * max(1, len(array)) // max(1, array.nbytes)) if array.ndim else 1
        )
        for start in range(0, len(array), step) if array.ndim else [0]:
            piece = array[start : start + step] if array.ndim else array
            self._digest.update(np.ascontiguousarray(piece).tobytes())

    def _add_tensor(self, value: Tensor) -> None:
        """Add the bytes of a tensor; of a weight, whether it is trained, and which one it is."""
        about = [value.dtype, value.requires_grad]
        if isinstance(value, nn.Parameter):
            about.append(self._weights.setdefault(id(value), len(self._weights)))
        if nn.parameter.is_lazy(value):
            self._raw("lazy", repr(about).encode())
            return
        self._raw("tensor", repr((*about, *value.shape)).encode())
        self._digest.update(as_bytes(value))  # type: ignore[arg-type]

    def _add_named(self, value: Any) -> None:
        """Add a class, function or module by its import path, or code."""
        if isinstance(value, CodeType):
            names = (value.co_names, value.co_varnames, value.co_freevars)
            steps = (value.co_code, value.co_exceptiontable)
            self._add_all("code", [*steps, value.co_consts, *names])
            return
        module = getattr(value, "__module__", "")
        name = getattr(value, "__qualname__", value.__name__)
        self._raw("name", f"{module}:{name}".encode())
        if _leads_to(module, name, value):
            return
        if isinstance(value, FunctionType):
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            defaults = (value.__defaults__, value.__kwdefaults__)
            read = (vars(value), _globals_of(value))
            self._add_all("function", [value.__code__, defaults, cells, *read])
        elif isinstance(value, type):
            self._add_all("class", [value.__bases__, _attributes_of(value)])

    def _add_object(self, value: Any) -> None:
        """Add an object as pickle would take it apart."""
        try:
            parts = value.__reduce_ex__(4)
        except Exception as error:  # the object's own code: anything can come
            raise TypeError(
                f"{type(value).__qualname__} cannot be told from another one, so a fit that was "
                f"interrupted cannot be recognised by it ({error}). Leave checkpoint_dir=None, or "
                "pass something that can be pickled."
            ) from error
        if isinstance(parts, str):
            self._raw("name", f"{getattr(value, '__module__', '')}:{parts}".encode())
            self.add(getattr(value, "__wrapped__", None))  # as by functools.lru_cache
            return
        plain = [list(part) if hasattr(part, "__next__") else part for part in parts[:5]]
        self._add_all("object", plain)


def _leads_to(module: str, name: str, value: Any) -> bool:
    """Tell whether an import path says all: another program would find the same there."""
    if isinstance(value, ModuleType) or (
        isinstance(value, type) and not value.__flags__ & _HEAP_TYPE
    ):
        return True
    found: Any = None if module == "__main__" else sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _globals_of(function: FunctionType) -> dict[str, Any]:
    """Collect the globals that a function, or one defined in it, reads."""
    known = function.__globals__
    return {name: known[name] for name in sorted(_read_names(function.__code__)) if name in known}


def _read_names(code: CodeType) -> set[str]:
    """Name the globals that code reads."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname in _READS}
    return names.union(*(_read_names(c) for c in code.co_consts if isinstance(c, CodeType)))


def _attributes_of(cls: type) -> dict[str, Any]:
    """Collect methods and attributes of a class; what Python itself keeps there is no part."""
    return {
        name: _behind(value)
        for name, value in sorted(vars(cls).items())
        if not isinstance(value, _SLOTS)
        and name != "_abc_impl"
        and (callable(_behind(value)) or not name.startswith("__"))
    }


def _behind(attribute: Any) -> Any:
    """Return the functions of a descriptor, which cannot be pickled."""
    if isinstance(attribute, staticmethod | classmethod):
        return attribute.__func__
    if isinstance(attribute, property):
        return attribute.fget, attribute.fset, attribute.fdel
    if isinstance(attribute, cached_property):
        return attribute.func
    return attribute


def as_bytes(tensor: Tensor) -> npt.NDArray[np.uint8]:
    """View the numbers of a tensor as bytes, in their order."""
    if tensor.layout is not torch.strided:
        raise TypeError(f"a tensor of layout {tensor.layout} cannot be stored; pass a dense one.")
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()
