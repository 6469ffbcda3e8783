"""What enters a run, where it runs, and what comes of it: drawn labels, devices, samplers."""

import itertools
import multiprocessing
import pickle
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_val_score, cross_validate
from skorch.callbacks import Callback
from torch.utils.data import Dataset

import sklearnish as sn
from sklearnish import TorchClassifier, TorchRegressor
from sklearnish.data._system import devices, places
from sklearnish.data._system.places import Site, placed
from tests.estimators.common import classification


class Drawn(Dataset):
    """The label is drawn, and the row is made of it."""

    def __init__(self, text=False):
        self.text = text

    def __len__(self):
        return 80

    def __getitem__(self, i):
        k = int(torch.randint(2, ()))
        return torch.randn(3) / 10 + 4 * k, "ab"[k] if self.text else k


class Far(Dataset):
    """Labels far from zero, drawn from a generator that it holds."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __len__(self):
        return 80

    def __getitem__(self, i):
        y = 1e12 + 1e6 * self.rng.normal()
        return torch.tensor([(y - 1e12) / 1e6]), y


def clf(**params):
    params = {"max_epochs": 4, "batch_size": 8, "lr": 0.05, "random_state": 0} | params
    return sn.TorchClassifier(**params)


@pytest.mark.parametrize(
    ("text", "params"),
    [(False, {}), (True, {}), (False, {"early_stopping": True}), (True, {"num_workers": 1})],
)
def test_labels_that_are_drawn_with_their_rows(text, params):
    model = clf(**params).fit(Drawn(text))
    assert model.score(Drawn(text)) == 1.0
    assert model.history_[-1]["train_loss"] < 0.1
    ds = sn.as_dataset(Drawn(text))
    np.testing.assert_array_equal(model.predict(ds), ds.target)
    np.testing.assert_array_equal(model.predict(ds[::-3]), ds.target[::-3])


def test_targets_that_are_drawn_with_their_rows():
    params = {"max_epochs": 20, "batch_size": 8, "lr": 0.02, "precision": "float64"}
    model = sn.TorchRegressor(random_state=0, **params).fit(Far(), X_val=Far())
    assert model.score(Far()) > 0.95
    assert model.history_[-1]["valid_loss"] < 0.05 * model.target_scale_**2


def test_searches_over_labels_that_are_drawn(tmp_path):
    ds = sn.as_dataset(Drawn())
    assert cross_val_score(clf(), ds, ds.target, cv=2, error_score="raise").tolist() == [1.0, 1.0]
    copy = ds.cache(tmp_path / "copy")
    np.testing.assert_array_equal(np.asarray(copy).mean(1) > 2, copy.target)


@pytest.mark.parametrize(
    ("params", "y", "message"),
    [
        ({}, np.arange(80) % 2, r"Drawn draws the labels.*Do not pass y, or pass ds\.target"),
        ({"class_weight": "balanced"}, None, "class_weight=None"),
        ({"sampler": "balanced"}, None, "another sampler than 'balanced'"),
    ],
)
def test_what_drawn_labels_cannot_do(params, y, message):
    with pytest.raises(ValueError, match=message):
        clf(**params).fit(Drawn(), y)


def test_labels_of_ones_own_for_a_dataset_of_pairs():
    class Pairs(Drawn):
        def __getitem__(self, i):
            return torch.tensor([float(i >= 40)]), 0

    y = np.repeat(["low", "high"], 40)
    assert clf().fit(Pairs(), y).score(Pairs(), y) == 1.0


@pytest.mark.parametrize("make", [TorchClassifier, TorchRegressor])
def test_a_sampler_sees_the_targets_of_the_user(make):
    X, codes = classification()
    labels = np.array(["no", "maybe", "yes"]) if make is TorchClassifier else np.arange(3) * 50.0
    seen = []

    def sampler(ds, rng):
        seen.append(ds.target)
        return rng.permutation(len(ds))

    make(sampler=sampler, max_epochs=1).fit(X, labels[codes])
    assert np.array_equal(seen[0], labels[codes])


# Where it runs: devices that are made up, which torch takes for the CPU

SITES = [Site(torch.device("cpu", n), f"made-up-{n}", lambda: (40, 100)) for n in range(2)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Let this process have two devices, and return where the locks are."""
    monkeypatch.setattr(devices, "_gpus", lambda: SITES)
    monkeypatch.setattr(devices, "private_folder", lambda: tmp_path)
    monkeypatch.setattr(places, "_last", "")
    return tmp_path


def in_thread(function, *args):
    """Call a function in another thread; it does not return before the thread waits or ends."""
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


