"""Telling one thing from another: a hash of values, functions, modules and rows.

What is equal has the same hash in every process and on every machine. Nothing is pickled: an
object is taken apart as pickle would take it apart, and its parts are hashed.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor, nn

from sklearnish.data._arrow.columns import cast, plain
from sklearnish.data._files.changes import Manifest
from sklearnish.data._files.store import Store
from sklearnish.data._functions import code
from sklearnish.data._reading.frames import read_frames
from sklearnish.data._views.labels import Labels
from sklearnish.data._views.view import View

_PIECE_BYTES = 2**24
"""Rows in memory are hashed so many bytes at a time."""

_ITEMS = 32
"""Items of a torch Dataset that are looked at: its files may lie where its state does not say."""

_FILES = 10_000
"""Files that are looked at; of the first ones, samples of the whole content."""

_PLAIN = (type(None), bool, int, float, complex, str)

_HELD_BY_OTHERS = (list, tuple, dict, set, frozenset, range, np.ndarray, Tensor)
"""Parts that may be made for the moment, and large: their hashes are not kept."""


def fingerprint(*values: Any) -> str:
    """Hash values: 32 hexadecimal digits.

    Classes and functions of Python and of installed packages count by their import path. Those
    of the user's own modules, and those that it does not lead to, also count by what they are
    compiled to, by their attributes, and by the globals that they read, functions included.
    Numbers count by their values, objects by the state that pickle would store, weights also by
    whether they are trained and which of them are one.

    Raises
    ------
    TypeError
        If something cannot be taken apart, such as an open file.
    """
    hasher = _Hasher()
    hasher.add(values)
    return hasher.hexdigest()


def fingerprint_of_rows(dataset: View) -> str:
    """Hash what a view delivers: rows, columns, labels, weights and functions.

    Rows in memory count by their numbers, which takes a pass over them; those of files by path,
    size, time of change and samples of the content, and by row numbers; those of a torch Dataset
    by what it holds, by the files that it names, and by some of its items.
    """
    hasher, source = _Hasher(), dataset.source
    by_numbers = source.in_memory or source.by_numbers
    hasher.add(dataset.target if by_numbers else _origin(dataset._target))
    hasher.add(dataset.weight if by_numbers else _origin(dataset._weight))
    inputs = dataset._inputs
    hasher.add([dataset.transforms, str(inputs.dtype), inputs.names])
    if by_numbers:
        _add_numbers(hasher, dataset)
        return hasher.hexdigest()
    hasher.add([dataset._rows, inputs.picked, inputs.constants, source.identity()])
    if source.uses_global_generators and len(dataset):
        places = np.unique(np.linspace(0, len(dataset) - 1, _ITEMS).astype(np.int64))
        rows = dataset.rows[places].astype(np.int64)
        hasher.add([source.read(rows, [name]) for name in source.schema])
    return hasher.hexdigest()


def _origin(labels: Labels) -> Any:
    """Return the column or columns that labels are in, or the array that they are."""
    if labels.array is not None or not labels.names:
        return labels.array
    return labels.names[0] if len(labels.names) == 1 else labels.names


def _add_numbers(hasher: "_Hasher", dataset: View) -> None:
    """Read the rows as they are stored, a piece at a time."""
    stored = dataset._as_stored()
    if any(stored.source.schema[name].kind != "number" for name in stored._inputs.names or ()):
        for table, _ in read_frames(stored):
            hasher.add([_as_bytes_of_arrow(column) for column in table.columns])
        return
    step = max(1, _PIECE_BYTES // stored.row_nbytes)
    for start in range(0, len(stored), step):
        hasher.add(stored.read(np.arange(start, min(start + step, len(stored)))).X)


def _as_bytes_of_arrow(column: Any) -> list[Any]:
    """Name the type of an Arrow column, and write its values out, without dictionaries."""
    array = cast(column, plain(column.type)).combine_chunks()
    return [str(array.type), pa.record_batch([array], [""]).serialize().to_pybytes()]


class _Hasher:
    """Feeds values to a hash function, each with its kind and length."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self._open: list[int] = []  # objects that are being taken apart
        self._lowest = 0  # the outermost of them that was met again
        self._known: dict[int, tuple[bytes, Any]] = {}  # hashes of code and objects, kept alive
        self._weights: dict[int, int] = {}
        self._within = 0  # objects and code of the user's: what they hold may name a file
        self._n_files = 0

    def hexdigest(self) -> str:
        """Return the hash of what was added."""
        return self._digest.hexdigest()

    def add(self, value: Any) -> None:
        """Add a value of any kind."""
        if isinstance(value, np.generic):
            value = value.item()
        if type(value) in _PLAIN:
            self._raw(type(value).__name__, str(value).encode("utf-8", "surrogatepass"))
            if self._within and type(value) is str:
                self._add_file(value)
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
        try:
            self._add_parts(value)
            digest, met = self._digest.digest(), self._lowest
        finally:
            self._open.pop()
            self._digest, self._lowest = outer, lowest
        self._raw("part", digest)
        if met >= depth and not isinstance(value, _HELD_BY_OTHERS):
            self._known[id(value)] = digest, value
        self._lowest = min(lowest, met)

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
        elif isinstance(value, Manifest):
            self._add_manifest(value)
        elif isinstance(value, Store):
            self._raw("store", b"")  # its objects are named in full; its keys may change
        elif isinstance(value, PurePath):
            self.add(str(value))
        elif isinstance(value, type | FunctionType | ModuleType | CodeType):
            self._add_named(value)
        else:
            self._within += 1
            self._add_object(value)
            self._within -= 1

    def _add_all(self, kind: str, values: Iterable[Any]) -> None:
        """Add the parts of a container."""
        self._raw("begin", kind.encode())
        for value in values:
            self.add(value)
        self._raw("end", b"")

    def _add_rows(self, array: npt.NDArray[Any]) -> None:
        """Add an array, a piece at a time: it may be a memory map, or not contiguous."""
        self._raw("array", f"{array.dtype.str} {array.shape}".encode())
        array = np.atleast_1d(array)
        step = max(1, _PIECE_BYTES * max(1, len(array)) // max(1, array.nbytes))
        for start in range(0, len(array), step):
            self._digest.update(np.ascontiguousarray(array[start : start + step]).tobytes())

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

    def _add_file(self, path: str) -> None:
        """Add what a file looks like, if there is one of this name."""
        may_be_one = len(path) < 4096 and (os.sep in path or "." in path)
        if may_be_one and self._n_files < _FILES:
            with suppress(OSError, ValueError):
                if Path(path).is_file():
                    self._add_manifest(Manifest.of(path))

    def _add_manifest(self, file: Manifest) -> None:
        """Add path, size, time and content; links, permissions and copies change none of them."""
        path, size, time, *sample = file.stamp(self._n_files if self._n_files < _FILES else None)
        self._raw("file", f"{path} {size} {time}".encode())
        if sample:
            self._raw("sample", sample[0].encode())
        self._n_files += 1

    def _add_named(self, value: Any) -> None:
        """Add a class, function or module by its import path, or code."""
        if isinstance(value, CodeType):
            within, self._within = self._within, 0  # it may write to the files it names
            names = (value.co_names, value.co_varnames, value.co_freevars)
            steps = (value.co_code, value.co_exceptiontable)
            self._add_all("code", [*steps, value.co_consts, *names])
            self._within = within
            return
        module = getattr(value, "__module__", "")
        name = getattr(value, "__qualname__", value.__name__)
        self._add_name(module, name)
        if code.path_says_all(module, name, value):
            return
        if isinstance(value, FunctionType):
            self._add_all("function", code.parts_of_function(value))
            self._add_read(code.read_by(value))
        elif isinstance(value, type):
            self._add_all("class", [value.__bases__])
            self._add_read((module, n, v) for n, v in code.attributes_of(value).items())

    def _add_name(self, module: str, name: str) -> None:
        """Add an import path; of ours, which may move, not in which file it is."""
        home = "sklearnish" if module.startswith("sklearnish.") else module
        self._raw("name", f"{home}:{name}".encode())

    def _add_read(self, read: Iterable[tuple[str, str, Any]]) -> None:
        """Add what code reads; for what cannot be told from another, the text of its module."""
        for module, name, value in read:
            self.add(name)
            within = self._within
            try:
                self._within += 1
                self.add(value)
            except TypeError:
                text = code.file_of(module)
                if text is None:
                    raise
                self._raw("text", text)
            finally:
                self._within = within

    def _add_object(self, value: Any) -> None:
        """Add an object as pickle would take it apart."""
        try:
            parts = value.__reduce_ex__(4)
        except Exception as error:  # the object's own code: anything can come
            raise TypeError(
                f"{type(value).__qualname__} cannot be identified ({error}), so an interrupted "
                "fit could not be recognised. Set checkpoint_dir=None, or pass something that "
                "can be pickled."
            ) from error
        if isinstance(parts, str):
            self._add_name(getattr(value, "__module__", ""), parts)
            self.add(getattr(value, "__wrapped__", None))  # as by functools.lru_cache
            return
        plain = [list(part) if hasattr(part, "__next__") else part for part in parts[:5]]
        self._add_all("object", plain)


def as_bytes(tensor: Tensor) -> npt.NDArray[np.uint8]:
    """View the numbers of a tensor as bytes, in their order."""
    if tensor.layout is not torch.strided:
        raise TypeError(f"a tensor of layout {tensor.layout} cannot be stored; pass a dense one.")
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()
