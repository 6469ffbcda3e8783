"""Scripts in examples/ run as they stand, quietly and in an empty folder.

The build of the pages runs the lessons of the tutorial as well, so one of them is enough here.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = [ROOT / "tutorial/2_files.py", *sorted(ROOT.glob("examples/*.py"))]
QUICK = {"2_files.py"}
NEEDS = {"plot_optuna_pruning.py": "optuna", "track_with_mlflow.py": "mlflow"}


def _parameter(path: Path):
    marks = [] if path.name in QUICK else [pytest.mark.slow]
    return pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.parametrize("example", [_parameter(path) for path in EXAMPLES])
def test_example_runs_without_complaint(example, tmp_path):
    if package := NEEDS.get(example.name):
        pytest.importorskip(package)
    done = subprocess.run(
        [sys.executable, str(example)],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg", "DISPLAY": ""},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "an example prints what it shows"
    assert "Warning" not in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "run again after a change, it would find what it left"