@contextmanager
def in_use(folder, site):
    """Let another thread have a place."""
    begun, end = threading.Event(), threading.Event()

    def hold():
        with placed([site], folder) as place:
            place.settle()
            begun.set()
            end.wait(60)

    thread = in_thread(hold)
    assert begun.wait(30)
    try:
        yield
    finally:
        end.set()
        thread.join()


def placed_clf(**params):
    params = {"max_epochs": 2, "batch_size": 8, "random_state": 0} | params
    return sn.TorchClassifier(**params)


def test_a_fit_goes_to_a_free_device_and_the_net_stays_there(folder):
    X, y = classification()
    expected = placed_clf(device="cpu").fit(X, y).predict_proba(X)
    with in_use(folder, SITES[0]):
        model = placed_clf().fit(X, y)
    assert model.net_.device == torch.device("cpu", 1)
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), expected)
    model.partial_fit(X, y)  # where the net is, though another device would come first
    assert model.net_.device == torch.device("cpu", 1)
    assert model.n_iter_ == 3
    assert not [path for path in folder.iterdir() if not path.name.endswith(".door")]


def test_lbfgs_has_a_place_too(folder):
    X, y = classification()
    with in_use(folder, SITES[0]):
        model = sn.MLPClassifier((5,), solver="lbfgs", random_state=0, max_iter=200).fit(X, y)
    assert model.net_.device == torch.device("cpu", 1)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_fit_that_fails_leaves_its_place(folder, error):
    X, y = classification()

    def fail(X, rng):
        raise error

    with pytest.raises(error):
        placed_clf(augment=sn.per_batch(fail)).fit(X, y)
    with in_use(folder, SITES[0]), in_use(folder, SITES[1]):
        pass
    assert not [path for path in folder.iterdir() if not path.name.endswith(".door")]


def test_others_are_let_in_after_a_few_steps(folder):
    X, y = classification()
    shut = []

    def look(X, rng):
        door = places._entered(SITES[0], folder)
        shut.append(door is None)
        if door is not None:
            places.unlock(door.handle)
        return X

    placed_clf(augment=sn.per_batch(look), max_epochs=1, batch_size=4).fit(X, y)
    assert shut[:8] == [True] * 8
    assert not shut[-1]


class FitsAnother(Callback):
    """Fits a second estimator at the end of each epoch."""

    def on_epoch_end(self, net, **kwargs):
        X, y = classification()
        self.device_ = placed_clf(max_epochs=1).fit(X, y).net_.device


def test_a_fit_within_a_fit_does_not_wait_for_it(folder):
    X, y = classification()
    callback = FitsAnother()
    with in_use(folder, SITES[0]):
        placed_clf(callbacks=[callback]).fit(X, y)
    assert callback.device_ == torch.device("cpu", 1)


class Noting(Callback):
    """Writes down when a fit has trained, and where."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_begin(self, net, **kwargs):
        self.begun_ = time.time()

    def on_train_end(self, net, **kwargs):
        line = f"{net.device} {self.begun_} {time.time()}"
        Path(self.folder, f"{time.time_ns()}.txt").write_text(line)


class Elsewhere(sn.TorchClassifier):
    """Has made-up devices in every process, of which none has memory for a second fit."""

    def fit(self, *args, **kwargs):
        folder = Path(self.callbacks[0].folder, "places")
        folder.mkdir(exist_ok=True)
        full = [Site(site.device, site.name, lambda: (0, 100)) for site in SITES]
        devices._gpus, devices.private_folder = (lambda: full), (lambda: folder)
        return super().fit(*args, **kwargs)


def hold_first(folder, begun, end):
    """Have a place on the first device until the end."""
    with placed(SITES[:1], folder) as place:
        place.settle()
        begun.set()
        end.wait(120)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_candidates_in_processes_are_placed_one_after_the_other(tmp_path):
    X, y = classification()
    (tmp_path / "places").mkdir()
    fork = multiprocessing.get_context("fork")
    begun, end = fork.Event(), fork.Event()
    other = fork.Process(target=hold_first, args=(tmp_path / "places", begun, end))
    other.start()
    assert begun.wait(30)
    clf = Elsewhere(callbacks=[Noting(str(tmp_path))], max_epochs=2, num_workers=0, random_state=0)
    found = cross_validate(clf, X, y, cv=4, n_jobs=2, return_estimator=True, error_score="raise")
    end.set()
    other.join()
    assert {str(model.net_.device) for model in found["estimator"]} == {"cpu:1"}
    lines = sorted(path.read_text().split() for path in tmp_path.glob("*.txt"))
    assert len(lines) == 4
    times = sorted((float(first), float(last)) for _, first, last in lines)
    assert all(last <= first for (_, last), (first, _) in itertools.pairwise(times))
