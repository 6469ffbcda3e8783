"""Answers come batch by batch, are those of the module, and cost the memory of the answers."""

import copy
import itertools
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from sklearnish import TorchClassifier, TorchRegressor, as_dataset, scan_npy, scan_parquet
from sklearnish.estimators._fitting.labels import probabilities
from tests.estimators.common import classification, regression


@pytest.fixture(scope="module")
def clf():
    X, y = classification(400)
    return TorchClassifier(max_epochs=1, random_state=0).fit(X, y)


def by_hand(estimator, X, size):
    """Outputs of the module for slices of rows."""
    with torch.inference_mode():
        return torch.cat([estimator.module_(part) for part in torch.from_numpy(X).split(size)])


@pytest.mark.parametrize("size", [1, 7, 100, 399, 400, 1000])
def test_answers_are_those_of_the_module_bit_for_bit(clf, size):
    X, _ = classification(400)
    clf = copy.copy(clf).set_params(predict_batch_size=size)
    outputs = by_hand(clf, X, size)
    assert np.array_equal(clf.decision_function(X), outputs.numpy())
    np.testing.assert_allclose(clf.predict_proba(X), outputs.softmax(1).numpy(), rtol=3e-7)
    assert np.array_equal(clf.predict(X), outputs.argmax(1).numpy())


@pytest.mark.parametrize("n_classes", [2, 3, 16, 17])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities_are_those_of_torch_and_the_same_in_every_batch(n_classes, dtype):
    outputs = 10 * torch.randn(500, n_classes, dtype=dtype)
    options = {"multilabel": False, "one_logit": False}
    found = probabilities(outputs, None, **options)
    torch.testing.assert_close(found, outputs.softmax(1), rtol=8 * torch.finfo(dtype).eps, atol=0)
    for start, stop in itertools.combinations((0, 1, 7, 8, 63, 499, 500), 2):
        assert torch.equal(probabilities(outputs[start:stop], None, **options), found[start:stop])
    assert (
        probabilities(outputs.log(), None, **options)
        .isnan()
        .any(1)
        .equal(outputs.log().softmax(1).isnan().any(1))
    )


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_views_in_any_order_are_answered_in_it(clf, tmp_path, method):
    X, _ = classification(400)
    names = [f"x{i}" for i in range(10)]
    pd.DataFrame(X, columns=names).to_parquet(tmp_path / "rows.parquet", row_group_size=50)
    whole = getattr(clf, method)(X)
    ds = scan_parquet(tmp_path / "rows.parquet")
    order = np.random.default_rng(0).integers(0, 400, 300)  # with repeats
    for view, rows in [(ds, slice(None)), (ds[::-1], slice(None, None, -1)), (ds[order], order)]:
        np.testing.assert_allclose(getattr(clf, method)(view), whole[rows], rtol=1e-4, atol=1e-5)


def test_regressors_keep_their_dtypes_in_every_batch():
    X, y = regression(300, targets=2)
    reg = TorchRegressor(max_epochs=1, random_state=0, predict_batch_size=64).fit(X, y)
    assert reg.predict(X).dtype == np.float32
    assert reg.predict(X.astype(np.float64)).dtype == np.float64
    assert reg.predict(as_dataset(X)).dtype == np.float64
    np.testing.assert_array_equal(reg.predict(X), reg.predict(as_dataset(X)).astype(np.float32))


class Picky(nn.Module):
    """Gives what is asked for in the first column."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, X):
        return torch.stack([X[:, 0] * 0 + self.weight, X[:, 0].exp().log()], 1)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_outputs_that_are_no_numbers_are_refused(tmp_path, method):
    X = np.zeros((30, 1), dtype=np.float32)
    clf = TorchClassifier(Picky, max_epochs=1, predict_batch_size=8, num_workers=0)
    clf.fit(X, np.arange(30) % 2)
    X[[20, 25]] = 1000.0  # overflows in the module
    with pytest.raises(ValueError, match="output for row 20 of X is"):
        getattr(clf, method)(X)
    np.save(tmp_path / "X.npy", X)  # read in the order of the file: row 20 first
    with pytest.raises(ValueError, match="output for row 9 of X is"):
        getattr(clf, method)(scan_npy(tmp_path / "X.npy")[::-1])
    with pytest.raises(ValueError, match="output for row 20 of X is"):
        clf.predict_to(tmp_path / "out.npy", X, method=method)
    X[[20, 25]] = -1000.0  # minus infinity beside a number: a probability of zero
    assert getattr(clf, method)(X).shape[0] == 30


def test_threads_get_the_answers_of_their_rows(clf):
    X, _ = classification(400)
    whole = clf.predict(X)
    answers = np.full((4, 400), -1)

    def work(thread):
        for i in range(thread, 400):
            answers[thread, i] = clf.predict(X[i : i + 1])[0]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        np.testing.assert_array_equal(answers[i, i:], whole[i:])


def test_a_net_left_in_training_mode_predicts_in_eval_mode():
    X, y = classification(100)
    module = nn.Sequential(nn.Linear(10, 16), nn.Dropout(0.9), nn.Linear(16, 3))
    clf = TorchClassifier(module, max_epochs=1, random_state=0).fit(X, y)
    whole = clf.predict_proba(X)
    clf.module_.train()  # as an interrupted partial_fit leaves it
    assert np.array_equal(clf.predict_proba(X), whole)


MANY_CLASSES = """
import resource
import numpy as np
import torch
from torch import nn
import sklearnish as sn

torch.set_num_threads(1)
X = np.random.default_rng(0).random((200_000, 4), dtype=np.float32)
y = np.arange(1000)
clf = sn.TorchClassifier(nn.Linear(4, 1000), max_epochs=1, random_state=0).fit(X[:1000], y)
rows = [X, sn.as_dataset(X), sn.as_dataset(np.memmap("X.bin", "f4", "w+", shape=X.shape))]
clf.predict(X[:5000])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 500 * 2**20, resource.RLIM_INFINITY))
for each in rows:
    assert clf.predict(each).shape == (200_000,)
assert 0 <= clf.score(X, np.resize(y, len(X))) < 0.1
clf.predict_to("p.npy", X, method="predict_proba")
clf.predict_to("p.parquet", X[:50_000], method="predict_proba", columns=["row"])
try:
    clf.predict_proba(X)
except MemoryError:
    print("limited")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_labels_of_many_classes_need_no_room_for_their_outputs(tmp_path):
    # The outputs for all rows are 800 MB, more than the room that is left.
    done = subprocess.run(
        [sys.executable, "-c", MANY_CLASSES],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "limited\n"
    assert (tmp_path / "p.npy").stat().st_size > 200_000 * 1000 * 4
