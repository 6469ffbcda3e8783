"""Processes: how they are started here, and what can be sent to them."""

import functools
import multiprocessing
import os
import pickle
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import torch

_PLAIN = {*sys.stdlib_module_names, "numpy", "pyarrow", "sklearnish", "torch", "torchvision"}
"""Packages that hold no open file in what they pickle."""

_CURES = (
    "define it with def at the top level of a module, bind its settings with functools.partial, "
    "or use num_workers=0"
)

_OWN_WAYS = ("__getstate__", "__reduce__", "__reduce_ex__")


@functools.cache
def inside_loky() -> bool:
    """Tell whether this process is a worker of joblib's loky (looked at before it is changed)."""
    return (multiprocessing.get_start_method(allow_none=True) or "").startswith("loky")


def start_method() -> str:
    """Name how processes are started here."""
    method = multiprocessing.get_start_method(allow_none=True)
    return method or multiprocessing.get_all_start_methods()[0]


def worker_context() -> str | None:
    """Start method of the workers: the process's own, except inside joblib's loky.

    A loky worker's context starts processes that only loky can start.
    """
    if not inside_loky():
        return None
    usual = multiprocessing.get_all_start_methods()
    method = "fork" if "fork" in usual else "spawn"
    multiprocessing.set_start_method(method, force=True)
    return method


def main_can_be_imported() -> bool:
    """Tell whether a new interpreter can load this program without running it once more."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if path is None:  # typed in, or a notebook: it is not loaded at all
        return True
    try:
        return "__name__" in Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def dies_of_fork(functions: Iterable[Any]) -> bool:
    """Tell whether a function would hang in workers here: polars does in a forked process."""
    forks = start_method() in ("fork", "loky", "loky_init_main") and hasattr(os, "fork")
    return forks and any(getattr(f, "frame", "") == "polars" for f in functions)


def check_survives_fork(functions: Iterable[Any]) -> None:
    """Raise ValueError if a function would hang in worker processes."""
    if dies_of_fork(functions):
        raise ValueError(
            "num_workers: polars does not survive the fork by which worker processes start here. "
            "Use num_workers=0, map_frames(..., frame='pandas') or 'arrow', or call "
            "multiprocessing.set_start_method('forkserver') first."
        )


def check_picklable(functions: Iterable[Any]) -> None:
    """Raise TypeError, naming the Function and the cure, if one cannot be sent to a worker."""
    for function in functions:
        try:
            pickle.dump(function, _Nowhere())
        except Exception as error:  # pickling runs the object's own code: anything can come
            message = f"{function.name} cannot be sent to worker processes ({error}): {_CURES}"
            raise TypeError(message) from error


def pickles_as_it_is(thing: Any) -> bool:
    """Tell whether something can be pickled, the numbers in it left out, which always can."""
    try:
        _Sketch(_Nowhere()).dump(thing)
    except Exception:  # pickling runs the object's own code: anything can come
        return False
    return True


class _Sketch(pickle.Pickler):
    """Pickles all but the contents of arrays and tensors, which may be large."""

    def persistent_id(self, obj: Any) -> int | None:
        """Stand in for numbers."""
        plain = isinstance(obj, np.ndarray) and not obj.dtype.hasobject
        return 0 if plain or isinstance(obj, torch.Tensor) else None

    def reducer_override(self, obj: Any) -> Any:
        """Refuse what leaves something out when it is pickled, such as an open file."""
        kind = type(obj)
        package = kind.__module__.partition(".")[0]
        if package not in _PLAIN and any(
            isinstance(getattr(kind, name), FunctionType) for name in _OWN_WAYS
        ):
            raise pickle.PicklingError(f"{kind.__qualname__} customises how it is pickled")
        return NotImplemented


class _Nowhere:
    """A file that forgets what is written to it."""

    def write(self, data: bytes) -> int:
        """Forget."""
        return len(data)
