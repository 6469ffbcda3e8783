"""The lowest versions that are claimed are those that `make test-lowest` installs."""

import re
import tomllib
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).parents[1]
ON_CUDA_ALONE = {"torch"}  # its lowest version exists with gigabytes of CUDA only


def pinned(page):
    """Return the versions that a page of constraints names."""
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / page).read_text(), re.MULTILINE))


def test_every_dependency_says_its_lowest_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    claimed = [*project["dependencies"], *extras["images"], *extras["plot"]]
    lowest = pinned("constraints-lowest.txt")
    for line in claimed:
        name, _, version = line.partition(">=")
        assert version, f"{name} has no lowest version"
        if name in ON_CUDA_ALONE:
            assert lowest[name] == pinned("constraints.txt")[name]
        else:
            assert Version(lowest[name]) == Version(version), name
