"""What this process may start, and on how many cores."""

import functools
import multiprocessing
import os
import pickle
import shutil
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import torch

_PLAIN = {*sys.stdlib_module_names, "numpy", "pyarrow", "sklearnish", "torch", "torchvision"}
"""Packages that hold no open file in what they pickle."""

_OWN_WAYS = ("__getstate__", "__reduce__", "__reduce_ex__")


def n_cores() -> int:
    """Count the cores that this process may use: its affinity, its container, OpenMP's limit."""
    affinity = getattr(os, "sched_getaffinity", None)
    limits = [len(affinity(0)) if affinity else os.cpu_count() or 1]
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit() and int(threads):
        limits.append(int(threads))
    return max(1, min(*limits, _container_cores()))


def _container_cores() -> int:
    """Cores that the container is given, rounded up; many if it is not limited."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):
        return 2**16


def shared_memory() -> int:
    """Bytes left for what workers send; many where they do not lie in a file system."""
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:
        return 2**62


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


def pickles_as_it_is(thing: Any) -> bool:
    """Tell whether something can be pickled, the numbers in it left out, which always can."""
    try:
        _Sketch(Nowhere()).dump(thing)
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
            raise pickle.PicklingError(f"{kind.__qualname__} has a way of its own to be pickled")
        return NotImplemented


class Nowhere:
    """A file that forgets what is written to it."""

    def write(self, data: bytes) -> int:
        """Forget."""
        return len(data)
