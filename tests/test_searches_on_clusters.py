"""Searches on the processes of Dask and Ray: real clusters of two workers on this machine."""

import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV, StratifiedKFold

import sklearnish as sn

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

GRID = {"lr": [0.001, 0.01, 0.1]}


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(4_000, 8)).astype(np.float32), columns=list("abcdefgh"))
    table["label"] = (table.a + table.b > 0).astype(int)
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    table.to_parquet(path, row_group_size=500)
    return sn.scan_parquet(path, target="label")


def classifier(**params):
    params = {"max_epochs": 2, "num_workers": 0, "num_threads": 1, "random_state": 0} | params
    return sn.TorchClassifier(**params)


def scores(search):
    return search.cv_results_["mean_test_score"].tolist()


@pytest.fixture(scope="module")
def plain(ds):
    """Scores of the search in this process."""
    return scores(GridSearchCV(classifier(), GRID, cv=2).fit(ds, ds.target))


# What is sent


def test_a_task_carries_the_paths_of_files_and_never_their_rows(ds, tmp_path):
    small = len(cloudpickle.dumps(ds))
    assert small < 4_000
    many = pd.DataFrame({"a": np.arange(2_000_000.0), "label": 0})
    many.to_parquet(tmp_path / "many.parquet")
    large = sn.scan_parquet(tmp_path / "many.parquet", target="label")
    assert large.target.sum() == 0  # read, and kept
    assert len(cloudpickle.dumps(large)) < 4_000
    assert len(cloudpickle.dumps(large[::2])) < 4_000
    fold = np.random.default_rng(0).permutation(2_000_000)[:1_000]
    assert len(cloudpickle.dumps(large[fold])) < 4_000 + 8 * len(fold)


def test_dask_neither_measures_nor_hashes_a_dataset_by_its_rows(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((10_000, 8)))
    ds = sn.scan_npy(tmp_path / "rows.npy")
    (tmp_path / "rows.npy").unlink()  # what reads it fails
    sizeof = importlib.import_module("dask.sizeof").sizeof
    tokenize = importlib.import_module("dask.base").tokenize
    assert sizeof(ds) < 4_000
    assert tokenize(ds) != tokenize(ds[1:])


# Dask


