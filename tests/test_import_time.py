"""Importing sklearnish costs little beside importing torch and scikit-learn."""

import compileall
import shutil
import subprocess
import sys
from pathlib import Path

import sklearnish

HEAVY = (
    "IPython",
    "PIL",
    "datasets",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pandas",
    "polars",
    "simplejpeg",
    "torchvision",
)
TIMED = """
import gc, time, torch, sklearn
gc.collect()  # or a pass over their objects, which takes 0.1 s, falls into the time by accident
start = time.process_time()
import sklearnish
print(time.process_time() - start)
"""
ADDED = """
import sys, torch, sklearn
before = set(sys.modules)
import sklearnish
print(*(name for name in sys.argv[1:] if name in sys.modules and name not in before))
"""


def _python(code: str, *args: str, folder: Path | None = None) -> str:
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout


def test_costs_at_most_300_ms_over_torch_and_sklearn(tmp_path):
    # As an installed package is: with its files of bytecode.
    shutil.copytree(Path(sklearnish.__file__).parent, tmp_path / "sklearnish")
    assert compileall.compile_dir(tmp_path, quiet=1)
    # Of the processor, the best of three: a busy machine can only make it slower.
    assert min(float(_python(TIMED, folder=tmp_path)) for _ in range(3)) <= 0.3


def test_imports_no_heavy_package_that_torch_and_sklearn_did_not():
    assert _python(ADDED, *HEAVY).split() == []
