"""A search over files takes memory for row numbers and labels, not for the data.

Memory is anonymous and shared, of the process and its children, over what the imports took: a
page that several of them have is counted once, and one of a mapped file not at all, since the
kernel takes it back at will. Freed arrays of a megabyte and more go back to the kernel, too
(MALLOC_MMAP_THRESHOLD_): else glibc keeps up to 130 MB of them, more in one run than in the next.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

MB = 2**20
CAP = 500 * MB
BYTES_PER_ROW = 40
PER_WORKER = 250 * MB  # a row group on its way through Arrow, two fetches, and Python's own
SHUFFLED, NOISE = 600 * MB, 64 * MB  # of to_parquet, which holds five numbers a row, 40 bytes
N_FEATURES, GROUP_ROWS = 128, 65_536  # 32 MB
ROWS_PER_FILE = 16 * GROUP_ROWS  # 512 MB
N_FILES = 4
# Wide rows and small labels, because scikit-learn has its own share: it lists 8 bytes a row for
# each fold, copies the labels, and for a moment StratifiedKFold takes 66 bytes a row.

SEARCH = """
import sys
import torch
from sklearn.model_selection import GridSearchCV
import sklearnish as sn

torch.set_num_threads(1)  # memory is counted, not time, and the machine may be busy
print("imported", flush=True)
sys.stdin.readline()
ds = sn.scan_parquet(sys.argv[1], target="y")
clf = sn.TorchClassifier(module_params={"hidden": 8}, max_epochs=1, random_state=0,
                         num_workers=int(sys.argv[2]))