@contextmanager
def dask_cluster(**options):
    """Start two Dask workers in processes of their own."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            processes=True,
            dashboard_address=":0",
            resources={"GPU": 1},
            silence_logs=50,
            **options,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def cluster_of_all():
    with dask_cluster() as client:
        yield client


@pytest.fixture
def client(cluster_of_all):
    """A client of two workers, whatever a test before did to them."""
    cluster_of_all.wait_for_workers(2)
    return cluster_of_all


@pytest.mark.slow
def test_a_search_on_dask_has_the_scores_of_one_without(client, ds, plain):
    search = GridSearchCV(classifier(), GRID, cv=2)
    with joblib.parallel_config("dask"):
        search.fit(ds, ds.target)
    assert scores(search) == plain
    assert search.best_estimator_.predict(ds[:5]).shape == (5,)


@pytest.mark.slow
def test_rows_in_memory_are_sent_to_dask_once_and_without_a_warning(client, ds):
    X = np.random.default_rng(0).normal(size=(4_000, 800)).astype(np.float32)  # 12.8 MB
    y = ds.target
    search = GridSearchCV(classifier(max_epochs=1), GRID, cv=2, refit=False)
    expected = scores(search.fit(X, y))
    with joblib.parallel_config("dask"):
        assert scores(search.fit(sn.as_dataset(X), y)) == expected


class Timed(BaseEstimator):
    """Writes down when it was fitted, and in which process."""

    def __init__(self, folder="", lr=0.0):
        self.folder = folder
        self.lr = lr

    def fit(self, X, y):
        start = time.time()
        time.sleep(0.2)
        with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False) as file:
            file.write(f"{os.getpid()} {start} {time.time()}")
        return self

    def score(self, X, y):
        return self.lr


@pytest.mark.slow
def test_candidates_that_need_a_gpu_of_dask_wait_for_it(client, ds, tmp_path):
    search = GridSearchCV(Timed(str(tmp_path)), {"lr": [1.0, 2.0, 3.0]}, cv=2, refit=False)
    with joblib.parallel_config("dask", resources={"GPU": 1}):
        search.fit(ds, ds.target)
    fits = sorted(tuple(map(float, path.read_text().split())) for path in tmp_path.iterdir())
    assert len(fits) == 6
    for (pid, _, end), (next_pid, start, _) in itertools.pairwise(fits):
        assert pid != next_pid or end <= start


@pytest.mark.slow
def test_a_search_on_dask_that_is_done_is_loaded_from_its_checkpoints(client, ds, plain, tmp_path):
    search = GridSearchCV(classifier(checkpoint_dir=tmp_path), GRID, cv=2, refit=False)
    written = []
    for _ in range(2):
        with joblib.parallel_config("dask"):
            search.fit(ds, ds.target)
        assert scores(search) == plain
        written.append({file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.*")})
    assert written[0] == written[1] != {}


@pytest.mark.slow
def test_ctrl_c_ends_a_search_on_dask_and_restart_ends_its_fits(client, ds):
    search = GridSearchCV(classifier(max_epochs=100_000), GRID, cv=2)

    def interrupt():
        while not any(client.processing().values()):
            time.sleep(0.1)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt), joblib.parallel_config("dask"):
        search.fit(ds, ds.target)
    assert any(client.processing().values())
    client.restart()
    assert not any(client.processing().values())


class Deadly(BaseEstimator):
    """Kills its process so many times, then is an ordinary classifier."""

    def __init__(self, folder="", times=1, lr=0.001):
        self.folder = folder
        self.times = times
        self.lr = lr

    def fit(self, X, y):
        killed = len(list(Path(self.folder).iterdir()))
        if self.lr == 0.01 and killed < self.times:
            Path(self.folder, str(killed)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self.clf_ = classifier(lr=self.lr).fit(X, y)
        return self

    def score(self, X, y):
        return self.clf_.score(X, y)


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_costs_a_second_search_at_most(client, ds, plain, tmp_path):
    (tmp_path / "killed").mkdir()
    deadly = Deadly(str(tmp_path / "killed"))
    search = GridSearchCV(deadly, GRID, cv=StratifiedKFold(2), refit=False)
    with joblib.parallel_config("dask"):
        try:
            search.fit(ds, ds.target)
        except distributed.client.FutureCancelledError:  # it alone had labels or a fold
            client.wait_for_workers(2)
            search.fit(ds, ds.target)
    assert scores(search) == plain
    assert len(list((tmp_path / "killed").iterdir())) == 1


@pytest.mark.slow
def test_a_fit_that_kills_every_dask_worker_is_an_error(client, ds, tmp_path):
    search = GridSearchCV(Deadly(str(tmp_path), times=99), GRID, cv=2)
    wanted = (distributed.KilledWorker, distributed.client.FutureCancelledError)
    with joblib.parallel_config("dask"), pytest.raises(wanted):
        search.fit(ds, ds.target)


@pytest.mark.slow
def test_a_dask_worker_with_a_nanny_reads_in_a_thread(client, ds):
    report = client.submit(lambda: str(classifier(num_workers=2).fit(ds).pipeline_report_)).result()
    assert "a thread (a daemonic process may not have workers)" in report


@pytest.mark.slow
def test_a_dask_worker_that_is_no_daemon_has_loader_workers(ds):
    clf = classifier(num_workers=1)
    alone = clf.fit(ds).score(ds)
    with dask.config.set({"distributed.worker.daemon": False}), dask_cluster() as client:
        before = children(client)
        there = client.submit(lambda: classifier(num_workers=1).fit(ds)).result()
        assert "1 process (num_workers=1)" in str(there.pipeline_report_)
        assert there.score(ds) == alone
        assert children(client) == before


def children(client):
    """Count the child processes of each Dask worker."""
    return client.run(lambda: len(psutil.Process().children(recursive=True)))


# Ray

RAY = """
import json, signal, sys, threading
import joblib
import ray
from ray.util.joblib import register_ray
from sklearn.model_selection import GridSearchCV
import sklearnish as sn

file, folder = sys.argv[1:]
ds = sn.scan_parquet(file, target="label")
params = dict(max_epochs=2, num_threads=1, random_state=0)
clf = sn.TorchClassifier(num_workers=1, **params)
search = GridSearchCV(clf, {"lr": [0.001, 0.01, 0.1]}, cv=2)

ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80_000_000, _temp_dir=folder)
register_ray()
with joblib.parallel_config("ray"):
    search.fit(ds, ds.target)

@ray.remote
def reports():
    both = clf, sn.TorchClassifier(**params)
    return [str(one.fit(ds).pipeline_report_) for one in both]

found = search.cv_results_["mean_test_score"].tolist()
print(json.dumps([found, *ray.get(reports.remote())]))
ray.shutdown()
assert threading.enumerate() == [threading.main_thread()]
"""


@pytest.mark.slow
def test_a_search_on_ray_has_the_scores_of_one_without_and_leaves_no_process(ds, plain, tmp_path):
    pytest.importorskip("ray")
    (tmp_path / "script.py").write_text(RAY)
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "HOME": str(tmp_path)}
    environment.pop("OMP_NUM_THREADS", None)
    # The paths of its sockets may have no more than 107 characters.
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        done = subprocess.run(
            [sys.executable, tmp_path / "script.py", ds.source.files[0], folder],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=200,
        )
        left = [p.info for p in psutil.process_iter(["cmdline"]) if folder in str(p.info)]
    assert done.returncode == 0, done.stderr
    found, workers, auto = json.loads(done.stdout.splitlines()[-1])
    assert found == plain
    assert "read by 1 process (num_workers=1)" in workers
    assert "read by a thread" in auto
    assert left == []
