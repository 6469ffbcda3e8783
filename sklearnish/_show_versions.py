"""What a bug report needs to know."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

_PACKAGES = (
    "sklearnish",
    "torch",
    "scikit-learn",
    "skorch",
    "numpy",
    "pandas",
    "pyarrow",
    "narwhals",
)


def show_versions() -> None:
    """Print the versions and the machine, for a bug report.

    Examples
    --------
    >>> import sklearnish as sn
    >>> sn.show_versions()
    sklearnish    ...
    torch         ...
    """
    for name, value in (_versions() | _machine()).items():
        print(f"{name:<13} {value}")


def _versions() -> dict[str, str]:
    """Return the installed version of each package, without importing it."""
    return {name: _version(name) for name in _PACKAGES} | {"python": platform.python_version()}


def _version(package: str) -> str:
    """Return a package's version, or say that it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _machine() -> dict[str, str]:
    """Describe what the training would run on."""
    return {
        "os": platform.platform(),
        "cpus": f"{_usable_cpus()} usable of {os.cpu_count()}",
        "torch threads": str(torch.get_num_threads()),
        "gpu": _gpu(),
    }


def _usable_cpus() -> int:
    """Count the CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpu() -> str:
    """Name the accelerators that torch can use."""
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return ", ".join(torch.cuda.get_device_name(i) for i in range(count))
    return "MPS" if torch.backends.mps.is_available() else "none"
