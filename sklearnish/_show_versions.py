"""What a bug report needs to know."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import joblib
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
    machine = {
        "python": platform.python_version(),
        "os": platform.platform(),
        "cpus": f"{joblib.cpu_count()} usable of {os.cpu_count()}",
        "torch threads": str(torch.get_num_threads()),
        "gpu": _gpu(),
    }
    for name, value in ({name: _version(name) for name in _PACKAGES} | machine).items():
        print(f"{name:<13} {value}")


def _version(package: str) -> str:
    """Return a package's version, or say that it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _gpu() -> str:
    """Name the accelerators that torch can use."""
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return ", ".join(torch.cuda.get_device_name(i) for i in range(count))
    return "MPS" if torch.backends.mps.is_available() else "none"
