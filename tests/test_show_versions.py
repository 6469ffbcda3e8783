import platform

import pytest
import skorch
import torch

from sklearnish._show_versions import _version, show_versions


@pytest.fixture
def shown(capsys):
    show_versions()
    lines = capsys.readouterr().out.splitlines()
    return {line[:13].strip(): line[14:] for line in lines}


def test_names_every_part_that_a_report_needs(shown):
    assert set(shown) >= {"sklearnish", "torch", "scikit-learn", "skorch", "numpy", "pandas"}
    assert set(shown) >= {"pyarrow", "python", "os", "cpus", "torch threads", "gpu"}
    assert all(shown.values())


def test_shows_the_versions_that_are_running(shown):
    assert shown["torch"] == torch.__version__
    assert shown["skorch"] == skorch.__version__
    assert shown["python"] == platform.python_version()
    assert shown["torch threads"] == str(torch.get_num_threads())


def test_a_missing_package_is_said_and_not_raised():
    assert _version("no-such-package-anywhere") == "not installed"
