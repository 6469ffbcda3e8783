"""n_processes: several processes of this machine train together."""

import os
import signal
import tempfile
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import sklearnish as sn
from sklearnish.data import parcel, unpacked
from sklearnish.estimators._fitting import ranks
from tests.estimators.common import classification
from tests.estimators.fitting.test_child_process import children

X, Y = classification(203)


class Mine(torch.nn.Module):
    """Ends the last of its processes, or fails in it, in the second epoch; once, given a folder."""

    def __init__(self, in_features, out_features, way="none", folder=None):
        super().__init__()
        self.way, self.folder, self.steps = way, folder, 0
        self.linear = torch.nn.Linear(in_features, out_features)

    def forward(self, X):
        self.steps += self.training
        if self.steps == 15 and self.training and is_last() and not self.was_done():
            if self.way == "raise":
                raise ZeroDivisionError("by the module")
            if self.way != "none":
                os.kill(os.getpid(), getattr(signal, self.way))
        return self.linear(X)

    def was_done(self):
        if self.folder is None:
            return False
        mark = Path(self.folder) / "done"
        before = mark.exists()
        mark.touch()
        return before


def is_last():
    world = torch.distributed
    return not world.is_initialized() or world.get_rank() == world.get_world_size() - 1


def classifier(way="none", folder=None, **params):
    defaults = {"max_epochs": 3, "batch_size": 20, "random_state": 0, "num_threads": 1}
    module_params = {"way": way, "folder": None if folder is None else str(folder)}
    return sn.TorchClassifier(Mine, module_params=module_params, **defaults | params)


def weights(estimator):
    return torch.cat([w.flatten() for w in estimator.module_.parameters()]).detach()


def test_learns_the_same_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    alone = classifier().fit(X, Y)
    together = classifier(n_processes=2, early_stopping=False).fit(X, Y)
    assert torch.allclose(weights(alone), weights(together), atol=1e-6)
    assert together.history_[-1]["train_loss"] == pytest.approx(alone.history_[-1]["train_loss"])
    assert np.array_equal(alone.predict(X), together.predict(X))
    assert len(together.pipeline_report_.waits) == 2
    assert "Of 2 processes" in str(together.pipeline_report_)
    assert not torch.distributed.is_initialized()
    assert children() == []
    assert list(tmp_path.glob("sklearnish*")) == []


@pytest.mark.slow
def test_a_killed_process_is_started_again_from_the_last_checkpoint(tmp_path):
    alone = classifier().fit(X, Y)
    kept = classifier("SIGKILL", tmp_path, n_processes=2, checkpoint_dir=tmp_path / "kept")
    with pytest.warns(RuntimeWarning, match="process 1: SIGKILL.*from its last checkpoint"):
        kept.fit(X, Y)
    assert torch.allclose(weights(alone), weights(kept), atol=1e-6)
    assert len(kept.history_) == 3


@pytest.mark.slow
def test_without_checkpoints_it_begins_anew(tmp_path):
    alone = classifier().fit(X, Y)
    with pytest.warns(RuntimeWarning, match="from the beginning; with checkpoint_dir"):
        anew = classifier("SIGKILL", tmp_path, n_processes=2).fit(X, Y)
    assert torch.allclose(weights(alone), weights(anew), atol=1e-6)
    assert children() == []


@pytest.mark.slow
def test_a_process_that_hangs_is_replaced(tmp_path):
    with pytest.warns(RuntimeWarning, match="process 1: it did not answer"):
        found = classifier("SIGSTOP", tmp_path, n_processes=2, worker_timeout=5).fit(X, Y)
    assert len(found.history_) == 3
    assert children() == []


@pytest.mark.slow
def test_the_fit_is_given_up_after_max_restarts(tmp_path):
    estimator = classifier("SIGKILL", n_processes=2, max_restarts=1)
    with (
        pytest.warns(RuntimeWarning, match="are started again"),
        pytest.raises(ChildProcessError, match="after 1 restarts"),
    ):
        estimator.fit(X, Y)
    assert not hasattr(estimator, "net_")
    assert children() == []


