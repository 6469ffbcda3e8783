"""scikit-learn's own tests of its MLPs, as installed, with the import changed."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.neural_network import tests

LEFT_OUT = {
    "test_fit": "sets coefs_ and other attributes of an estimator before its fit",
    "test_gradient": "calls _loss_grad_lbfgs",
    "test_learning_rate_warmstart": "looks at _optimizer.learning_rate",
    "test_adaptive_learning_rate": "looks at _optimizer.learning_rate",
    "test_early_stopping_stratified": "wants an error for a class of one row; ours trains on it",
}
"""Tests that ask for how scikit-learn's solvers are built, or for what ours refuse."""

CONFTEST = """
import pytest

@pytest.fixture
def global_random_seed():
    return 42
"""


@pytest.mark.slow
def test_they_pass_with_ours(tmp_path):
    source = Path(inspect.getfile(tests)).with_name("test_mlp.py").read_text(encoding="utf-8")
    theirs = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
    assert source.count(theirs) == 1
    changed = source.replace(theirs, "from sklearnish import MLPClassifier, MLPRegressor")
    (tmp_path / "test_mlp.py").write_text(changed, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    deselected = [f"--deselect=test_mlp.py::{name}" for name in LEFT_OUT]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *deselected]
    done = subprocess.run([*command, "test_mlp.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{len(LEFT_OUT)} deselected" in done.stdout
