"""isolate=True: a fit in a process of its own."""

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV

import sklearnish as sn
from tests.estimators.common import classification

X, Y = classification(120)


class TakesTwo(Exception):
    def __init__(self, a, b):
        super().__init__("two arguments")


class Locked(Exception):
    def __init__(self):
        super().__init__("holds a lock")
        self.lock = threading.Lock()


ERRORS = {
    "sys.exit": SystemExit(5),
    "error": ZeroDivisionError("by the module"),
    "two": TakesTwo(1, 2),
    "lock": Locked(),
}


class Fragile(torch.nn.Module):
    """Ends its process, in training, in one way or another."""

    def __init__(self, in_features, out_features, way="none"):
        super().__init__()
        self.way, self.linear = way, torch.nn.Linear(in_features, out_features)

    def forward(self, X):
        if self.training and self.way.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, self.way))
        if self.training and self.way == "exit":
            os._exit(3)
        if self.training and self.way in ERRORS:
            raise ERRORS[self.way]
        if self.training and self.way == "warning":
            warnings.warn("of the module", UserWarning, stacklevel=1)
        return self.linear(X)


def classifier(way="none", **params):
    return sn.TorchClassifier(
        Fragile, module_params={"way": way}, max_epochs=2, random_state=0, **params
    )


def children():
    found = psutil.Process().children(recursive=True)
    servers = ("tracker", "forkserver")  # multiprocessing's own, which stay
    return [c for c in found if not any(name in " ".join(c.cmdline()) for name in servers)]


def test_learns_the_same():
    options = {"early_stopping": True, "batch_size": 16}
    here = classifier(**options).fit(X, Y)
    there = classifier(isolate=True, **options).fit(sn.as_dataset(X), Y)
    np.testing.assert_array_equal(here.predict_proba(X), there.predict_proba(X))
    assert set(vars(here)) == set(vars(there))
    assert type(there.module_) is Fragile
    assert here.partial_fit(X, Y).loss_ == there.partial_fit(X, Y).loss_
    assert not children()


@pytest.mark.parametrize(
    ("way", "text"),
    [
        ("SIGKILL", "SIGKILL"),
        pytest.param("SIGSEGV", "SIGSEGV", marks=pytest.mark.slow),
        pytest.param("exit", r"\(3\)", marks=pytest.mark.slow),
    ],
)
def test_what_kills_it_is_an_error_here(way, text):
    clf = classifier(way, isolate=True)
    with pytest.raises(ChildProcessError, match=text):
        clf.fit(X, Y)
    assert not hasattr(clf, "net_")
    assert not children()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "kind", "text"),
    [
        ("two", RuntimeError, "TakesTwo: two arguments"),
        ("sys.exit", ChildProcessError, r"SystemExit\(5\)"),
        ("error", ZeroDivisionError, "by the module"),
        ("lock", RuntimeError, "Locked: holds a lock"),
    ],
)
def test_errors_come_through(way, kind, text):
    with pytest.raises(kind, match=text) as caught:
        classifier(way, isolate=True).fit(X, Y)
    assert "In the child process of this fit" in caught.value.__notes__[-1]
    assert "in forward" in caught.value.__notes__[-1]


@pytest.mark.slow
def test_warnings_come_through():
    with pytest.warns(UserWarning, match="of the module"):
        classifier("warning", isolate=True).fit(X, Y)


def hang(marker, x):
    """Say who hangs, in whose child."""
    marker.with_suffix(".new").write_text(f"{os.getpid()} {os.getppid()}")
    marker.with_suffix(".new").rename(marker)
    time.sleep(1000)


@pytest.mark.slow
def test_workers_that_hang_end_with_it(tmp_path):
    marker, workers = tmp_path / "marker", []

    def kill():
        while not marker.exists():
            time.sleep(0.05)
        worker, child = (psutil.Process(int(pid)) for pid in marker.read_text().split())
        workers.append(worker)
        child.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    clf = classifier(isolate=True, num_workers=1, augment=functools.partial(hang, marker))
    with pytest.raises(ChildProcessError, match="SIGKILL"):
        clf.fit(sn.as_dataset(X), Y)
    killer.join()
    assert not psutil.wait_procs(workers, timeout=5)[1]


ALONE = """
import os, signal, sys, time
import numpy as np
import sklearnish as sn
from tests.estimators.fitting.test_child_process import X, Y, Tells
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where nohup started the tests, it is ignored
clf = sn.TorchClassifier(Tells, max_epochs=10**6, random_state=0, isolate=True)
clf.fit(X, Y)
"""


class Tells(torch.nn.Linear):
    """Writes down, in training, in which process that is."""

    def forward(self, X):
        if self.training:
            Path("new").write_text(str(os.getpid()))
            Path("new").rename("child")
        return super().forward(X)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_it_ends_with_its_parent(tmp_path, fault):
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", ALONE], cwd=tmp_path, env=environ) as parent:
        try:
            for _ in range(600):
                if (tmp_path / "child").exists():
                    break
                time.sleep(0.1)
            child = psutil.Process(int((tmp_path / "child").read_text()))
        finally:
            parent.send_signal(fault)
    assert not psutil.wait_procs([child], timeout=10)[1]


class Holds(torch.nn.Linear):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.lock = threading.Lock()


@pytest.mark.slow
def test_what_cannot_be_sent_back_is_said():
    clf = sn.TorchClassifier(Holds, max_epochs=1, random_state=0, isolate=True)
    with pytest.raises(TypeError, match=r"processes of isolate=True: .*lock.*leave out isolate"):
        clf.fit(X, Y)


@pytest.mark.slow
def test_a_warning_that_is_an_error_does_not_take_the_model_away():
    clf = classifier("warning", isolate=True)
    with pytest.raises(UserWarning, match="of the module"):
        clf.fit(X, Y)
    assert clf.predict(X).shape == (120,)


def fit_where_it_may_not():
    try:
        classifier(isolate=True).fit(X, Y)
    except RuntimeError as error:
        return str(error)


@pytest.mark.slow
def test_a_daemonic_process_is_told_so():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert "isolate=True starts processes, which a daemonic" in pool.apply(fit_where_it_may_not)


@pytest.mark.slow
def test_a_search_goes_on():
    search = GridSearchCV(
        classifier(isolate=True),
        {"module__way": ["none", "SIGKILL"]},
        cv=2,
        error_score=np.nan,
    )
    with (
        pytest.warns(FitFailedWarning, match=r"(?s)2 fits failed.*ChildProcessError"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        search.fit(X, Y)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).tolist() == [True, False]
    assert search.best_params_ == {"module__way": "none"}
    assert search.predict(X).shape == (120,)