search = GridSearchCV(clf, {"batch_size": [1024, 4096]}, cv=3, error_score="raise")
search.fit(ds, ds.target)
assert search.best_score_ > 0.7, search.cv_results_
print(len(ds), flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four files of random rows, four times the cap together."""
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(0)
    for number in range(N_FILES):
        _write(folder / f"{number}.parquet", rng)
    return folder


def _write(path, rng):
    schema = pa.schema([(f"x{j}", pa.float32()) for j in range(N_FEATURES)] + [("y", pa.int8())])
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    with pq.ParquetWriter(path, schema, **options) as writer:
        for _ in range(ROWS_PER_FILE // GROUP_ROWS):
            X = rng.random((N_FEATURES, GROUP_ROWS), dtype=np.float32)
            y = (X[:4].sum(axis=0) > 2).astype(np.int8)
            writer.write_table(pa.table([*X, y], schema=schema))


class Watched:
    """A Python process whose memory is looked at every 10 ms."""

    def __init__(self, code, *args, measure=None):
        self._measure = measure or anonymous_bytes
        command = [sys.executable, "-c", code, *args]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environ = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(MB)}
        self._process = subprocess.Popen(command, text=True, env=environ, **pipes)
        self._over = threading.Event()
        self._peak = 0

    def peak_over_imports(self):
        """Let it run to its end; return the bytes and what it printed."""
        assert self._process.stdout.readline() == "imported\n", self._process.communicate()[1]
        imports = self._measure(self._process.pid)
        watcher = threading.Thread(target=self._watch)
        watcher.start()
        try:
            printed, errors = self._process.communicate("go\n")
        finally:
            self._process.kill()
            self._over.set()
            watcher.join()
        assert self._process.returncode == 0, errors
        return self._peak - imports, printed

    def _watch(self):
        while not self._over.wait(0.01):
            self._peak = max(self._peak, self._measure(self._process.pid))


def anonymous_bytes(pid, file="status", fields=("RssAnon:", "RssShmem:")):
    """Add up kilobytes of a process and its descendants; one that ended has none."""
    try:
        text = Path(f"/proc/{pid}/{file}").read_text()
        children = [
            child
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    lines = (line.split() for line in text.splitlines())
    own = sum(int(line[1]) * 1024 for line in lines if line[0] in fields)
    return own + sum(anonymous_bytes(child, file, fields) for child in children)


def proportional_bytes(pid):
    """Count pages that a process shares with those it forked once, not once for each of them."""
    return anonymous_bytes(pid, "smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))


PREPROCESSING = """
import sys
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
import sklearnish as sn

print("imported", flush=True)
sys.stdin.readline()
ds = sn.scan_parquet(sys.argv[1], target="y")
columns = make_column_transformer(
    (QuantileTransformer(), [f"x{j}" for j in range(8)]),
    remainder=make_pipeline(SimpleImputer(), StandardScaler()),
)
streamed = sn.preprocessing.Streamed(columns).fit(ds)
assert streamed.n_sampled_rows_ == 262_144
assert streamed.transform(ds).read([0, len(ds) - 1]).X.shape == (2, 128)
print(len(ds), flush=True)
"""


WRITING = """
import sys
import sklearnish as sn

print("imported", flush=True)
sys.stdin.readline()
ds = sn.scan_parquet(sys.argv[1], target="y")
written = ds.to_parquet(sys.argv[2], shuffle=True)
assert written.source.n_rows == len(ds)
print(len(ds), flush=True)
"""


HOLDS_80_MB = """
import subprocess, sys
print("imported", flush=True)
sys.stdin.readline()
child = "import time; held = b'x' * (50 << 20); time.sleep(0.5)"
process = subprocess.Popen([sys.executable, "-c", child])
held = b"x" * (30 << 20)
process.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_measure_sees_the_process_and_its_children():
    peak, _ = Watched(HOLDS_80_MB).peak_over_imports()
    assert 80 * MB <= peak < 110 * MB


def _peak(path, n_rows, argument, code=SEARCH):
    watched = Watched(code, str(path), str(argument), measure=proportional_bytes)
    peak, printed = watched.peak_over_imports()
    assert printed == f"{n_rows}\n"
    return peak


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_search_over_files_four_times_the_cap(folder):
    n_rows = N_FILES * ROWS_PER_FILE
    assert sum(path.stat().st_size for path in folder.iterdir()) >= 4 * CAP
    quarter = _peak(folder / "0.parquet", ROWS_PER_FILE, 0)
    whole = _peak(folder, n_rows, 0)
    print(f"peak over imports: {quarter / MB:.0f} MB, {whole / MB:.0f} MB with four times the rows")
    assert whole <= CAP
    assert whole - quarter <= BYTES_PER_ROW * (n_rows - ROWS_PER_FILE)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_search_in_worker_processes(folder):
    peak = _peak(folder, N_FILES * ROWS_PER_FILE, 2)
    print(f"peak over imports: {peak / MB:.0f} MB with two workers")
    assert peak <= CAP + 2 * PER_WORKER


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_preprocessing_of_files_four_times_the_cap(folder):
    n_rows = N_FILES * ROWS_PER_FILE
    quarter = _peak(folder / "0.parquet", ROWS_PER_FILE, 0, PREPROCESSING)
    whole = _peak(folder, n_rows, 0, PREPROCESSING)
    print(f"peak over imports: {quarter / MB:.0f} MB, {whole / MB:.0f} MB with four times the rows")
    assert whole <= CAP
    assert whole - quarter <= BYTES_PER_ROW * (n_rows - ROWS_PER_FILE)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_shuffling_files_four_times_the_cap(folder, tmp_path):
    n_rows = N_FILES * ROWS_PER_FILE
    quarter = _peak(folder / "0.parquet", ROWS_PER_FILE, tmp_path / "quarter.parquet", WRITING)
    whole = _peak(folder, n_rows, tmp_path / "whole.parquet", WRITING)
    print(f"peak over imports: {quarter / MB:.0f} MB, {whole / MB:.0f} MB with four times the rows")
    assert quarter <= SHUFFLED
    assert whole - quarter <= BYTES_PER_ROW * (n_rows - ROWS_PER_FILE) + NOISE
