"""One fit on two workers of a real Ray on this machine, in a program of its own."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

SCRIPT = """
import os, signal, sys, threading, warnings
from pathlib import Path
import torch
import sklearnish as sn
from tests.together import classifier, data, parquet

folder = Path(sys.argv[1])

class Mine(torch.nn.Module):
    def __init__(self, in_features, out_features, way="none"):
        super().__init__()
        self.linear, self.way, self.steps = torch.nn.Linear(in_features, out_features), way, 0

    def forward(self, X):
        self.steps += self.training
        world = torch.distributed
        if self.way != "none" and world.is_initialized() and world.get_rank() == 1:
            if self.way == "raise":
                raise ZeroDivisionError("by the module")
            if self.steps == 15 and not (folder / "killed").exists():
                (folder / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return self.linear(X)

def difference(one, other):
    pairs = zip(one.module_.parameters(), other.module_.parameters(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)

X, y, _ = data()
ds = sn.scan_parquet(parquet(folder), target="y", weight="w")
kept = {"checkpoint_dir": folder / "kept", "early_stopping": True, "max_epochs": 4}
alone = classifier(module=Mine).fit(X, y)
over_files = classifier(module=Mine, **kept | {"checkpoint_dir": None}).fit(ds)
with sn.cluster("ray", n_workers=2):
    found = classifier(module=Mine).fit(X, y)
    print("arrays", difference(alone, found) < 1e-9, len(found.pipeline_report_.waits))
    found = classifier(module=Mine, module_params={"way": "kill"}, **kept).fit(ds)
    print("killed", (folder / "killed").exists(), difference(over_files, found) < 1e-9)
    print("steps", found.module_.steps < over_files.module_.steps)
    try:
        classifier(module=Mine, module_params={"way": "raise"}).fit(X, y)
    except ZeroDivisionError as error:
        print("raised", error, *("In a process of this fit" in n for n in error.__notes__))
    try:
        classifier(module=Mine, module_params={"way": threading.Lock()}).fit(X, y)
    except TypeError as error:
        print("lock" in str(error), len(str(error)) < 200)
try:
    with sn.cluster("ray", n_workers=2, use_gpu=True):
        pass
except ValueError as error:
    print(error)
print("local", difference(alone, classifier(module=Mine).fit(X, y)) == 0)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_fit_on_ray(tmp_path):
    pytest.importorskip("ray.train")
    (tmp_path / "script.py").write_text(SCRIPT)
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "script.py"), str(tmp_path)],
        env=os.environ
        | {"PYTHONPATH": paths, "RAY_USAGE_STATS_ENABLED": "0", "HOME": str(tmp_path)}
        | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [line for line in done.stdout.splitlines() if "(raylet)" not in line] == [
        "arrays True 2",
        "killed True True",
        "steps True",
        "raised by the module True",
        "True True",
        "use_gpu=True takes a GPU for each of 2 workers, but this machine has 0. Use fewer "
        "workers, or join a cluster by ray.init(address=...) before.",
        "local True",
    ]
    assert not list(Path(tempfile.gettempdir()).glob("sklearnish-ray-*"))
    assert not [p for p in psutil.process_iter(["name"]) if p.info["name"] == "raylet"]
