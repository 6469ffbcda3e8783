"""Memory that runs out: in a process whose address space is limited, and on a GPU."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import sklearnish as sn
from sklearnish.data import Batch
from sklearnish.training import World, is_out_of_memory, of_same_kind
from sklearnish.training._step.descent import Descent
from sklearnish.training._step.out_of_memory import too_large
from sklearnish.training._step.step import Step

# Each row costs 80 kB in the hidden layer; 4096 of them 330 MB.
LIMITED = """
import resource
import numpy as np
import torch
from torch import nn
import sklearnish as sn

torch.set_num_threads(1)
X = np.random.default_rng(0).random((5000, 4), dtype=np.float32)
y = (X[:, 0] > 0.5).astype(int)
module = nn.Sequential(nn.Linear(4, 20_000), nn.ReLU(), nn.Linear(20_000, 2))
clf = sn.TorchClassifier(module, max_epochs=1, batch_size=64, random_state=0)
clf.fit(X[:256], y[:256])

def limit(megabytes):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, resource.RLIM_INFINITY))
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")


def run(code):
    """Run code after LIMITED; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED + code], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@linux
@pytest.mark.slow
def test_prediction_halves_what_does_not_fit_but_not_a_size_given_by_hand():
    printed = run("""
kinds = [X, sn.as_dataset(X), sn.as_dataset(X)[::-1]]
whole = [clf.predict_proba(rows) for rows in kinds]
sizes = []
clf.module_.register_forward_hook(lambda module, args, output: sizes.append(len(output)))
limit(200)
for rows, answers in zip(kinds, whole):
    np.testing.assert_allclose(clf.predict_proba(rows), answers, rtol=1e-5, atol=1e-7)
    print(*sizes)
    sizes.clear()
try:
    clf.set_params(predict_batch_size=4096).predict(X)
except RuntimeError as error:
    print(error, "|", error.__cause__)
""")
    *lines, error = printed.splitlines()
    assert len(lines) == 3
    for sizes in ([int(size) for size in line.split()] for line in lines):
        assert sum(sizes) == 5000
        assert max(sizes) < 4096
        assert sizes.count(max(sizes)) > 2  # what comes later starts with the size that fitted
    message, cause = error.split("|")
    assert "predict_batch_size=4096 runs out of memory" in message
    assert "2048" in message
    assert "DefaultCPUAllocator" in cause


@linux
def test_training_says_which_batch_size_fits():
    printed = run("""
limit(400)
try:
    clf.set_params(batch_size=4096).fit(X, y)
except RuntimeError as error:
    fits = int(str(error).partition("; ")[2].partition(" fits")[0])
    print(error, "| caused by |", error.__cause__, "|", fits)
    clf.set_params(batch_size=fits).fit(X, y)
    clf.set_params(batch_size=4096).fit(X[:fits], y[:fits])
""")
    message, cause, fits = printed.replace("| caused by ", "").split("|")
    assert "batch_size=4096 runs out of memory" in message
    assert "DefaultCPUAllocator" in cause
    assert 64 < int(fits) < 4096
    assert f"accumulate_steps={4096 // int(fits)} " in message


class Picky(nn.Linear):
    """Fails on more rows than it likes, in the words of torch's allocator."""

    def __init__(self, kind, most):
        super().__init__(2, 2)
        self.kind, self.most = kind, most

    def forward(self, X):
        if len(X) > self.most:
            raise self.kind("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return super().forward(X)


@pytest.mark.parametrize("kind", [RuntimeError, MemoryError, torch.OutOfMemoryError])
def test_the_error_is_of_the_kind_that_was_raised(kind):
    X = np.random.default_rng(0).random((64, 2), dtype=np.float32)
    y = np.arange(64) % 2
    clf = sn.TorchClassifier(Picky(kind, 10), max_epochs=1, batch_size=64, random_state=0)
    with pytest.raises(kind, match=r"batch_size=64 runs out of memory .*; 8 fits") as failure:
        clf.fit(X, y)
    assert type(failure.value) is kind
    clf.set_params(batch_size=8).fit(X, y)
    with pytest.raises(kind, match="predict_batch_size=32 runs out of memory"):
        clf.set_params(predict_batch_size=32).predict(X)
    assert len(clf.set_params(predict_batch_size="auto").predict(X)) == 64
    clf.module_.most = 0
    with pytest.raises(kind, match="even when one row"):
        clf.predict(X)
    with pytest.raises(kind, match=r"batch_size=8 runs out of memory .* so does one row"):
        clf.partial_fit(X, y)


@pytest.mark.parametrize("synchronised", [False, True])
def test_sizes_are_those_of_all_processes(synchronised):
    module = nn.Sequential(Picky(MemoryError, 5), nn.BatchNorm1d(2))
    descent = Descent(torch.optim.SGD(module.parameters()))
    descent.world = World(0, 2)
    options = {"units": 1.0, "precision": "float32", "device": torch.device("cpu")}
    step = Step(module, nn.CrossEntropyLoss(), descent, n_outputs=2, **options)
    if synchronised:  # a message to the others, of whom there are none, would be an error
        step.normalising = World(0, 2)
    batch = Batch(torch.ones(10, 2), torch.zeros(10, dtype=torch.int64))
    message = str(too_large(step, batch, 20, MemoryError()))
    wanted = (
        "batch_size=20 runs out of memory on cpu; 10 fits. batch_size=10 with accumulate_steps=2"
    )
    assert message.startswith(wanted)


def test_other_errors_pass_as_they_are():
    class Broken(nn.Linear):
        def forward(self, X):
            if len(X) > 3:
                raise RuntimeError("broken")
            return super().forward(X)

    X, y = np.eye(4, dtype=np.float32), np.arange(4) % 2
    with pytest.raises(RuntimeError, match=r"^broken$"):
        sn.TorchClassifier(Broken(4, 2), random_state=0).fit(X, y)


def test_signs_of_memory_that_ran_out():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("std::bad_alloc"))
    assert is_out_of_memory(np._core._exceptions._ArrayMemoryError((2**60,), np.dtype(float)))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))
    numpys = np._core._exceptions._ArrayMemoryError((2**60,), np.dtype(float))
    assert str(of_same_kind(numpys, "too large")) == "too large"


@pytest.mark.gpu
def test_a_gpu_that_is_too_small():
    X = np.random.default_rng(0).random((20_000, 4), dtype=np.float32)
    y = (X[:, 0] > 0.5).astype(int)
    module = nn.Sequential(nn.Linear(4, 20_000), nn.ReLU(), nn.Linear(20_000, 2))
    clf = sn.TorchClassifier(module, max_epochs=1, batch_size=64, device="cuda", random_state=0)
    whole = clf.fit(X[:512], y[:512]).predict_proba(X)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**28) / total)
    try:
        np.testing.assert_allclose(clf.predict_proba(X), whole, rtol=1e-4, atol=1e-6)
        with pytest.raises(
            torch.OutOfMemoryError, match=r"batch_size=16384 runs out of memory .* fits"
        ):
            clf.set_params(batch_size=16_384).fit(X, y)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
