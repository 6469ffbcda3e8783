"""On what, with what and when something was measured."""

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("sklearnish", "torch", "scikit-learn", "skorch", "numpy", "pyarrow", "datasets")


def describe_run(command: str) -> str:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"`{command}`, {today}, on {_cpu()}; {_memory()}; {_versions()}."


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), ""
    )
    return f"{model or platform.processor()}, {len(os.sched_getaffinity(0))} cores"


def _memory() -> str:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{gib:.0f} GiB"


def _versions() -> str:
    return ", ".join([f"Python {platform.python_version()}", *map(_version, PACKAGES)])


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"
