"""A search on two workers of a real Dask cluster on this machine, in a program of its own."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
from pathlib import Path
import cloudpickle
import joblib
import numpy as np
import sklearnish as sn
from sklearn.model_selection import GridSearchCV
from tests.together import classifier, parquet

if __name__ == "__main__":
    import dask
    from dask.distributed import Client, LocalCluster

    dask.config.set({"distributed.worker.daemon": False})
    ds = sn.scan_parquet(parquet(Path(sys.argv[1])), target="y").select(["x0", "x1"])
    grid = {"batch_size": [20, 50]}
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    options["resources"] = {"GPU": 1}

    def search(**params):
        clf = classifier(max_epochs=2, **params)
        return GridSearchCV(clf, grid, cv=2, refit=False).fit(ds, ds.target)

    def plan(_):
        report = classifier(max_epochs=1, num_workers=1).fit(ds).pipeline_report_
        return report.plan, os.getpid()

    alone = search().cv_results_["mean_test_score"]
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        with joblib.parallel_config("dask", resources={"GPU": 1}):
            found = search().cv_results_["mean_test_score"]
        print("scores", np.array_equal(alone, found))
        plans = client.gather(client.map(plan, range(2), pure=False))
        print("workers", {p for p, _ in plans}, os.getpid() not in {pid for _, pid in plans})
    print("bytes", len(cloudpickle.dumps((classifier(), ds[np.arange(100)]))) < 10_000)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_search_on_dask(tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "script.py"), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == [
        "scores True",
        "workers {'1 process'} True",
        "bytes True",
    ]


ON_RAY = """
import sys
from pathlib import Path
import joblib
import numpy as np
import ray
import sklearnish as sn
from ray.util.joblib import register_ray
from sklearn.model_selection import GridSearchCV
from tests.together import classifier, parquet

ds = sn.scan_parquet(parquet(Path(sys.argv[1])), target="y").select(["x0", "x1"])
grid = {"batch_size": [20, 50]}
search = GridSearchCV(classifier(max_epochs=2, num_workers=1), grid, cv=2, refit=False)
alone = search.fit(ds, ds.target).cv_results_["mean_test_score"]
ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False)
register_ray()
with joblib.parallel_config("ray", n_jobs=-1):
    found = search.fit(ds, ds.target).cv_results_["mean_test_score"]
print("scores", np.array_equal(alone, found))
ray.shutdown()
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_search_on_ray(tmp_path):
    pytest.importorskip("ray")
    (tmp_path / "script.py").write_text(ON_RAY)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "script.py"), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == ["scores True"]
