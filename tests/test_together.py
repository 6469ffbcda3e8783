"""The same fits by one process and by several give the same weights, up to rounding."""

import os
import subprocess
import sys

import numpy as np
import pytest

FEW = ["parquet", "early", "unused weights"]
# What a module draws at random, or learns from the rows that are with it in a batch, is its own.
RANDOM = {"table", "normalised", "seed of none"}
ROUNDED = {"float32": 1e-5, "bf16": 0.05}


def run(folder, names, size=0):
    """Run the fits; return the weights and histories that each process found."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}"]
    command = [sys.executable, "-W", "ignore", *(launch if size else [])]
    done = subprocess.run(
        [*command, "-m", "tests.together", str(folder), *names],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    names = range(size) if size else ["alone"]
    return [dict(np.load(folder / f"{name}.npz")) for name in names]


@pytest.mark.parametrize(
    ("names", "sizes"), [(FEW, [2]), pytest.param([], [2, 4], marks=pytest.mark.slow)]
)
def test_several_processes_learn_what_one_learns(tmp_path, names, sizes):
    (alone,) = run(tmp_path, names)
    assert {key.split("/")[0] for key in alone} >= set(names or RANDOM | ROUNDED.keys())
    for size in sizes:
        ranks = run(tmp_path, names, size)
        for key, value in alone.items():
            name = key.split("/")[0]
            for found in ranks:
                assert not np.isnan(found[key]).any(), key
                assert np.array_equal(found[key], ranks[0][key]), f"{key}: processes differ"
            if name not in RANDOM:
                tolerance = ROUNDED.get(name, 1e-9)
                differs = ranks[0][key] != value  # not where both are infinite
                difference = np.abs(ranks[0][key][differs] - value[differs]).max(initial=0)
                assert difference < tolerance, f"{key} of {size} processes: {difference}"
