"""One program on two hosts, and one that loses a process: what torchrun makes of them."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from contextlib import suppress

import numpy as np
import pytest

from tests.test_together import run

CASES = ["arrays", "parquet", "early", "accumulated"]
LAUNCH = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run"]


def environ(**more):
    paths = os.pathsep.join(sys.path)
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | more


def ip(*args):
    return subprocess.run(["ip", *args], capture_output=True, text=True, timeout=20)


@pytest.fixture
def hosts():
    """Two network namespaces joined by a cable, as two machines are; nothing else is reached."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("making network namespaces takes root and the command ip")
    key = uuid.uuid4().hex[:6]
    names = [f"sn-{key}-{i}" for i in (0, 1)]
    cables = [f"v{key}{i}" for i in (0, 1)]
    try:
        if (made := ip("netns", "add", names[0])).returncode:
            pytest.skip(f"network namespaces cannot be made here: {made.stderr.strip()}")
        ip("netns", "add", names[1])
        ip("link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
        for i, (name, cable) in enumerate(zip(names, cables, strict=True)):
            ip("link", "set", cable, "netns", name)
            ip("-n", name, "addr", "add", f"192.0.2.{i + 1}/24", "dev", cable)
            for device in (cable, "lo"):
                done = ip("-n", name, "link", "set", device, "up")
                if done.returncode:
                    pytest.skip(f"a cable cannot be laid here: {done.stderr.strip()}")
        yield list(zip(names, cables, strict=True))
    finally:
        for name in names:
            for pid in ip("netns", "pids", name).stdout.split():  # what torchrun left, if killed
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            ip("netns", "delete", name)
        ip("link", "delete", cables[0])


@pytest.mark.slow
def test_two_hosts_learn_what_one_process_learns(hosts, tmp_path):
    (alone,) = run(tmp_path, CASES)
    started = []
    for rank, (name, cable) in enumerate(hosts):
        address = ["--master-addr", "192.0.2.1", "--master-port", "29511"]
        launch = [*LAUNCH, "--nnodes=2", "--nproc-per-node=1", f"--node-rank={rank}", *address]
        command = ["ip", "netns", "exec", name, *launch, "-m", "tests.together", str(tmp_path)]
        env = environ(GLOO_SOCKET_IFNAME=cable)
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen([*command, *CASES], env=env, stdout=pipe, stderr=pipe, text=True)
        )
    try:
        for process in started:
            _, errors = process.communicate(timeout=200)
            assert process.returncode == 0, errors[-3000:]
    finally:
        for process in started:
            process.kill()
    for rank in (0, 1):
        found = np.load(tmp_path / f"{rank}.npz")
        for key, value in alone.items():
            assert np.abs(found[key] - value).max() < 1e-9, key


LOSES_A_PROCESS = """
import os, signal, sys
from pathlib import Path
import numpy as np
import torch
import sklearnish as sn
from sklearnish.training._checkpoints import checkpoints
from tests.together import classifier, data

checkpoints.INTERVAL, checkpoints.SHARE = 0.0, 100.0  # before every batch, if it can be
folder = Path(sys.argv[1])

class Mine(torch.nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.linear, self.steps = torch.nn.Linear(in_features, out_features), 0

    def forward(self, X):
        self.steps += self.training
        mark = folder / "killed"
        if self.steps == 15 and os.environ.get("RANK") == "1" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.linear(X)

X, y, _ = data()
params = {"checkpoint_dir": folder / "kept", "worker_timeout": 30, "accumulate_steps": 3}
clf = classifier(module=Mine, **params).fit(X, y)
weights = torch.cat([w.flatten() for w in clf.module_.parameters()]).detach().numpy()
steps = np.array(clf.module_.steps)
losses = np.array([epoch["train_loss"] for epoch in clf.history_])
name = os.environ.get("RANK", "alone")
np.savez(folder / f"{name}.npz", weights=weights, steps=steps, losses=losses)
"""


@pytest.mark.slow
def test_after_a_kill_the_program_goes_on_from_its_last_checkpoint(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(LOSES_A_PROCESS)
    found = {}
    for size in (1, 2):
        folder = tmp_path / str(size)
        folder.mkdir()
        launch = [*LAUNCH, "--standalone", "--nproc-per-node=2", "--max-restarts=2"]
        command = launch if size == 2 else [sys.executable]
        env = environ(TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1")
        done = subprocess.run(
            [*command, str(script), str(folder)],
            env=env,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        names = ["0", "1"] if size == 2 else ["alone"]
        found[size] = [np.load(folder / f"{name}.npz") for name in names]
    assert (tmp_path / "2" / "killed").exists()
    for rank in found[2]:
        assert np.abs(rank["weights"] - found[1][0]["weights"]).max() < 1e-9
        assert np.abs(rank["losses"] - found[1][0]["losses"]).max() < 1e-9
        assert rank["steps"] < found[1][0]["steps"] - 10  # the first epoch was not done again