@pytest.mark.slow
def test_an_error_in_one_process_comes_through_and_is_not_tried_again():
    with pytest.raises(ZeroDivisionError, match="by the module"):
        classifier("raise", n_processes=2).fit(X, Y)
    assert children() == []


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(2, 1), (1, 2), (2, 3)])
def test_resumes_with_another_number_of_processes(tmp_path, first, second):
    params = {"max_epochs": 4, "checkpoint_dir": tmp_path / "kept", "early_stopping": True}
    alone = classifier(max_epochs=4, early_stopping=True).fit(X, Y)
    with pytest.raises(ZeroDivisionError):
        classifier("raise", tmp_path, **params, n_processes=first).fit(X, Y)
    assert list((tmp_path / "kept").rglob("*.safetensors"))
    again = classifier("raise", tmp_path, **params, n_processes=second).fit(X, Y)
    assert torch.allclose(weights(alone), weights(again), atol=1e-6)
    for name in ("train_loss", "valid_loss"):
        wanted = [epoch[name] for epoch in alone.history_]
        assert [epoch[name] for epoch in again.history_] == pytest.approx(wanted, abs=1e-6)


class Weighs(torch.nn.Module):
    """Returns what its process has of its own in memory, in the first output."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.linear = torch.nn.Linear(in_features, out_features)
        self.register_buffer("own", torch.zeros(()))

    def forward(self, X):
        memory = psutil.Process().memory_full_info()
        self.own.fill_((memory.uss) / 2**20)  # pages that no other process has
        return self.linear(X)


@pytest.mark.slow
def test_arrays_are_shared(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 100_000)
    own = {}
    for width in (4, 1024):  # 1.6 and 410 MB
        big = rng.random((len(y), width), dtype=np.float32)
        params = {"max_epochs": 1, "batch_size": 5000, "random_state": 0, "n_processes": 2}
        own[width] = float(sn.TorchClassifier(Weighs, **params).fit(big, y).module_.own)
    assert own[1024] - own[4] < 150, own


def test_of_a_file_that_is_mapped_nothing_is_copied(tmp_path):
    mapped = np.memmap(tmp_path / "x.bin", "float32", "w+", shape=(1000, 10))
    mapped[:] = np.arange(10)
    for given in ({"whole": mapped, "part": mapped[:, 1:]}, sn.as_dataset(mapped[:, :-1])):
        with parcel(given, ranks.job_pickler()) as job:
            assert job.stop < 4000
            again = unpacked(job)
    np.testing.assert_array_equal(again.read(np.arange(2)).X, mapped[:2, :-1])


class Listens(torch.nn.Module):
    """Keeps where its process can be reached."""

    def __init__(self, in_features, out_features, folder):
        super().__init__()
        self.linear = torch.nn.Linear(in_features, out_features)
        self.folder = str(folder)

    def forward(self, X):
        for one in psutil.Process().net_connections("inet"):
            if one.status == psutil.CONN_LISTEN:
                (Path(self.folder) / one.laddr.ip.replace(":", "_")).touch()
        return self.linear(X)


@pytest.mark.slow
def test_nobody_else_is_let_in(tmp_path):
    params = {"max_epochs": 1, "random_state": 0, "n_processes": 2}
    sn.TorchClassifier(Listens, module_params={"folder": tmp_path}, **params).fit(X, Y)
    assert {file.name for file in tmp_path.iterdir()} == {"127.0.0.1"}


@pytest.mark.parametrize("n", [0, -1, "all", 1.5])
def test_a_wrong_number_is_refused(n):
    with pytest.raises(ValueError, match="n_processes"):
        classifier(n_processes=n).fit(X, Y)


def test_auto_is_one_without_a_gpu():
    assert classifier(n_processes="auto", device="cpu").fit(X, Y).pipeline_report_.waits == ()


def test_one_gpu_for_several_processes_is_refused():
    with pytest.raises(ValueError, match="is one GPU, but n_processes=2"):
        ranks._check_device("cuda:1", 2)
    ranks._check_device("cuda", 2)
    ranks._check_device("auto", 2)


@pytest.mark.slow
def test_a_loss_that_is_no_mean_over_rows_is_refused():
    loss = torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="weighs classes itself"):
        classifier(criterion=loss, n_processes=2).fit(X, Y)


def test_lbfgs_is_refused():
    with pytest.raises(ValueError, match="solver='lbfgs' trains in one process"):
        sn.MLPClassifier(solver="lbfgs", n_processes=2).fit(X, Y)
